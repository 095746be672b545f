"""A token counts if its issuer has signed it, for this audience, and now; what could be meant otherwise does not."""

from __future__ import annotations

import asyncio
import base64
import hmac
import inspect
import json
import time
from typing import Any

import pytest

from meristem import Identity
from meristem.gateway.identity.credential import Credential, InvalidCredentialError, IssuerAwayError
from meristem.gateway.identity.signatures import public_keys
from tests.suites.issuing import AUDIENCE, EC, ED, OTHER, RSA, URL, Clock, Provider, claims, known, part, signed


async def found(issuers: Any, token: str) -> Credential:
    result = issuers.find(token)
    return await result if inspect.isawaitable(result) else result


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (EC, "ES256"), (ED, "EdDSA")])
async def test_a_token_of_each_algorithm_says_who_it_is(key: Any, algorithm: str):
    issuers, _ = known(Provider(RSA, EC, ED))
    body = claims(name="Ada", scope="orders:read orders:write")
    assert await found(issuers, signed(key, algorithm, body)) == Credential(
        Identity("u-1", "Ada"), frozenset({"orders:read", "orders:write"})
    )


async def test_roles_and_tenant_are_where_the_table_says():
    issuers, _ = known(
        Provider(RSA), roles="realm_access.roles", tenant="https://shop.example/org", name="", subject="who.id"
    )
    body = claims(
        name="Ada", who={"id": "42"}, realm_access={"roles": ["clerk", 7]}, **{"https://shop.example/org": "acme"}
    )
    assert (await found(issuers, signed(RSA, "RS256", body))).user == Identity("42", "", ("clerk",), "acme")


NOW = int(time.time())
FOREIGN = {
    "another issuer": claims(iss="https://evil.example"),
    "another audience": claims(aud="https://other.example"),
    "no audience": claims(aud=None),
    "an audience that is no text": claims(aud=[[AUDIENCE]]),
    "no end": claims(exp=None),
    "expired": claims(exp=NOW - 31),
    "an end that is a text": claims(exp=str(NOW + 300)),
    "an end that is none": claims(exp=True),
    "not yet valid": claims(nbf=NOW + 3600),
    "made in the future": claims(iat=NOW + 3600),
    "no subject": claims(sub=None),
    "an empty subject": claims(sub=""),
    "a subject that is a number": claims(sub=1),
    "the subject of a key": claims(sub="key:shop"),
    "bound to a key": claims(cnf={"jkt": "x"}),
}


@pytest.mark.parametrize("body", FOREIGN.values(), ids=FOREIGN)
async def test_claims_that_do_not_hold_are_refused(body: dict[str, Any]):
    issuers, _ = known(Provider(RSA))
    with pytest.raises(InvalidCredentialError):
        await found(issuers, signed(RSA, "RS256", body))


async def test_clocks_may_differ_by_the_leeway():
    issuers, _ = known(Provider(RSA))
    now = int(time.time())
    await found(issuers, signed(RSA, "RS256", claims(exp=now - 5, nbf=now + 20)))


def unsigned(algorithm: str) -> str:
    return f"{part({'alg': algorithm, 'kid': 'rsa-1'})}.{part(claims())}."


def by_public_key(form: bytes) -> str:
    """HS256 with the public key as its secret: who believes `alg` takes it for the issuer's (RFC 8725, 2.1)."""
    beginning = f"{part({'alg': 'HS256', 'kid': 'rsa-1'})}.{part(claims())}"
    mac = hmac.digest(form, beginning.encode(), "sha256")
    return f"{beginning}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def changed() -> str:
    head, _, signature = signed(RSA, "RS256").split(".")
    return f"{head}.{part(claims(sub='root'))}.{signature}"


SOUND = f'"iss":"{URL}","aud":"{AUDIENCE}","sub":"u-1"'
TWICE = f'{{{SOUND},"exp":{NOW + 300},"sub":"root"}}'
ENDLESS = f'{{{SOUND},"exp":Infinity}}'
FORGED = {
    "alg none": lambda: unsigned("none"),
    "alg None": lambda: unsigned("None"),
    "no alg": lambda: f"{part({'kid': 'rsa-1'})}.{part(claims())}.{'A' * 342}",
    "no signature": lambda: unsigned("RS256"),
    "another key": lambda: signed(OTHER, "RS256", kid="rsa-1"),
    "HS256 by the public key, PEM": lambda: by_public_key(RSA.as_pem(private=False)),
    "HS256 by the public key, DER": lambda: by_public_key(RSA.as_der(private=False)),
    "an algorithm that is not allowed": lambda: signed(RSA, "PS256"),
    "the algorithm of another key": lambda: signed(EC, "ES256", kid="rsa-1"),
    "changed claims": changed,
    "a key of its own": lambda: signed(OTHER, "RS256", jwk=OTHER.as_dict(private=False), kid=None),
    "a critical header": lambda: signed(RSA, "RS256", crit=["b64"], b64=True),
    "half of a character": lambda: signed(RSA, "RS256", claims(sub="\ud800")),
    "half of a character in a role": lambda: signed(RSA, "RS256", claims(roles=["\udfff"])),
    "a claim twice": lambda: signed(RSA, "RS256", TWICE),
    "a header twice": lambda: part('{"alg":"none","alg":"RS256","kid":"rsa-1"}') + f".{part(claims())}.AAAA",
    "another type": lambda: signed(RSA, "RS256", typ="logout+jwt"),
    "a header that says how its body is written": lambda: signed(RSA, "RS256", b64=True),
    "huge": lambda: signed(RSA, "RS256", claims(pad="x" * 20_000)),
    "four parts": lambda: signed(RSA, "RS256") + ".x",
    "no token": lambda: "a.b.c",
    "a list": lambda: f"{part([])}.{part([])}.x",
    "infinity": lambda: signed(RSA, "RS256", ENDLESS),
    "deep": lambda: f"{part('[' * 8000)}.x.x",
    "no ASCII": lambda: "ä.ö.ü",
    "blanks": lambda: signed(RSA, "RS256").replace(".", " .", 1),
}  # fmt: skip


