"""`using` changes what it is given, and keeps the rest."""

import pytest

from meristem.context import Context, Identity, Place, Trace, current, using
from meristem.keys import KeyChain

ADA, EVE = Identity("ada"), Identity("eve")


def whole() -> Context:
    keys, place = KeyChain("order-7", "ada"), Place("shop", "Shop.buy")
    return Context(9.5, Trace.start(), "web", ADA, "locale=de", "order-7", keys, place)


def fields(context: Context) -> dict[str, object]:
    return {name: getattr(context, name) for name in Context.__struct_fields__}


@pytest.mark.parametrize("change", [{"user": EVE}, {"user": None}, {"deadline": 2.5}, {"deadline": None}])
def test_one_thing_is_changed_and_the_rest_kept(change):
    with using(whole()) as outer:
        before = fields(outer)
        with using(**change):
            assert fields(current()) == before | change
        assert fields(current()) == before


def test_calls_go_out_under_a_key_that_is_given_and_not_under_derived_ones():
    with using(whole()) as outer:
        before = fields(outer)
        with using(key="intent-3"):
            assert fields(current()) == before | {"key": "intent-3", "keys": None}


def test_a_whole_context_takes_the_place_of_the_other_one():
    with using(whole()), using(Context(user=EVE)) as inner:
        assert current() is inner
        assert fields(inner) == fields(Context(user=EVE))


def test_changes_are_made_to_a_context_that_is_given_and_leave_it_as_it_was():
    given = whole()
    with using(given, user=EVE):
        assert (current().user, current().key) == (EVE, "order-7")

    assert given.user == ADA


def test_what_a_context_does_not_have_is_refused():
    with pytest.raises(TypeError, match="usr"), using(usr=EVE):  # type: ignore[call-arg]
        pass
