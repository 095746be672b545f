"""A session is that of one browser at one host: what stands behind has not its cookie, and another site not its use."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from meristem import Identity
from meristem.asgi import respond
from meristem.gateway.identity.code_flow import CodeFlow, SigningIn
from meristem.gateway.identity.credential import Credential, InvalidCredentialError
from meristem.gateway.identity.issuer_keys import IssuerKeys
from meristem.gateway.identity.sealing import Seal
from meristem.gateway.identity.sessions import Sessions
from meristem.gateway.identity.token_claims import ClaimPaths, Expected
from meristem.gateway.identity.token_issuer import PublicProofs, TokenIssuer
from meristem.gateway.policy.authentication import Authenticator
from meristem.gateway.policy.browser_sign_in import SignIn
from meristem.gateway.policy.gatekeeper import Gatekeeper
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.gateway.policy.identity_tables import SignInTable
from meristem.gateway.policy.route_table import GatewayRouteTable
from meristem.resilience.limits import Limits
from meristem.security.tokens import new_secret
from meristem.transports.http.rest.interface import RestInterface
from meristem.transports.http.server.http_server import HttpServer
from tests.suites.issuing import RSA, URL, Clock, Provider, claims, signed
from tests.suites.shop import RoomsHandlers

PAGE = {"accept": "text/html"}
ADA = Credential(Identity("ada"))


async def app(scope: Any, receive: Any, send: Any) -> None:
    user = scope["state"].get("user")
    cookies = b"; ".join(value for name, value in scope["headers"] if name == b"cookie")
    await respond(send, 200, b"text/plain", b"%b|%b" % (b"" if user is None else user.subject.encode(), cookies))


class Idp(Provider):
    """Gives the token `answered` for any code."""

    answered: dict[str, Any] = {}

    async def __call__(self, url: str, form: Any = None, fields: Any = None) -> bytes:
        if url == f"{URL}/token":
            return b'{"id_token": "%b"}' % signed(RSA, "RS256", self.answered).encode()
        found = await super().__call__(url, form, fields)
        if url.endswith("/jwks"):
            return found
        return found[:-1] + b', "authorization_endpoint": "%b/auth", "token_endpoint": "%b/token"}' % (
            URL.encode(),
            URL.encode(),
        )


class Desk:
    def __init__(self) -> None:
        self.idp = Idp(RSA)
        self.clock = Clock()
        self.clock.now = time.time()
        keys = IssuerKeys("sign_in", URL, "", self.idp, changed=lambda: None)
        issuer = TokenIssuer(
            frozenset({"RS256"}), Expected(URL, frozenset({"shop"}), 30.0), ClaimPaths(), PublicProofs(keys)
        )
        self.flow = CodeFlow("shop", "", ("openid",), keys, issuer, self.idp)
        self.secret = new_secret()
        self.sessions = Sessions(Seal(self.secret, "session"), 60.0, self.clock)
        seal = Seal(self.secret, "sign-in")
        sign_in = SignIn(self.flow, self.sessions, seal, callback="/auth/callback", sign_out="/auth/out", after="")
        table = GatewayTable(
            routes={
                "users": GatewayRouteTable("/users/*", require="user"),
                "open": GatewayRouteTable("/open/*", require="anybody"),
                "rest": GatewayRouteTable("/api/*", require="anybody"),
            },
            sign_in=SignInTable(URL, "shop"),
        )
        self.gatekeeper = Gatekeeper(table, authenticator=Authenticator(sign_in=sign_in))
        self.client: httpx.AsyncClient


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    found = Desk()
    limits = Limits(trusted_proxies=("127.0.0.1",))
    rest = RestInterface(RoomsHandlers().endpoints().values(), limits=limits)
    server = HttpServer({}, app, interfaces=[rest], policy=found.gatekeeper, limits=limits)
    await server.start("tcp://127.0.0.1:0", public=True)
    base = server.addresses[0].replace("tcp", "http")
    async with httpx.AsyncClient(base_url=base, timeout=30) as found.client:
        yield found
    await server.stop()


def cookie(desk: Desk, **others: str) -> dict[str, str]:
    return {"cookie": f"a=1; meristem-session={desk.sessions.begin(ADA)}; b=2"} | others


async def test_what_stands_behind_has_all_cookies_but_that_of_the_session(desk: Desk):
    assert (await desk.client.get("/users/x", headers=cookie(desk))).text == "ada|a=1; b=2"
    assert (await desk.client.get("/elsewhere", headers=cookie(desk))).text == "|a=1; b=2"
    others = {"cookie": "meristem-sign-in-AbC123_-=sealed; c=3"}
    assert (await desk.client.get("/elsewhere", headers=others)).text == "|c=3"
    alone = {"cookie": f"meristem-session={desk.sessions.begin(ADA)}"}
    assert (await desk.client.get("/users/x", headers=alone)).text == "ada|"


async def test_a_session_that_ends_ends_for_a_client_that_repeats_its_head(desk: Desk):
    headers = cookie(desk)
    assert (await desk.client.get("/open/x", headers=headers)).text.startswith("ada")
    assert [(await desk.client.get("/api/mine", headers=headers)).status_code for _ in range(2)] == [200, 200]
    desk.clock.now += 61
    assert (await desk.client.get("/api/mine", headers=headers)).status_code == 401
    assert (await desk.client.get("/open/x", headers=headers)).text.startswith("|")


async def test_over_tls_the_cookie_is_of_this_host_alone(desk: Desk):
    tls = {"x-forwarded-proto": "https", "x-forwarded-for": "192.0.2.1", "host": "shop.example"}
    assert (await desk.client.get("/users/x", headers=cookie(desk, **tls))).status_code == 401
    secured = {"cookie": f"__Host-meristem-session={desk.sessions.begin(ADA)}"} | tls
    assert (await desk.client.get("/users/x", headers=secured)).status_code == 200
    sent = await desk.client.get("/users/x", headers=PAGE | tls)
    assert sent.headers["set-cookie"].startswith("__Host-meristem-sign-in-")
    assert "; Secure" in sent.headers["set-cookie"]
    asked = dict(parse_qsl(urlsplit(sent.headers["location"]).query))
    assert asked["redirect_uri"] == "https://shop.example/auth/callback"


@pytest.mark.parametrize(
    ("method", "fields", "status"),
    [
        ("GET", PAGE, 303),
        ("GET", {"accept": "application/json"}, 401),
        ("GET", PAGE | {"sec-fetch-mode": "cors"}, 401),
        ("POST", PAGE, 401),
        ("HEAD", PAGE, 401),
        ("GET", PAGE | {"authorization": "Bearer nonsense"}, 401),
    ],
)
async def test_only_a_page_that_somebody_opens_leads_to_the_provider(
    desk: Desk, method: str, fields: dict[str, str], status: int
):
    assert (await desk.client.request(method, "/users/x", headers=fields)).status_code == status
    assert (await desk.client.request(method, "/users/x", headers=fields)).status_code == status


async def test_while_the_provider_was_never_reached_pages_are_put_off(desk: Desk):
    desk.idp.is_there = False
    answer = await desk.client.get("/users/x", headers=PAGE)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize("path", ["//evil.example/users/x", "/users//evil.example", "/users/x?next=//evil.example"])
async def test_nobody_comes_back_to_another_host(desk: Desk, path: str):
    sent = await desk.client.get(str(desk.client.base_url).rstrip("/") + "/users/.." + path, headers=PAGE)
    if sent.status_code == 303:
        name, _, value = sent.headers["set-cookie"].partition("=")
        assert name.startswith("meristem-sign-in-")
        on_the_way = Seal(desk.secret, "sign-in").open(value.partition(";")[0], SigningIn)
        assert on_the_way is not None
        assert on_the_way.back.startswith("/")
        assert not on_the_way.back.startswith("//")


GOOD = {"iss": URL, "aud": "shop", "sub": "ada"}
WRONG = {
    "another nonce": {"nonce": "x"},
    "no nonce": {"nonce": None},
    "another client": {"aud": "till"},
    "another party": {"azp": "till"},
    "several audiences and no party": {"aud": ["shop", "till"]},
    "another issuer": {"iss": "https://evil.example"},
    "no subject": {"sub": None},
    "an end that is over": {"exp": 1},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
async def test_a_token_of_another_sign_in_client_or_issuer_begins_no_session(desk: Desk, change: dict[str, Any]):
    begun = SigningIn.begin("/x", "http://shop.example/auth/callback")
    answer = {"state": begun.state, "code": "c", "iss": URL}
    await desk.flow.reach()
    desk.idp.answered = claims(**GOOD, nonce=begun.nonce)
    assert (await desk.flow.finish(begun, answer)).user.subject == "ada"
    desk.idp.answered = claims(**{**GOOD, "nonce": begun.nonce, **change})
    with pytest.raises(InvalidCredentialError):
        await desk.flow.finish(begun, answer)
    desk.idp.answered = claims(**GOOD, nonce=begun.nonce)
    for wrong in ({"state": "x"}, {"iss": "https://evil.example"}, {"code": ""}, {"error": "access_denied"}):
        with pytest.raises(InvalidCredentialError):
            await desk.flow.finish(begun, answer | wrong)
