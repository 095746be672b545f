"""A session is what this system has sealed, as long as it lasts; nothing else opens."""

from __future__ import annotations

import pytest

from meristem import Identity
from meristem.gateway.identity.credential import Credential
from meristem.gateway.identity.sealing import LONGEST, Seal, TooLargeToKeepError
from meristem.gateway.identity.sessions import SealedSession, Sessions
from meristem.security.tokens import new_secret

ADA = Credential(Identity("ada", "Ada", ("clerk",), "acme"), frozenset({"a", "b"}))


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_session_ends_and_says_until_then_who_it_is():
    clock = Clock()
    secret = new_secret()
    sessions = Sessions(Seal(secret, "session"), 60.0, clock)
    text = sessions.begin(ADA)
    assert "ada" not in text.lower()
    for known in (sessions, sessions, Sessions(Seal(secret, "session"), 60.0, clock)):  # another edge, too
        assert known.find(text) == ADA
    clock.now += 60
    assert sessions.find(text) is None


@pytest.mark.parametrize("change", ["", "x", "a.b.c.d.e", "ü" * 10, "." * 5000])
def test_what_was_not_sealed_is_none(change: str):
    assert Sessions(Seal(new_secret(), "session"), 60.0).find(change) is None


def test_what_is_changed_or_sealed_by_others_or_for_something_else_is_none():
    secret = new_secret()
    sessions = Sessions(Seal(secret, "session"), 60.0)
    text = sessions.begin(ADA)
    middle = len(text) // 2
    assert sessions.find(text[:middle] + ("A" if text[middle] != "A" else "B") + text[middle + 1 :]) is None
    assert Sessions(Seal(new_secret(), "session"), 60.0).find(text) is None
    assert Sessions(Seal(secret, "sign-in"), 60.0).find(text) is None
    assert Seal(secret, "session").open(text, SealedSession) is not None


def test_what_no_cookie_can_hold_is_refused():
    many = Credential(Identity("ada", "", tuple(f"role-{n}" for n in range(1000))))
    with pytest.raises(TooLargeToKeepError, match=str(LONGEST)):
        Sessions(Seal(new_secret(), "session"), 60.0).begin(many)
