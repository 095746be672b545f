"""A placement's gateway before a system that runs: in one process, and with its parts behind an edge."""

import asyncio
import json
import re
import shutil
import ssl
from pathlib import Path

import httpx
import pytest
import trustme

from .conftest import Command, meristem, told

GATEWAY = """
[gateway]
hosts = ["localhost", "127.0.0.1"]
body_bytes = 100

[gateway.tls]
certificate = "cert.pem"
key = "key.pem"

[gateway.compression]

[gateway.cors]
origins = ["https://shop.example"]

[gateway.limits.few]
rate = "2/d"
burst = 1

[gateway.routes.admin]
app = "admin"
limits = ["few"]
request_headers = { set = { x-edge = "here" } }

[gateway.routes.prices]
operations = ["guarded.v1.Prices.price"]
headers = { set = { x-team = "prices" } }
"""
SPLIT = '[processes]\nedge = []\nprices = ["prices"]\nadmin = ["admin"]\nweb = ["web"]\n'


@pytest.mark.parametrize("processes", ['[processes]\nmain = ["*"]\n', SPLIT], ids=["one", "split"])
async def test_the_gateway_stands_before_all_that_a_system_serves(tmp_path: Path, ended: list[Command], processes: str):
    shutil.copy(Path(__file__).with_name("guarded.py"), tmp_path)
    authority = trustme.CA()
    made = authority.issue_cert("localhost")
    (tmp_path / "cert.pem").write_bytes(b"".join(each.bytes() for each in made.cert_chain_pems))
    (tmp_path / "key.pem").write_bytes(made.private_key_pem.bytes())
    (tmp_path / "placed.toml").write_text(processes + GATEWAY)
    run = await meristem(tmp_path, "run", "guarded.py", "--placement", "placed.toml", "--port", "0")
    ended.append(run)
    found = re.search(r"app admin at https://127\.0\.0\.1:(\d+)/admin", await run.shows("/admin"))
    assert found is not None
    port = int(found[1])
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    base = f"https://localhost:{port}"
    async with httpx.AsyncClient(base_url=base, verify=trusting, timeout=60) as client:
        price = await client.get("/api/prices/tea", headers={"origin": "https://shop.example"})
        known = await client.get("/api//prices/./tea", headers={"if-none-match": price.headers["etag"]})
        every = await client.get("/api/all")
        first = await client.get("/admin/x")
        spelled = await client.get("/w/..//%61dmin/x")
        beyond = [
            (await client.get(path)).status_code for path in ("/admin/x", f"{base}//admin/", "/%61dmin/y", "/admin;a/")
        ]
        elsewhere = await client.get("/", headers={"host": "evil.example"})
        large = await client.post("/", content=b"x" * 101)
        site = await client.get("/")

    assert (price.status_code, price.json()) == (200, "tea: 7")
    assert price.headers["x-team"] == "prices"
    assert price.headers["access-control-allow-origin"] == "https://shop.example"
    assert "strict-transport-security" in price.headers
    assert known.status_code == 304
    assert every.headers["content-encoding"] == "gzip"
    assert len(every.json()) == 1000
    assert first.json() == {"app": "admin", "path": "/admin/x", "edge": "here"}
    assert spelled.json() == first.json()
    assert beyond == [429, 429, 429, 200], "the last one is no path below the mount: the site has it"
    assert (elsewhere.status_code, large.status_code) == (421, 413)
    assert site.json() == {"app": "web", "path": "/", "edge": ""}
    assert "server" not in site.headers


async def test_a_gateway_for_what_the_system_lacks_is_refused_before_anything_starts(tmp_path: Path):
    shutil.copy(Path(__file__).with_name("guarded.py"), tmp_path)
    (tmp_path / "placed.toml").write_text('[gateway.routes.admin]\napp = "admn"\n')
    code, text = await told(tmp_path, "run", "guarded.py", "--placement", "placed.toml", "--port", "0")
    assert code != 0
    assert "[gateway.routes.admin]: app: no app or program 'admn' is mounted; did you mean 'admin'" in text


OPEN = '[processes]\nprices = ["prices"]\nadmin = ["admin"]\nweb = ["web"]\n'
CHANGED = '[gateway.headers]\nset = { x-table = "NUMBER" }\n'


