"""Idempotency keys: which are sound, whose they are, and that what is derived of them is told apart."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from meristem.context import Identity
from meristem.errors import CallError, Code
from meristem.keys import NO_TWINS, KeyChain, Work, asked_by, check_key, owner_of, scoped, twins_of

SOUND = ["k", "~", "a b", "k" * 255, "!{}\"'\\"]
WRONG = ["", " ", " k", "k ", "k" * 256, "a\tb", "a\nb", "a\x7fb", "schlüssel", "\x00"]
PAY = SimpleNamespace(label="Bank.pay")


@pytest.mark.parametrize("key", SOUND)
def test_what_a_header_carries_as_it_is_is_a_key(key):
    check_key(PAY, key)


@pytest.mark.parametrize("key", WRONG)
def test_anything_else_is_refused(key):
    with pytest.raises(CallError, match=r"^\[invalid_argument\] Bank.pay: .* 1 to 255 characters") as caught:
        check_key(PAY, key)
    assert (caught.value.code, caught.value.may_have_happened) == (Code.INVALID_ARGUMENT, False)


def test_no_subject_is_taken_for_a_user_of_a_tenant():
    erin = Identity("erin", tenant="acme")
    others = [Identity("erin"), Identity("4:erinacme"), Identity("erinacme"), Identity("eri", tenant="nacme")]
    assert erin.asker not in {each.asker for each in others}
    assert Identity("erin").asker == "erin", "as it was stored before there were tenants"


def test_a_key_differs_by_system_operation_user_and_itself():
    keys = {
        scoped(*each)
        for each in [
            ("shop", "/v1/Buy", "ada", "k"),
            ("mall", "/v1/Buy", "ada", "k"),
            ("shop", "/v1/Rent", "ada", "k"),
            ("shop", "/v1/Buy", "bob", "k"),
            ("shop", "/v1/Buy", None, "k"),
            ("shop", "/v1/Buy", "", "k"),
            ("shop", "/v1/Buy", "a", "k"),
            ("shop", "/v1/Buy", "ada", "l"),
        ]
    }
    assert len(keys) == 8
    for key in keys:
        check_key(PAY, key)


def test_the_twins_of_an_anonymous_key_are_those_of_all_users_and_the_reverse():
    anonymous, ada = (scoped("shop", "/v1/Buy", whose, "k") for whose in (None, "ada"))
    other = scoped("shop", "/v1/Buy", "ada", "l")

    assert twins_of(anonymous).low <= ada < twins_of(anonymous).high
    assert twins_of(ada).low <= anonymous < twins_of(ada).high
    assert not twins_of(anonymous).low <= other < twins_of(anonymous).high
    assert not twins_of(ada).low <= ada < twins_of(ada).high
    assert twins_of(ada).low == asked_by(anonymous)
    assert twins_of(anonymous).low == asked_by(ada)


@pytest.mark.parametrize("key", ["order-7", "0" * 32, f"{'0' * 32}:3", f"{'0' * 32}.b", f"{'0' * 31}.a"])
def test_a_key_that_is_not_scoped_has_no_twins(key):
    assert twins_of(key) == NO_TWINS
    assert asked_by(key) is None


def chain(whose: str | None = "ada", *, system="shop", operation="/v1/Buy", key="k", request=b"{}", inside=False):
    return KeyChain.below(Work(system, operation, whose, request), key, by_service=inside)


def test_what_is_derived_differs_by_everything_that_was_asked_and_by_its_place():
    chains = [chain(), chain("bob"), chain(None), chain(system="mall"), chain(operation="/v1/Rent"), chain(key="l")]
    chains.append(chain(request=b"[]"))
    derived = {(each.derive("/v1/Pay", "ada"), each.derive("/v1/Pay", "ada"), each.derive("/v1/Take", "ada"))
               for each in chains}  # fmt: skip
    assert len({key for keys in derived for key in keys}) == 3 * len(chains)


def test_another_run_of_the_same_call_derives_the_same():
    first = chain()
    keys = [first.derive("/v1/Pay", whose) for whose in ("ada", "bob", None)]
    for again in (first.again(), chain()):
        assert [again.derive("/v1/Pay", whose) for whose in ("ada", "bob", None)] == keys


@pytest.mark.parametrize("below", ["ada", "clerk", None])
def test_what_anonymous_and_signed_in_callers_derive_are_twins_whoever_it_is_for(below):
    anonymous, ada, bob = (chain(whose).derive("/v1/Pay", whose if below == "ada" else below)
                           for whose in (None, "ada", "bob"))  # fmt: skip
    assert twins_of(anonymous).low <= ada < twins_of(anonymous).high
    assert twins_of(ada).low <= anonymous < twins_of(ada).high
    assert ada != bob
    further = chain("clerk", key=anonymous, inside=True).derive("/v1/Bill", "clerk")
    assert further[33] == "a"


def test_a_key_that_a_stranger_wrote_like_a_scoped_one_is_none():
    forged = scoped("shop", "/v1/Buy", "ada", "k")
    assert chain("eve", key=forged).root.endswith(owner_of("eve"))
    assert chain("eve", key=forged, inside=True).root.endswith(owner_of("ada"))


def test_what_a_saga_or_an_event_derives_is_what_earlier_releases_derived():
    """A step under way at an update is repeated under the key that its callee knows."""
    keys = KeyChain("0123456789abcdef0123456789abcdef:3", "ada")
    assert keys.derive("/bank.v1.Bank/Pay", "ada") == "12c53e5cfd738e8b567285abab4a333a"
    assert keys.derive("/bank.v1.Bank/Pay", "bob") != keys.again().derive("/bank.v1.Bank/Pay", "ada")
