"""A value handed to a colocated service is what the wire would have made of it."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct, ValidationError

from meristem import CallError, DecimalMeta, Message
from meristem.contracts.codec import decoder, encode, encoder
from meristem.contracts.isolation import isolator


class Colour(Enum):
    RED = "red"


class Leaf(Message):
    n: Annotated[int, Meta(ge=0, le=9)]
    s: Annotated[str, Meta(min_length=1, pattern="^[a-zé]+$")] = "a"


class Cat(Message, tag="cat"):
    lives: int


class Dog(Message, tag="dog"):
    tricks: list[str]


class Tree(Message):
    leaves: list[Leaf] = []
    named: dict[str, list[int]] = {}
    pet: Cat | Dog | None = None
    children: "list[Tree]" = []
    amount: Decimal | None = None
    day: date | None = None
    at: datetime | None = None
    key: UUID | None = None
    colour: Colour = Colour.RED
    mode: Literal["a", "b"] = "a"
    pair: tuple[int, list[int]] = (0, [])
    ids: frozenset[int] = frozenset()
    ratio: float = 0.5
    mixed: int | str | None = None


LEAF = st.builds(Leaf, n=st.integers(-2, 11), s=st.text("aé1", max_size=3))
PET = st.one_of(st.none(), st.builds(Cat, lives=st.integers()), st.builds(Dog, tricks=st.lists(st.text(max_size=2))))
TREE = st.recursive(
    st.builds(
        Tree,
        leaves=st.lists(LEAF, max_size=2),
        named=st.dictionaries(st.text(max_size=2), st.lists(st.integers(), max_size=2), max_size=2),
        pet=PET,
        amount=st.one_of(st.none(), st.decimals(allow_nan=False, allow_infinity=False)),
        day=st.one_of(st.none(), st.dates()),
        at=st.one_of(st.none(), st.datetimes(timezones=st.just(UTC))),
        key=st.one_of(st.none(), st.uuids()),
        pair=st.tuples(st.integers(-5, 5), st.lists(st.integers(-5, 5), max_size=2)),
        ids=st.frozensets(st.integers(-5, 5), max_size=2),
        ratio=st.one_of(st.floats(allow_nan=False), st.integers(-3, 3)),
        mixed=st.one_of(st.none(), st.integers(-3, 3), st.text(max_size=2)),
    ),
    lambda inner: st.builds(Tree, children=st.lists(inner, max_size=2)),
    max_leaves=3,
)


def over_the_wire(value: Any, type_: Any) -> Any:
    try:
        return decoder(type_)(encode(value))
    except (ValidationError, OverflowError, ValueError):
        return "refused"


def isolated(value: Any, type_: Any) -> Any:
    try:
        return isolator(type_)(value)
    except CallError:
        return "refused"


@given(TREE)
def test_the_outcome_is_the_wires(tree):
    assert isolated(tree, Tree) == over_the_wire(tree, Tree)


class Odd(Message):
    exact: Annotated[Decimal, DecimalMeta(ge=-5, max_digits=4)]
    ratio: float | None
    at: datetime
    clock: time
    big: Annotated[int, Meta(ge=0)]
    mode: Literal["a", 1, None]


ZONES = st.one_of(
    st.none(), st.just(UTC), st.timezones(),
    st.timedeltas(timedelta(hours=-12), timedelta(hours=12)).map(timezone),
    st.just(timezone(timedelta(hours=1), "named")),
)  # fmt: skip
ODD = st.builds(
    Odd,
    exact=st.decimals(),
    ratio=st.one_of(st.none(), st.floats()),
    at=st.datetimes(datetime(2, 1, 1), datetime(9990, 1, 1), timezones=ZONES),  # noqa: DTZ001
    clock=st.times(timezones=ZONES),
    big=st.sampled_from([0, -1, 2**63 - 1, 2**63, 2**64, 2**70, 3.0, True]),
    mode=st.sampled_from(["a", 1, None, True, [], 1.0]),
)


def written(value: Any, type_: Any) -> Any:
    """As `repr` shows it, so that zones and folds are told apart."""
    try:
        return repr(decoder(type_)(encoder(type_)(value)))
    except (ValidationError, OverflowError, ValueError, TypeError):
        return "refused"


@settings(max_examples=400)
@given(ODD)
def test_odd_values_are_what_the_wire_makes_of_them(odd):
    found = isolated(odd, Odd)

    assert (found if found == "refused" else repr(found)) == written(odd, Odd)


class Loose(Struct):
    """A message of another make: it can change."""

    n: int


def test_a_struct_that_can_change_is_not_shared():
    loose = Loose(1)
    copy = isolator(Loose)(loose)

    assert (copy.n, copy is loose) == (1, False)


def containers(value: Any) -> set[int]:
    if isinstance(value, Message):
        return set().union(*(containers(getattr(value, name)) for name in value.__struct_fields__))
    if isinstance(value, dict):
        return {id(value)}.union(*map(containers, value.values()))
    if isinstance(value, list | tuple):
        return ({id(value)} if isinstance(value, list) else set()).union(*map(containers, value))
    return set()


@given(TREE)
def test_no_mutable_container_is_shared(tree):
    copy = isolated(tree, Tree)
    assert copy == "refused" or not containers(copy) & containers(tree)


def test_a_message_in_which_nothing_can_change_is_handed_on_as_it_is():
    leaf = Leaf(n=3)
    assert isolator(Leaf)(leaf) is leaf


class Terse(Message):
    """Its fields have the names that a generated function might use for its own."""

    v: list[int]
    x: str
    given: list[float]
    w: int


def test_names_of_fields_do_not_get_in_the_way():
    terse = Terse(v=[1], x="ä", given=[2.0], w=3)
    copy = isolator(Terse)(terse)
    assert copy == terse
    assert copy.v is not terse.v
    assert copy.given is not terse.given


def test_a_refusal_names_the_field():
    with pytest.raises(CallError) as refusal:
        isolator(Tree)(Tree(leaves=[Leaf(n=1), Leaf(n=12)]))
    assert refusal.value.violations[0].field == "leaves[1].n"
    assert not refusal.value.may_have_happened


@pytest.mark.parametrize("value", ["\ud800", float("nan"), object()])
def test_what_no_wire_can_carry_is_refused(value):
    type_ = {str: str, float: float}.get(type(value), str)
    with pytest.raises(CallError):
        isolator(type_)(value)
