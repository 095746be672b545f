"""The gateway with a certified OpenID Connect provider: its tokens, its keys as they change, and signing in."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from joserfc.jwk import ECKey, RSAKey

from meristem import App, System
from meristem.asgi import respond
from meristem.runtime.listen import Listen
from meristem.runtime.options import Options
from meristem.runtime.process import Process
from meristem.security.tokens import Tokens, new_secret
from meristem.supervision.ports import free_port
from meristem.system.blueprint import Blueprint
from meristem.system.placement import Placement

from .nodejs import installed

HERE = Path(__file__).parent / "oidc"
PATIENCE = 60.0
SECRET = "only+for tests"  # with what has to be encoded in a field
GATEWAY = """
[gateway.issuers.main]
issuer = "{issuer}"
audience = "urn:shop"
algorithms = ["ES256", "RS256"]

[gateway.sign_in]
issuer = "{issuer}"
client_id = "shop"
algorithms = ["ES256", "RS256"]
claims = {{ roles = "groups", tenant = "org.id" }}
after_sign_out = "/bye"

[gateway.routes.app]
path = "/app/*"
require = "user"

[gateway.routes.office]
path = "/app/office"
require = "user"
roles = ["boss"]

[gateway.routes.api]
path = "/api/*"
require = "user"
scopes = ["orders:read"]
"""


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    fields = {name.decode(): value.decode() for name, value in scope["headers"] if b"meristem" in name}
    fields.pop("cookie", None)
    body = {"path": scope["path"], "query": scope["query_string"].decode(), "fields": fields}
    await respond(send, 200, b"application/json", json.dumps(body).encode())


def key(kind: Any, size: Any, kid: str, algorithm: str) -> dict[str, Any]:
    return kind.generate_key(size, {"kid": kid, "use": "sig", "alg": algorithm}).as_dict(private=True)


class Provider:
    """The provider as a process of its own."""

    def __init__(self, issuer: str, process: asyncio.subprocess.Process) -> None:
        self.issuer = issuer
        self.process = process

    async def says(self, word: bytes) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while word not in (line := await self.process.stdout.readline()):
                assert line, "the provider has ended"

    async def rotate(self, keys: list[dict[str, Any]]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(keys).encode() + b"\n")
        await self.says(b"rotated")

    async def token(self, scope: str) -> str:
        async with httpx.AsyncClient() as client:
            form = {"grant_type": "client_credentials", "scope": scope}
            answer = await client.post(f"{self.issuer}/token", data=form, auth=("till", "only%2Bfor+tests"))
        assert answer.status_code == 200, answer.text
        return answer.json()["access_token"]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(HERE, tmp_path_factory.mktemp("oidc") / "packages", seconds=90)


@asynccontextmanager
async def provided(packages: Path, callback: str, first: dict[str, Any]) -> AsyncIterator[Provider]:
    port = free_port()
    told = json.dumps({"port": port, "callback": callback, "jwks": [first]})
    process = await asyncio.create_subprocess_exec(
        "node", "provider.mjs", told, cwd=packages, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    provider = Provider(f"http://127.0.0.1:{port}", process)
    try:
        await provider.says(b"listens")
        yield provider
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def both(packages: Path, tmp_path: Path) -> AsyncIterator[tuple[Provider, httpx.AsyncClient]]:
    """The provider, and a browser of the system that knows it."""
    port = free_port()
    first = key(RSAKey, 2048, "one", "RS256")
    async with (
        provided(packages, f"http://127.0.0.1:{port}/auth/callback", first) as provider,
        served(tmp_path, provider.issuer, port) as browser,
    ):
        yield provider, browser


@asynccontextmanager
async def served(tmp_path: Path, issuer: str, port: int) -> AsyncIterator[httpx.AsyncClient]:
    file = tmp_path / "one.toml"
    file.write_text(GATEWAY.format(issuer=issuer))
    options = Options(
        environment={"SHOP_GATEWAY_SIGN_IN_CLIENT_SECRET": SECRET}, database="sqlite://", directory=tmp_path
    )
    blueprint = Blueprint(System("shop", apps=[App("web", app)]), Placement.read(file))
    listen = [Listen(f"tcp://127.0.0.1:{port}", public=True)]
    process = Process(blueprint, "main", options=options, listen=listen, tokens=Tokens(new_secret()))
    try:
        await process.start()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
            yield client
    finally:
        await process.stop()


async def status(client: httpx.AsyncClient, token: str) -> int:
    return (await client.get("/api/x", headers={"authorization": f"Bearer {token}"})).status_code


async def test_tokens_of_the_provider_count_through_a_change_of_its_keys(packages: Path, tmp_path: Path):
    async with both(packages, tmp_path) as (there, client):
        old = await there.token("orders:read")
        assert await status(client, old) == 200
        assert await status(client, await there.token("orders:write")) == 403
        await there.rotate([key(ECKey, "P-256", "two", "ES256")])
        new = await there.token("orders:read")
        async with asyncio.timeout(PATIENCE):  # keys are asked for every five seconds at most
            while await status(client, new) != 200:
                await asyncio.sleep(0.2)
        assert await status(client, old) == 401


async def followed(browser: httpx.AsyncClient, answer: httpx.Response, until: str) -> httpx.Response:
    """The answer at the end of redirects and of the provider's two pages, as somebody clicks through them."""
    for _ in range(20):
        if answer.is_redirect:
            where = str(answer.next_request.url)
            if until in where:
                return answer
            answer = await browser.get(where, headers={"accept": "text/html"})
            continue
        found = re.search(r'action="([^"]+/interaction/[^"]+)"', answer.text)
        if found is None:
            return answer
        prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
        form = {"prompt": prompt[1], "login": "ada", "password": "any"}
        answer = await browser.post(str(answer.url.join(found[1])), data=form)
    raise AssertionError(answer.text)


