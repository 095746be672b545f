"""What crosses from one service to another arrives as it was given, wherever the services live."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from placed import BY_GRPC
from systems.values import (
    Between,
    Bounded,
    Box,
    Cat,
    Colour,
    Defaults,
    Dog,
    Inner,
    Level,
    Mirror,
    Moments,
    Nested,
    Pages,
    Plain,
    Priced,
    Strict,
    Ticket,
    Tree,
    tree_of,
)  # fmt: skip

from meristem import CallError, Code

SYSTEM = "systems.values:system"
pytestmark = pytest.mark.asyncio(loop_scope="module")
ID = UUID("5a0f5b0e-0000-4000-8000-00000000b00c")

PLAIN = Plain(
    flag=True, whole=-7, real=0.1, text="x", raw=b"\x00\xff", exact=Decimal("10.50"), day=date(2030, 2, 28),
    moment=datetime(2030, 6, 7, 12, 30, 0, 123456, tzinfo=UTC), clock=time(23, 59, 59, 999999),
    span=timedelta(days=-2, seconds=3, microseconds=4), id=ID, colour=Colour.RED, level=Level.HIGH, word=3,
)  # fmt: skip
NESTED = Nested(
    inner=Inner(text="a", numbers=[1, 2]), maybe=Inner(text="b"), nothing=None, pet=Dog(name="Rex", friends=["Tom"]),
    mixed="text", many=[Inner(text="c"), Inner(text="d", numbers=[3])], row=(1, 2, 3), pair=("p", Decimal("1.10")),
    words={"x", "y"}, frozen=frozenset({1, 2}), by_name={"a": Inner(text="e")}, by_number={-1: ["m"], 2: []},
    by_id={ID: date(2030, 1, 1)}, by_colour={Colour.BLUE: 1.5}, deep={"k": [{"s": {1, 2}}, {}]},
)  # fmt: skip


def exact(value: Any) -> Any:
    """The value with the type of every part, so that 1 and True, or Cat and Dog, are told apart."""
    if isinstance(value, msgspec.Struct):
        return type(value), {name: exact(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return dict, {exact(key): exact(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value), [exact(each) for each in value]
    if isinstance(value, set | frozenset):
        return type(value), frozenset(exact(each) for each in value)
    return type(value), value


async def refused(work: Any) -> CallError:
    with pytest.raises(CallError) as caught:
        await work
    return caught.value


@pytest.mark.parametrize(
    "value",
    [
        PLAIN,
        msgspec.structs.replace(PLAIN, flag=False, whole=0, real=-0.0, text="", raw=b"", word="yes", level=Level.LOW),
        msgspec.structs.replace(PLAIN, exact=Decimal("1E+3"), real=1e308, whole=10, colour=Colour.BLUE),
        msgspec.structs.replace(PLAIN, exact=Decimal("0.00"), real=5e-324, day=date(1, 1, 1), clock=time(0)),
        msgspec.structs.replace(PLAIN, moment=datetime(2030, 6, 7, tzinfo=timezone(timedelta(hours=5, minutes=30)))),
    ],
)
async def test_every_plain_type_arrives_as_it_was(app, value):
    assert exact(await app.client(Mirror).plain(value)) == exact(value)


async def test_everything_that_holds_something_arrives_as_it_was(app):
    assert exact(await app.client(Mirror).nested(NESTED)) == exact(NESTED)
    other = msgspec.structs.replace(NESTED, pet=Cat(), mixed=3, maybe=None, many=[], by_number={}, words=set())
    assert exact(await app.client(Between).nested(other)) == exact(other)


async def test_defaults_are_filled_in_and_lists_of_defaults_are_not_shared(app):
    first, second = await app.client(Mirror).defaults(Defaults()), await app.client(Mirror).defaults(Defaults())
    first.tags.append("mine")

    assert exact(second) == exact(Defaults(name="nobody", tags=[], colour=Colour.BLUE, size=3))


async def test_several_parameters_are_given_by_position_or_name_and_have_defaults(app):
    mirror = app.client(Mirror)

    assert await mirror.many(1) == ["1", "default", "red"]
    assert await mirror.many(whole=2, text="t", colour=Colour.BLUE) == ["2", "t", "blue"]


async def test_wrong_arguments_are_refused_as_python_refuses_them(app):
    mirror = app.client(Mirror)
    for call in (mirror.many, lambda: mirror.many(1, unknown=2), lambda: mirror.many(1, "t", Colour.RED)):
        with pytest.raises(TypeError):
            call()


async def test_no_parameters_and_no_result_are_fine(app):
    mirror = app.client(Mirror)

    assert await mirror.nothing() is None
    assert [await mirror.perhaps(True), await mirror.perhaps(False)] == ["given", None]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "𝄞 clef",
        "שלום עולם",
        "e\u0301 is not \u00e9",
        "\u0000\u001f\u007f",
        'quote " \\ slash',
        "\u2028\u2029\ufeff",
        "👩‍👩‍👧‍👦",
    ],
)
async def test_text_of_every_script_arrives_as_it_was(app, text):
    assert await app.client(Mirror).text(text) == text


async def test_a_lone_surrogate_is_refused(app):
    error = await refused(app.client(Mirror).text("broken \ud800"))

    assert error.code is Code.INVALID_ARGUMENT
    assert not error.may_have_happened


@pytest.mark.parametrize("number", [0, 2**53 + 1, 2**63 - 1, -(2**63)])
async def test_whole_numbers_keep_every_digit(app, number):
    assert await app.client(Mirror).whole(number) == number


@pytest.mark.parametrize("number", [2**64 - 1, 2**64, -(2**70)])
async def test_whole_numbers_of_more_than_64_bits_keep_every_digit_or_are_refused(app, where, number):
    """JSON holds any number, and an `int` is an int64 in protobuf."""
    if where in BY_GRPC:
        error = await refused(app.client(Mirror).whole(number))
        assert (error.code, error.may_have_happened) == (Code.INVALID_ARGUMENT, False)
    else:
        assert await app.client(Mirror).whole(number) == number


async def test_16_mib_cross_in_one_message(app):
    letters, raw = "e" * (16 << 20), bytes(range(256)) * ((11 << 20) // 256)  # nearly 15 MiB of base64
    wide = "é" * (5 << 19)  # 5 MiB of UTF-8, each 128 bytes of which count as a value

    assert await app.client(Mirror).text(letters) == letters
    assert await app.client(Mirror).text(wide) == wide
    assert await app.client(Mirror).raw(raw) == raw


async def test_an_int_for_a_float_arrives_as_a_float(app):
    assert await app.client(Mirror).kind(3) == "float"
    assert exact(await app.client(Mirror).real(3)) == exact(3.0)


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan")])
async def test_what_is_no_number_is_refused(app, number):
    assert (await refused(app.client(Mirror).real(number))).code is Code.INVALID_ARGUMENT


class Loud(str):
    """A string of the user's own."""


