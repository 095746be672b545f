"""Tokens: whoever holds the secret is believed, and nobody else."""

import base64
import random

import pytest

from meristem.context import Identity
from meristem.errors import ConfigurationError
from meristem.security.tokens import LIFETIME, REMEMBERED, SKEW, Caller, Tokens, new_secret

ANNA = Identity("u-1", "Anna Ångström", ("guest", "staff"))
SECRET = bytes(range(32))


class Time:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def tokens(time):
    return Tokens(SECRET, now=time)


@pytest.mark.parametrize(
    ("service", "user"), [("payments", ANNA), ("payments", None), (None, ANNA), (None, None), ("ßervice", None)]
)
def test_who_calls_is_read_back(time, tokens, service, user):
    assert Tokens(SECRET, now=time).verify(tokens.sign(service, user)) == Caller(service, user)


def test_a_token_fits_into_a_header():
    token = Tokens(SECRET).sign("payments", ANNA)
    assert token.isascii()
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=.")
    assert len(token) < 250


def test_any_altered_character_makes_it_worthless(time, tokens):
    token = tokens.sign("payments", ANNA)
    rng = random.Random(1)
    for position in range(len(token)):
        other = rng.choice([each for each in "AbC9-_.=é" if each != token[position]])
        altered = token[:position] + other + token[position + 1 :]
        assert Tokens(SECRET, now=time).verify(altered) is None, position


def test_a_body_exchanged_below_a_valid_signature_is_refused(tokens):
    _, _, signature = tokens.sign("payments").partition(".")
    body = base64.urlsafe_b64encode(b'["admin",null,99999999]').decode()
    assert tokens.verify(f"{body}.{signature}") is None


def test_cut_off_empty_and_foreign_tokens_are_refused(tokens):
    token = tokens.sign("payments", ANNA)
    assert all(tokens.verify(token[:length]) is None for length in range(len(token)))
    assert tokens.verify(token + "A") is None
    assert tokens.verify("A" * 100_000 + ".A") is None
    assert tokens.verify(Tokens(new_secret()).sign("payments")) is None


def test_a_token_expires_and_the_remembered_one_too(time, tokens):
    token = tokens.sign("payments")
    fresh = Tokens(SECRET, now=time)
    assert tokens.verify(token) is not None
    time.now += LIFETIME * 60
    assert tokens.verify(token) is not None
    time.now += 60 + SKEW
    assert tokens.verify(token) is None
    assert fresh.verify(token) is None


def test_a_clock_that_is_a_little_behind_or_ahead_is_tolerated(time, tokens):
    ahead = Time()
    ahead.now = time.now + LIFETIME * 60 + SKEW - 1
    assert Tokens(SECRET, now=ahead).verify(tokens.sign("payments")) is not None


def test_a_token_is_signed_once_and_again_long_before_it_expires(time, tokens):
    first = tokens.sign("payments", ANNA)
    assert tokens.sign("payments", ANNA) is first
    time.now += LIFETIME * 60 / 2 + 60
    assert tokens.sign("payments", ANNA) != first
    assert tokens.sign("rooms", ANNA) != tokens.sign("payments", ANNA)


def test_memory_is_bounded_and_what_is_used_stays(tokens):
    kept = tokens.sign("kept")
    tokens.verify(kept)
    for number in range(REMEMBERED + 100):
        tokens.verify(tokens.sign("payments", Identity(str(number))))
        tokens.verify(kept)
    assert len(tokens._signed) <= REMEMBERED
    assert len(tokens._verified) <= REMEMBERED
    assert kept in tokens._verified


def test_a_former_secret_is_accepted_while_it_is_changed(time):
    old, new = new_secret(), new_secret()
    token = Tokens(old, now=time).sign("payments")
    assert Tokens(new, now=time).verify(token) is None
    assert Tokens(new, also=[old], now=time).verify(token) == Caller("payments")


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        (b"secret", "has 6 bytes, and 32 are the least"),
        (bytes(range(31)), "has 31 bytes, and 32 are the least"),
        (b"changeme" * 8, "is made of 7 different bytes, and 8 are the least"),
        (bytes(64), "is made of 1 different bytes, and 8 are the least"),
    ],
)
def test_a_secret_that_can_be_guessed_is_refused(secret, why):
    with pytest.raises(ConfigurationError, match=f"{why}: it could be guessed; make one with .python3 -c"):
        Tokens(secret)
    with pytest.raises(ConfigurationError, match=why):
        Tokens(new_secret(), also=[secret])


def test_thirty_two_bytes_of_which_eight_differ_are_a_secret():
    assert Tokens(b"01234567" * 4).sign("orders")