async def test_a_browser_signs_in_and_comes_back_to_its_page(
    packages: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with both(packages, tmp_path) as (there, browser):
        page = {"accept": "text/html,*/*"}
        assert (await browser.get("/app/page")).status_code == 401
        assert (await browser.post("/app/page", headers=page)).status_code == 401
        first = await browser.get("/app/page?a=1", headers=page)
        assert first.status_code == 303
        asked = dict(parse_qsl(urlsplit(first.headers["location"]).query))
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        back = await followed(browser, first, "/auth/callback")
        callback = str(back.next_request.url)

        async with httpx.AsyncClient(timeout=PATIENCE) as other:  # login CSRF: a victim is handed the link
            assert (await other.get(callback)).status_code == 400
        forged = callback.replace("code=", "code=x")
        assert (await browser.get(forged)).status_code == 502

        back = await followed(browser, await browser.get("/app/page?a=1", headers=page), "/auth/callback")
        callback = str(back.next_request.url)
        wrong = re.sub(r"iss=[^&]+", "iss=https%3A%2F%2Fevil.example", callback)
        assert (await browser.get(wrong)).status_code == 401

        back = await followed(browser, await browser.get("/app/page?a=1", headers=page), "/auth/callback")
        signed = await browser.get(str(back.next_request.url))
        assert (signed.status_code, signed.headers["location"]) == (303, "/app/page?a=1")
        cookie = next(each for each in signed.headers.get_list("set-cookie") if each.startswith("meristem-session"))
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert "Secure" not in cookie
        assert "ada" not in cookie

        seen = (await browser.get("/app/page?a=1", headers=page)).json()
        assert seen == {
            "path": "/app/page",
            "query": "a=1",
            "fields": {
                "x-meristem-user": "ada",
                "x-meristem-name": "Name%20of%20ada",
                "x-meristem-roles": "clerk",
                "x-meristem-tenant": "acme",
            },
        }
        assert (await browser.get("/app/office", headers=page)).status_code == 403
        assert (await browser.post("/app/page", headers={"origin": "https://evil.example"})).status_code == 401
        assert (await browser.post("/app/page", headers={"origin": str(browser.base_url)})).status_code == 200
        replayed = await browser.get(str(back.next_request.url))
        assert replayed.status_code == 400  # what tied it to this browser is gone

        out = await browser.get("/auth/sign-out")
        assert out.status_code == 303
        end = out.headers["location"]
        assert end.startswith(f"{there.issuer}/session/end?client_id=shop")
        bye = str(browser.base_url.join("/bye"))
        assert dict(parse_qsl(urlsplit(end).query))["post_logout_redirect_uri"] == bye
        assert (await browser.get(end)).status_code == 200  # the provider takes it
        assert (await browser.get("/app/page")).status_code == 401
        secret = dict(parse_qsl(urlsplit(callback).query))["code"]
        assert secret not in caplog.text