class Puppy(Dog, tag="puppy"):
    toys: int = 1


async def test_instances_of_subclasses_arrive_as_the_declared_type_or_are_refused(app):
    mirror = app.client(Mirror)

    assert exact(await mirror.whole(Level.HIGH)) == exact(2)
    assert (await refused(mirror.text(Loud("hey")))).code is Code.INVALID_ARGUMENT
    error = await refused(mirror.union([Puppy(name="Bo")]))
    assert (error.code, error.violations[0].field) == (Code.INVALID_ARGUMENT, "pets[0].type")


@pytest.mark.parametrize(
    ("call", "field", "reason"),
    [
        (lambda mirror: mirror.whole("7"), "value", "expected `int`, got `str`"),
        (lambda mirror: mirror.whole(True), "value", "expected `int`, got `bool`"),
        (lambda mirror: mirror.whole(1.5), "value", "expected `int`, got `float`"),
        (lambda mirror: mirror.text(None), "value", "expected `str`, got `null`"),
        (lambda mirror: mirror.many(1, colour="green"), "colour", "invalid enum value 'green'"),
        (lambda mirror: mirror.bounded(Bounded(count=0)), "count", "expected `int` >= 1"),
        (lambda mirror: mirror.bounded(Bounded(count=11)), "count", "expected `int` <= 10"),
        (lambda mirror: mirror.bounded(Bounded(count=1, code="A")), "code", "matching regex"),
        (lambda mirror: mirror.bounded(Bounded(count=1, code="abcdef")), "code", "length <= 5"),
        (lambda mirror: mirror.bounded(Bounded(count=1, items=[])), "items", "length >= 1"),
        (lambda mirror: mirror.bounded(Bounded(count=1, items=[2, 0])), "items[1]", "expected `int` >= 1"),
        (lambda mirror: mirror.bounded(Bounded(count=1, when=datetime(2030, 1, 1))), "when", "timezone"),  # noqa: DTZ001
        (lambda mirror: mirror.nested(msgspec.structs.replace(NESTED, many=[1])), "many[0]", "expected `object`"),
        (lambda mirror: mirror.union([Cat(), 5]), "pets[1]", "expected `object`"),
    ],
)  # fmt: skip
async def test_a_wrong_value_is_refused_with_field_and_reason(app, call, field, reason):
    error = await refused(call(app.client(Mirror)))

    assert error.code is Code.INVALID_ARGUMENT
    assert not error.may_have_happened
    assert [each.field for each in error.violations] == [field]
    assert reason in error.violations[0].reason
    assert field in error.message


