"""Who may come in is written so that it can be meant: else it is refused by key, with what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from meristem import System
from meristem.cli.settings import settings_of
from meristem.errors import ConfigurationError
from meristem.runtime.gateway_identity import authenticator
from meristem.runtime.options import Options
from meristem.system.blueprint import Blueprint
from meristem.system.placement import Placement
from tests.unit.gateway.policy.asked import why_refused

SOUND = """
[gateway.issuers.main]
issuer = "https://login.example"
audience = "shop"
claims = { roles = "realm_access.roles" }

[gateway.issuers.partner]
issuer = "https://partner.example"
audience = ["shop", "api"]
jwks = "https://partner.example/keys"
algorithms = ["ES256"]
leeway = "10s"
subject_prefix = "partner:"

[gateway.issuers.till]
issuer = "till"
audience = "shop"
algorithms = ["HS256"]
subject_prefix = "till:"

[gateway.keys]

[gateway.sign_in]
issuer = "https://login.example"
client_id = "shop"
scopes = ["openid"]
after_sign_out = "/bye"
lifetime = "12h"

[gateway.routes.api]
path = "/api/*"
require = "user or key"
roles = ["clerk"]
scopes = ["orders:read"]
"""


def read(tmp_path: Path, text: str) -> Placement:
    file = tmp_path / "one.toml"
    file.write_text(text)
    return Placement.read(file)


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ('"https://login.example"', '"http://login.example"', "is asked without TLS"),
        ('"https://login.example"', '"login"', "is no URL of HTTPS"),
        ('"https://login.example"', '"https://partner.example"', "that of [gateway.issuers.main]"),
        ('"https://partner.example/keys"', '"file:///etc/passwd"', "is no URL of HTTPS"),
        ('["shop", "api"]', "[]", "audience: name what"),
        ('["ES256"]', '["ES256", "HS256"]', "one issuer has one or the other"),
        ('["ES256"]', '["HS256"]', "the secret is a setting"),
        ('["ES256"]', '["none"]', "RS256, PS256"),
        ('["ES256"]', "[]", "name at least one"),
        ('"10s"', '"1h"', "have to be set"),
        ('"10s"', '"10"', "10s"),
        ('"partner:"', '""', "[gateway.issuers.main] has the same one"),
        ("{ roles", "{ rolls", "rolls"),
        ('{ roles = "realm_access.roles" }', '{ subject = "" }', "name the claim that tells who it is"),
        ('"user or key"', '"clerk"', '"anybody", "user"'),
        ('"user or key"', '"anybody"', "neither roles nor scopes"),
        ('require = "user or key"', "", "say who is meant"),
        ('"orders:read"', '"orders read"', "visible ASCII"),
        ("[gateway.keys]", "", "there are no keys"),
        ('client_id = "shop"', 'client_id = ""', "what this system is called"),
        ('["openid"]', '["profile"]', "does not tell who somebody is"),
        ('"/bye"', '"//evil.example"', "neither a path"),
        ('"/bye"', '"javascript:x"', "neither a path"),
        ('"12h"', '"31d"', "between 1min and 30d"),
        ('scopes = ["openid"]', 'callback = "/auth/sign-out"', "the same path as callback"),
        ('scopes = ["openid"]', 'callback = "callback"', "a path of letters"),
        ('scopes = ["openid"]', 'algorithms = ["HS256"]', "with public keys"),
        ('scopes = ["openid"]', 'subject_prefix = "other:"', "is that of [gateway.issuers.main]"),
    ],
)  # fmt: skip
def test_it_says_what_is_wrong_and_where(tmp_path: Path, before: str, after: str, why: str):
    told = why_refused(tmp_path, SOUND, before, after)
    assert why in told
    assert "gateway." in told


def test_a_route_that_asks_for_users_needs_something_that_tells_who_they_are(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="nothing tells who a user is"):
        read(tmp_path, '[gateway.routes.all]\nrequire = "user"\n')


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({}, "set SHOP_GATEWAY_TILL_SECRET, or SHOP_GATEWAY_TILL_SECRET_FILE"),
        ({"SHOP_GATEWAY_TILL_SECRET": "short"}, "SHOP_GATEWAY_TILL_SECRET has 5 bytes, and 32 are the least"),
        (
            {"SHOP_GATEWAY_TILL_SECRET": "0123456789abcdef" * 2, "SHOP_GATEWAY_MAIN_SECRET": "0123456789abcdef" * 2},
            "SHOP_GATEWAY_MAIN_SECRET is set, and [gateway.issuers.main] has public keys",
        ),
    ],
)
def test_a_secret_is_set_where_one_is_shared_and_nowhere_else(tmp_path: Path, environment: dict[str, str], why: str):
    table = read(tmp_path, SOUND).gateway
    assert table is not None
    with pytest.raises(ConfigurationError) as raised:
        authenticator(table, "shop", Options(environment=environment))
    assert why in str(raised.value)


def test_the_settings_of_issuers_are_listed_and_their_secrets_hidden(tmp_path: Path):
    secret = "0123456789abcdef" * 2
    blueprint = Blueprint(System("shop"), read(tmp_path, SOUND))
    found = settings_of(blueprint, ["main"], {"SHOP_GATEWAY_TILL_SECRET": secret})
    assert {"gateway_main", "gateway_partner", "gateway_till", "gateway_sign_in"} <= {*found}
    (shown,) = [each for each in found["gateway_till"] if each.name == "secret"]
    assert shown.variable == "SHOP_GATEWAY_TILL_SECRET"
    assert secret not in shown.value
    assert next(each.variable for each in found["gateway_sign_in"]) == "SHOP_GATEWAY_SIGN_IN_CLIENT_SECRET"


async def test_a_secret_may_stand_in_a_file(tmp_path: Path):
    (tmp_path / "secret").write_text("0123456789abcdef" * 2)
    table = read(tmp_path, SOUND).gateway
    assert table is not None
    environment = {"SHOP_GATEWAY_TILL_SECRET_FILE": str(tmp_path / "secret")}
    assert authenticator(table, "shop", Options(environment=environment, directory=tmp_path)) is not None