@pytest.mark.parametrize("make", FORGED.values(), ids=FORGED)
async def test_what_is_forged_is_refused_and_never_remembered(make: Any):
    issuers, _ = known(Provider(RSA, EC, ED))
    for _ in range(2):
        with pytest.raises(InvalidCredentialError) as raised:
            await found(issuers, make())
        assert '"' not in str(raised.value)  # it stands in a quoted string of the answer
    assert len(issuers) == 0


async def test_a_verified_token_is_known_again_at_once_until_it_ends():
    clock = Clock()
    clock.now = time.time()
    issuers, _ = known(Provider(RSA))
    issuers._now = clock
    token = signed(RSA, "RS256")
    assert inspect.isawaitable(first := issuers.find(token))
    assert await first is issuers.find(token)
    clock.now += 330.5
    with pytest.raises(InvalidCredentialError, match="expired"):
        issuers.find(token)


async def test_an_unknown_key_is_asked_for_once_at_a_time_and_seldom():
    provider, clock = Provider(RSA), Clock()
    issuers, _ = known(provider, clock)
    await found(issuers, signed(RSA, "RS256"))
    provider.keys.append(OTHER)
    clock.now += 6
    before = len(provider.asked)
    both = await asyncio.gather(*(found(issuers, signed(OTHER, "RS256", claims(sub=f"u-{n}"))) for n in range(20)))
    assert [each.user.subject for each in both] == [f"u-{n}" for n in range(20)]
    assert len(provider.asked) - before == 2  # where the keys are, and the keys
    for _ in range(20):
        with pytest.raises(InvalidCredentialError):
            await found(issuers, signed(OTHER, "RS256", kid="unheard-of"))
    assert len(provider.asked) - before == 2


async def test_a_key_that_was_withdrawn_counts_no_longer_not_even_for_tokens_that_were_verified():
    provider, clock = Provider(RSA, EC), Clock()
    issuers, keys = known(provider, clock)
    token = signed(RSA, "RS256")
    await found(issuers, token)
    provider.keys = [EC]
    clock.now += 6
    await keys.read_again()
    with pytest.raises(InvalidCredentialError):
        await found(issuers, token)


async def test_old_keys_count_while_the_issuer_is_away(caplog: pytest.LogCaptureFixture):
    provider, clock = Provider(RSA), Clock()
    issuers, keys = known(provider, clock)
    await found(issuers, signed(RSA, "RS256"))
    provider.is_there = False
    for _ in range(3):
        clock.now += 600
        await keys.read_again()
    assert (await found(issuers, signed(RSA, "RS256", claims(sub="u-2")))).user.subject == "u-2"
    assert caplog.text.count("can't be read") == 1


async def test_before_the_issuer_was_there_nothing_can_be_told_of_its_tokens():
    provider, clock = Provider(RSA), Clock()
    provider.is_there = False
    issuers, keys = known(provider, clock)
    await keys.start()
    try:
        with pytest.raises(IssuerAwayError):
            await found(issuers, signed(RSA, "RS256"))
        provider.is_there = True
        clock.now += 6
        assert (await found(issuers, signed(RSA, "RS256"))).user.subject == "u-1"
    finally:
        await keys.stop()


def test_keys_that_could_sign_or_are_too_short_are_none():
    weak = '{"keys":[{"kty":"oct","k":"c2VjcmV0"},{"kty":"RSA","use":"enc","n":"AQAB","e":"AQAB"},{"kty":"new"}]}'
    with pytest.raises(ValueError, match="no key"):
        public_keys(weak.encode())
    by_one = json.dumps({"keys": [{**RSA.as_dict(private=False), "e": "AQ"}]})
    with pytest.raises(ValueError, match="no key"):
        public_keys(by_one.encode())
    for wrong in (b"[]", b'{"keys": 1}', b'{"keys": []}'):
        with pytest.raises(ValueError, match="key"):
            public_keys(wrong)


P25519, P448 = 2**255 - 19, 2**448 - 2**224 - 1
ORDER_8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
SMALL = {
    "Ed25519": [
        *(each.to_bytes(32, "little") for each in (0, 1, P25519 - 1, P25519, P25519 + 1)),
        bytes.fromhex(ORDER_8),
        (P25519 - int.from_bytes(bytes.fromhex(ORDER_8), "little")).to_bytes(32, "little"),
    ],
    "Ed448": [each.to_bytes(57, "little") for each in (0, 1, P448 - 1, P448, P448 + 1)],
}


@pytest.mark.parametrize("negative", [0, 0x80])
@pytest.mark.parametrize(("curve", "point"), [(curve, each) for curve, points in SMALL.items() for each in points])
def test_a_point_of_small_order_is_no_key_for_anybody_could_sign_by_it(curve: str, point: bytes, negative: int):
    written = point[:-1] + bytes((point[-1] | negative,))
    jwk = {"kty": "OKP", "crv": curve, "x": base64.urlsafe_b64encode(written).rstrip(b"=").decode()}
    with pytest.raises(ValueError, match="no key"):
        public_keys(json.dumps({"keys": [jwk]}).encode())