async def test_a_changed_gateway_is_taken_by_what_runs_and_a_wrong_one_is_not(tmp_path: Path, ended: list[Command]):
    shutil.copy(Path(__file__).with_name("guarded.py"), tmp_path)
    file = tmp_path / "placed.toml"
    file.write_text(OPEN + CHANGED.replace("NUMBER", "0"))
    run = await meristem(tmp_path, "run", "guarded.py", "--placement", "placed.toml", "--port", "0")
    ended.append(run)
    found = re.search(r"app admin at http://127\.0\.0\.1:(\d+)/admin", await run.shows("/admin"))
    assert found is not None
    _, before = await told(tmp_path, "ps", "guarded.py", "--json")
    answers: list[httpx.Response] = []
    done = asyncio.Event()

    async def load() -> None:
        async with httpx.AsyncClient(base_url=f"http://localhost:{found[1]}", timeout=60) as client:
            while not done.is_set():
                answers.append(await client.get("/admin/x"))
                await asyncio.sleep(0.01)

    loads = [asyncio.create_task(load()) for _ in range(4)]
    file.write_text(OPEN + CHANGED.replace("NUMBER", "1"))
    taken = await told(tmp_path, "reload", "guarded.py", "--gateway")
    since = len(answers)
    file.write_text(OPEN + CHANGED.replace("NUMBER", "2") + '[gateway.routes.one]\napp = "admn"\n')
    wrong = await told(tmp_path, "reload", "guarded.py", "--gateway")
    file.write_text(OPEN + '[gateway.tls]\ncertificate = "a"\nkey = "b"\n')
    late = await told(tmp_path, "reload", "guarded.py", "--gateway")
    done.set()
    await asyncio.gather(*loads)
    _, after = await told(tmp_path, "ps", "guarded.py", "--json")

    assert taken == (0, "the gateway has been taken anew by web-0\n")
    assert wrong[0] == 1
    assert "no app or program 'admn' is mounted" in wrong[1]
    assert late[0] == 1
    assert "[gateway.tls] has changed, which a process takes when it starts" in late[1]
    assert {each.status_code for each in answers} == {200}
    assert answers[0].headers["x-table"] == "0"
    assert {each.headers["x-table"] for each in answers[since + 4 :]} == {"1"}
    pids = [{row["name"]: row["pid"] for row in json.loads(each)} for each in (before, after)]
    assert pids[0] == pids[1]


SYSTEM = ("--system", "guarded.py")
WALL = """
[[gateway.firewall.rules]]
action = "deny"
name = "no-php"
paths = ["/wp/*"]

[gateway.firewall.ban]
violations = 3
lasts = "1h"
"""


@pytest.mark.parametrize("processes", ['[processes]\nmain = ["*"]\n', SPLIT], ids=["one", "split"])
async def test_who_is_banned_is_listed_and_let_in_again_by_the_command(
    tmp_path: Path, ended: list[Command], processes: str
):
    shutil.copy(Path(__file__).with_name("guarded.py"), tmp_path)
    (tmp_path / "placed.toml").write_text(processes + WALL)
    run = await meristem(tmp_path, "run", "guarded.py", "--placement", "placed.toml", "--port", "0")
    ended.append(run)
    found = re.search(r"app admin at http://127\.0\.0\.1:(\d+)/admin", await run.shows("/admin"))
    assert found is not None
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{found[1]}", timeout=60) as client:
        paths = ("/", "/wp/a?key=secret", "/wp/b", "/admin/../wp/c", "/")
        statuses = [(await client.get(path)).status_code for path in paths]
        bans = await told(tmp_path, "gateway", "bans", *SYSTEM, "--json")
        shown = await told(tmp_path, "gateway", "status", *SYSTEM)
        lifted = await told(tmp_path, "gateway", "unban", "127.0.0.1", *SYSTEM)
        statuses.append((await client.get("/")).status_code)
        again = await told(tmp_path, "gateway", "unban", "127.0.0.1", *SYSTEM)
        by_hand = await told(tmp_path, "gateway", "ban", "127.0.0.1", *SYSTEM, "--for", "1h", "--why", "a test")
        statuses.append((await client.get("/")).status_code)

    assert statuses == [200, 403, 403, 403, 403, 200, 403]
    assert [(each["address"], each["why"]) for each in json.loads(bans[1])] == [
        ("127.0.0.1", "3 violations, the last one: the firewall's rule 'no-php' denies it")
    ]
    assert shown[0] == 0
    assert "no-php 3" in shown[1]
    assert "GET /wp/a" in shown[1]
    assert "secret" not in shown[1]
    assert lifted == (0, "127.0.0.1 may come in again\n")
    assert again == (0, "127.0.0.1 was not banned\n")
    assert by_hand[0] == 0
    assert "127.0.0.1 is banned until" in by_hand[1]