async def test_generic_and_renamed_and_strict_messages_arrive_as_they_were(app):
    page = Pages(items=[PLAIN], next=Ticket("7"))

    assert exact(await app.client(Mirror).page(page)) == exact(page)
    assert await app.client(Mirror).strict(Strict(class_="first")) == Strict(class_="first")
    error = await refused(app.client(Mirror).page(Pages(items=[NESTED])))
    assert error.violations[0].field == "items[0].flag"


LISBON = ZoneInfo("Europe/Lisbon")


@pytest.mark.parametrize(
    ("moment", "clock", "told"),
    [
        (datetime(2030, 3, 30, 12, tzinfo=LISBON), None, "datetime.datetime(2030, 3, 31, 12, 0, tzinfo={utc}) None 0"),
        (datetime(2030, 1, 1, fold=1, tzinfo=UTC), None, "datetime.datetime(2030, 1, 2, 0, 0, tzinfo={utc}) None 0"),
        (datetime(1800, 1, 1, tzinfo=LISBON), None, "datetime.datetime(1800, 1, 2, 0, 36, 45, tzinfo={utc}) None 0"),
        (
            datetime(2030, 1, 1, tzinfo=timezone(timedelta(seconds=3), "odd")),
            time(1, tzinfo=UTC),
            "datetime.datetime(2030, 1, 1, 23, 59, 57, tzinfo={utc}) datetime.time(1, 0, tzinfo={utc}) 0",
        ),
    ],
)
async def test_a_moment_arrives_as_the_same_moment_without_its_zone(app, moment, clock, told):
    arrived = await app.client(Mirror).moments(Moments(at=moment, clock=clock))

    assert arrived == told.format(utc="datetime.timezone.utc")


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (Priced(price=Decimal("NaN")), "price"),
        (Priced(price=Decimal("-Infinity")), "price"),
        (Priced(price=Decimal("-0.01")), "price"),
        (Priced(price=Decimal("0.001")), "price"),
        (Priced(price=Decimal("10000.01")), "price"),
        (Priced(price=Decimal("1E+6")), "price"),
        (Priced(price=Decimal(1), ratio=float("nan")), None),
        (Priced(price=Decimal(1), ratio=float("inf")), None),
        (Priced(price=Decimal(1), level=[]), "level"),
        (Priced(price=Decimal(1), level=True), "level"),
    ],
)
async def test_what_has_no_place_on_a_wire_is_refused(app, value, field):
    error = await refused(app.client(Mirror).priced(value))

    assert (error.code, error.may_have_happened) == (Code.INVALID_ARGUMENT, False)
    assert [each.field for each in error.violations] == ([] if field is None else [field])


