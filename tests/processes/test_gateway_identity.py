"""A key that the command makes and revokes at a running system, for services, apps and programs alike."""

import json
import sys
from pathlib import Path

import httpx
import pytest

from .conftest import PATIENCE, Command, meristem, told

SYSTEM = """
from typing import Protocol
from meristem import App, Contract, Program, Service, System, current, safe


class Desk(Contract, Protocol, package="shop.v1"):
    @safe(http="GET /me", authenticated=True)
    async def me(self) -> list[str]: ...


class DeskService(Service, Desk, name="desk"):
    async def me(self) -> list[str]:
        user = current().user
        return [user.subject, user.tenant, *user.roles]


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    found = [(name, value) for name, value in scope["headers"] if b"meristem" in name]
    text = b"&".join(b"%b=%b" % each for each in sorted(found))
    client = Desk.client()
    if current().user is not None:
        text += b" " + ",".join(await client.me()).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text})


TELLS = '''
import http.server, os
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = sorted((name.lower(), value) for name, value in self.headers.items() if "meristem" in name.lower())
        self.send_response(200); self.end_headers()
        self.wfile.write("&".join("=".join(each) for each in found).encode())
    def log_message(self, *_): ...
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
'''
system = System("shop", services=[DeskService], apps=[App("web", app, mount="/web")],
                programs=[Program("tells", [PYTHON, "-c", TELLS], mount="/tells", health="/")])
"""
GATEWAY = """
[gateway.keys]

[gateway.routes.all]
path = "/*"
require = "key"
scopes = ["desk"]
"""
PLACED = {
    "together": GATEWAY,
    "split": GATEWAY + '[processes]\nedge = []\nweb = ["web"]\ndesk = ["desk"]\n',
}
EXPECTED = "x-meristem-name=shop&x-meristem-tenant=acme&x-meristem-user=key:shop"


async def made(folder: Path, name: str, *options: str) -> str:
    """The key, which is shown once."""
    code, text = await told(folder, "keys", "add", name, *options)
    assert code == 0, text
    return text.splitlines()[0]


@pytest.mark.parametrize("placement", PLACED)
async def test_a_key_opens_all_parts_of_a_system_until_it_is_revoked(
    tmp_path: Path, ended: list[Command], placement: str
):
    (tmp_path / "shop.py").write_text(SYSTEM.replace("PYTHON", repr(sys.executable)))
    (tmp_path / "pyproject.toml").write_text('[tool.meristem]\nsystem = "shop:system"\n')
    (tmp_path / "placed.toml").write_text(PLACED[placement])
    run = await meristem(tmp_path, "run", "--placement", "placed.toml", "--port", "0")
    ended.append(run)
    port = int((await run.shows("shop runs at")).partition("127.0.0.1:")[2].split()[0])
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
        assert (await client.get("/web/")).status_code == 401
        key = await made(tmp_path, "shop", "--scopes", "desk,other", "--tenant", "acme", "--expires", "30d")
        client.headers = {"x-api-key": key, "x_meristem_user": "root", "x-meristem-roles": "root"}
        app, program, service = [await client.get(path) for path in ("/web/", "/tells/", "/api/me")]
        assert app.text == f"{EXPECTED} key:shop,acme"
        assert program.text == EXPECTED
        assert service.json() == ["key:shop", "acme"]

        other = await made(tmp_path, "weak", "--scopes", "other")
        assert (await client.get("/web/", headers={"x-api-key": other})).status_code == 403
        _, listed = await told(tmp_path, "keys", "list", "--json")
        assert {each["name"]: each["last_used"] is not None for each in json.loads(listed)} == {
            "shop": True,
            "weak": False,
        }
        assert key.rpartition("_")[2] not in listed

        assert (await told(tmp_path, "keys", "revoke", "shop"))[0] == 0
        assert (await client.get("/web/")).status_code == 401
    assert key not in run.text


async def test_the_command_refuses_what_is_no_key(tmp_path: Path):
    (tmp_path / "shop.py").write_text(SYSTEM.replace("PYTHON", repr(sys.executable)))
    (tmp_path / "pyproject.toml").write_text('[tool.meristem]\nsystem = "shop:system"\n')
    await made(tmp_path, "shop")
    wrong = {
        ("add", "shop"): "there is a key 'shop'",
        ("add", "No Name"): "small letters",
        ("add", "x", "--scopes", 'a"b'): "a scope is visible ASCII",
        ("add", "x", "--expires", "soon"): "neither a time",
        ("add", "x", "--expires", "2020-01-01"): "is over already",
        ("revoke", "shopp"): "there is no API key 'shopp'",
    }
    for arguments, why in wrong.items():
        code, text = await told(tmp_path, "keys", *arguments)
        assert (code != 0, why in text) == (True, True), text
    file = tmp_path / ".meristem/shop/api-keys.json"
    assert file.stat().st_mode & 0o077 == 0
    assert [each["name"] for each in json.loads(file.read_text())["keys"]] == ["shop"]
