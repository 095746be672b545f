"""A travelling value: of its type wherever it is set and read, small, and one of its name in a process."""

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NewType
from uuid import UUID

import msgspec
import pytest

from meristem import CallError, Code, Context, Message, MisuseError, Travelling, current, using

Customer = NewType("Customer", str)
Small = Annotated[int, msgspec.Meta(ge=0, le=9)]


class Colour(Enum):
    RED = "red"


class Number(Enum):
    ONE = 1


class Tenant(Message):
    name: str
    limit: Decimal = Decimal("1.50")


Locale = Travelling[str]("tests.locale", default="en")
Bare = Travelling[int]("tests.bare")


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        (str, ["", "7", "null", "true", '"', "{}"]),
        (int, [0, -7, 2**70]),
        (float, [0.5, 1e300]),
        (bool, [True, False]),
        (Decimal, [Decimal("1.10")]),
        (UUID, [UUID(int=7)]),
        (date, [date(2030, 1, 2)]),
        (datetime, [datetime(2030, 1, 2, 3, 4, 5, 6, UTC)]),
        (Colour, [Colour.RED]),
        (Literal["a", "b"], ["b"]),
        (Customer, ["c-7"]),
        (Small, [9]),
        (Tenant, [Tenant(name='a,b;"c"'), Tenant(name="", limit=Decimal(2))]),
    ],
)
def test_a_value_is_read_as_it_was_set(type_: Any, values: list[Any]):
    travelling = Travelling[type_]("tests.any", public=True)
    for value in values:
        with travelling.using(value):
            found = travelling.get()
            assert (found, type(found)) == (value, type(value))
            name, _, sent = current().baggage.partition("=")
            assert travelling.admit(sent) == f"{name}={sent}"


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (str, 7), (str, None), (str, "\ud800"), (int, "7"), (int, True), (int, 1.5), (bool, 1), (Small, 10),
        (float, float("nan")), (Colour, "green"), (Literal["a"], "b"), (UUID, "x"), (Tenant, {"name": "a"}),
    ],
)  # fmt: skip
def test_what_is_of_another_type_is_refused_where_it_is_set(type_: Any, value: Any):
    travelling = Travelling[type_]("tests.any")
    with pytest.raises(MisuseError, match="is no value of tests.any"), travelling.using(value):
        pass
    with pytest.raises(MisuseError, match="is no value of tests.other"):
        Travelling[type_]("tests.other", default=value)


@pytest.mark.parametrize("type_", [list[int], str | None, dict[str, str], Number, Literal[1], object, "str", None])
def test_of_some_types_there_are_none(type_: Any):
    with pytest.raises(MisuseError, match="can't be of"):
        Travelling[type_]("tests.any")


@pytest.mark.parametrize("name", ["", "Locale", "a b", "a=b", "a,b", "é", "1a", "a" * 65, "a\n"])
def test_a_name_that_no_wire_carries_is_refused(name):
    with pytest.raises(MisuseError, match="a name is up to 64"):
        Travelling[str](name)


def test_it_says_of_which_type_it_is():
    with pytest.raises(MisuseError, match=r"Travelling\[str\]\('tests.any'\)"):
        Travelling("tests.any")


def test_two_of_one_name_are_refused_with_the_places_of_both():
    first = Travelling[str]("tests.twice")
    with pytest.raises(MisuseError) as caught:
        Travelling[int]("tests.twice")

    assert str(caught.value).count(__file__) == 2
    assert "import the first, or name the second otherwise" in str(caught.value)
    assert first.declared_at in str(caught.value)


def test_a_module_that_runs_again_declares_the_same():
    made = [Travelling[str]("tests.again") for _ in range(2)]
    with made[0].using("x"):
        assert made[1].get() == "x"


def test_without_a_value_the_nearest_default_holds():
    assert (Locale.get(), Locale.get("fr"), Locale.get(None)) == ("en", "fr", None)
    assert (Bare.get(None), Bare.get(3)) == (None, 3)
    with Locale.using("de"), Bare.using(4):
        assert (Locale.get("fr"), Bare.get(None)) == ("de", 4)
    with pytest.raises(MisuseError, match=r"no tests.bare came .* or get\(None\)"):
        Bare.get()


def test_a_block_ends_also_by_an_error_and_keeps_what_surrounds_it():
    with using(Context(key="k")), Locale.using("de"):
        with pytest.raises(ValueError, match="out"), Locale.using("fr"):
            assert (Locale.get(), current().key) == ("fr", "k")
            raise ValueError("out")
        assert Locale.get() == "de"
        with using(user=None):
            assert Locale.get() == "de"
    assert current().baggage == ""


async def test_tasks_at_once_have_their_own():
    async def ask(locale: str) -> str:
        with Locale.using(locale):
            await asyncio.sleep(0)
            return Locale.get()

    assert await asyncio.gather(ask("a"), ask("b")) == ["a", "b"]


def test_what_is_too_large_is_refused_where_it_is_set():
    entered = []
    with pytest.raises(MisuseError, match="let an id travel"), Locale.using("a" * 1012):
        pass
    with Locale.using("a" * 1011):
        baggage = ",".join(f"x{number}={'a' * 1030}" for number in range(3))
        with using(Context(baggage=baggage)), pytest.raises(MisuseError, match="may be 4096"), Locale.using("a" * 1011):
            entered.append(Locale)
    assert entered == []


def test_what_another_release_set_is_refused_by_name_where_it_is_read():
    for baggage in ("tests.bare=x", "tests.bare=%FF", "tests.bare="):
        with using(Context(baggage=baggage)), pytest.raises(CallError) as caught:
            Bare.get()
        assert caught.value.code is Code.INVALID_ARGUMENT
        assert caught.value.message.startswith("baggage: tests.bare: ")