@pytest.mark.parametrize("price", ["0", "-0", "9999.99", "1E+3", "0.10"])
async def test_decimals_within_their_bounds_keep_every_digit(app, price):
    assert str((await app.client(Mirror).priced(Priced(price=Decimal(price)))).price) == price


@pytest.mark.parametrize("clock", [time(12, tzinfo=LISBON), time(12, tzinfo=timezone(timedelta(seconds=1)))])
async def test_a_time_whose_zone_would_be_lost_is_refused(app, clock):
    error = await refused(app.client(Mirror).moments(Moments(at=datetime(2030, 1, 1, tzinfo=UTC), clock=clock)))

    assert (error.code, error.may_have_happened) == (Code.INVALID_ARGUMENT, False)


async def test_what_is_no_value_at_all_is_refused(app):
    error = await refused(app.client(Mirror).text(object()))

    assert error.message == "it cannot cross a wire: Encoding objects of type object is unsupported"
    assert error.code is Code.INVALID_ARGUMENT
    assert not error.may_have_happened


def endless() -> Tree:
    branches: list[Tree] = []
    branches += [Tree(branches=branches), Tree(branches=branches)]  # to be walked 2 to the power of 100 times
    return branches[0]


async def test_a_value_of_a_hundred_levels_arrives(app):
    # the list of no branches in the innermost message is a level, too
    assert await app.client(Mirror).tree(tree_of(99)) == tree_of(99)
    assert await app.client(Mirror).grown(99) == tree_of(99)


@pytest.mark.parametrize(
    "value", [tree_of(100), tree_of(700), tree_of(10_000), endless()], ids=["100", "700", "10000", "endless"]
)
async def test_a_deeper_one_is_refused_alike_wherever_that_is_noticed(app, value):
    error = await refused(app.client(Mirror).tree(value))

    assert (error.code, error.message) == (Code.INVALID_ARGUMENT, "it is nested more than 100 levels deep")
    assert (error.may_have_happened, [each.field for each in error.violations]) == (False, [""])


@pytest.mark.parametrize("levels", [100, 10_000])
async def test_a_reply_that_is_too_deep_is_the_service_s_failure(app, levels, caplog):
    error = await refused(app.client(Mirror).grown(levels))

    assert (error.code, error.violations) == (Code.INTERNAL, ())


@pytest.mark.parametrize("name", ["wrong_reply", "unbounded_reply"])
async def test_a_reply_that_breaks_its_contract_is_the_service_s_failure(app, name, caplog):
    error = await refused(getattr(app.client(Mirror), name)())

    assert error.code is Code.INTERNAL
    assert error.violations == ()
    assert name in error.message


async def test_what_caller_or_callee_changes_afterwards_reaches_nobody_else(app):
    mirror = app.client(Mirror)
    given = Box(items=[1], names={"a": ["b"]})
    await mirror.keep(given)
    given.items.append(2)
    given.names["a"].append("c")
    taken = await mirror.kept()
    taken.items.clear()

    assert await mirror.kept() == Box(items=[1], names={"a": ["b"]})
    spoiled = await mirror.spoil()
    assert (given.items, spoiled.items) == ([1, 2], [1, -1])
    assert await app.client(Between).isolated()


async def test_lists_within_lists_are_separated_too(app):
    given = [[1], [2]]
    answer = await app.client(Mirror).keep_list(given)
    answer[1].append(3)

    assert given == [[1], [2]]
    assert (await app.client(Mirror).keep_list([[9]])) == [[9, -1]]
