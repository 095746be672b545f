"""A contract is understood, or refused with the class, method and remedy named, when it is defined."""

import math
from collections.abc import AsyncIterable, AsyncIterator
from decimal import Decimal
from typing import Annotated, Any, Generic, NewType, Protocol, TypeVar

import msgspec
import pytest

from meristem import (
    Contract,
    ContractError,
    Fault,
    Message,
    Retry,
    idempotent,
    once,
    operation,
    safe,
)
from meristem.contracts.contract import operations
from meristem.contracts.operation import Semantics
from meristem.proto import JsonName


class Order(Message):
    """What somebody wants."""

    item: str
    count: Annotated[int, msgspec.Meta(ge=1)] = 1


class SoldOut(Fault):
    """Nothing is left."""

    item: str


T = TypeVar("T")
UserId = NewType("UserId", str)
Age = NewType("Age", Annotated[int, msgspec.Meta(ge=0)])  # type: ignore[valid-newtype]


class Page(Message, Generic[T]):
    items: list[T]
    total: int = 0


class Growing(Message, Generic[T]):
    value: T
    larger: "Growing[list[T]] | None" = None


class Halves(Message):
    other: "Missing"  # type: ignore[name-defined] # noqa: F821


class Strange(Fault):
    what: object


class Shop(Contract, Protocol, package="shop.v1"):
    """Sells things."""

    @once(raises=[SoldOut], timeout=2.0)
    async def buy(self, order: Order) -> Order:
        """Buy something."""
        ...

    @safe(http="GET /orders/{order_id}")
    async def find_order(self, order_id: str, *, deep: bool = False) -> Order | None: ...

    @idempotent
    async def close(self) -> None: ...

    @operation(http="POST /notes", status=201)
    async def note(self, text: str) -> None: ...

    def watch(self, item: str) -> AsyncIterator[Order]: ...


def test_an_operation_carries_what_its_method_declares():
    buy = operations(Shop)["buy"]
    assert buy.path == "/shop.v1.Shop/Buy"
    assert buy.label == "Shop.buy"
    assert (buy.semantics, buy.timeout, buy.raises, buy.doc) == (Semantics.ONCE, 2.0, (SoldOut,), "Buy something.")


def test_a_single_message_is_the_request_itself_and_other_parameters_make_one():
    known = operations(Shop)
    assert known["buy"].request is Order
    assert known["find_order"].wire_name == "FindOrder"
    assert known["find_order"].request(order_id="7") == known["find_order"].request(order_id="7", deep=False)
    assert known["close"].request() is not None


def test_a_method_that_returns_an_async_iterator_is_a_stream():
    watch = operations(Shop)["watch"]
    assert watch.stream
    assert watch.reply is Order


class Lines(Contract, Protocol, package="lines.v1"):
    async def count(self, lines: AsyncIterator[str]) -> int: ...

    @safe(timeout=3.0, idle=1.0)
    def echo(self, *, orders: AsyncIterator[Order]) -> AsyncIterator[Order]: ...


def test_a_parameter_that_is_an_async_iterator_is_a_stream_whose_items_are_requests():
    count, echo = operations(Lines).values()

    assert (count.takes_stream, count.stream, count.timeout, count.idle) == (True, False, math.inf, 60.0)
    assert count.request(lines="a").lines == "a"
    assert (echo.takes_stream, echo.stream, echo.timeout, echo.idle) == (True, True, 3.0, 1.0)
    assert echo.request is Order


def define(body: dict[str, Any]) -> Any:
    return type(Contract)("Broken", (Contract, Protocol), {**body, "__module__": __name__}, package="broken.v1")


async def unannotated(self, x) -> int: ...
async def unreturned(self, x: int): ...
async def starred(self, *xs: int) -> int: ...
async def strange(self, x: object) -> int: ...
async def vague(self, x: list) -> int: ...
async def keyed(self, x: dict[float, int]) -> int: ...
async def impossible(self, x: Annotated[Decimal, msgspec.Meta(ge=0)]) -> None: ...


async def strange_reply(self) -> set[complex]: ...
async def changing_set(self, xs: set[tuple[int, list[int]]]) -> int: ...
async def coroutine_stream(self) -> AsyncIterator[int]: ...
def not_async(self, x: int) -> int: ...
@once(timeout=0)
async def timeless(self) -> int: ...
@safe(timeout=float("inf"))
async def endless(self) -> int: ...
@safe(idle=0)
def breathless(self) -> AsyncIterator[int]: ...
@safe(idle=3.0)
async def idle_call(self) -> int: ...
@safe(max_staleness=float("inf"))
async def stale_for_ever(self) -> int: ...
@safe(max_staleness=0)
async def stale_never(self) -> int: ...
@idempotent(max_staleness=1.0)
async def stale_write(self) -> int: ...
@safe(max_staleness=1.0, cpu=True)
async def stale_sum(self) -> int: ...
@safe(timeout="5")  # type: ignore[arg-type]
async def worded(self) -> int: ...
@safe(retry=Retry(attempts=0))
async def untried(self) -> int: ...
@safe(retry=Retry(base=float("nan")))
async def pauseless(self) -> int: ...
@safe(retry=Retry(base=2.0))
async def falling(self) -> int: ...
@once(raises=[ValueError])  # type: ignore[list-item]
async def foreign_fault(self) -> int: ...
async def misnamed(self, name: str, label: Annotated[str | None, JsonName("name")] = None) -> int: ...
async def alike(self, room_id: int, roomId: int) -> int: ...  # noqa: N803
async def open_page(self) -> Page[T]: ...
async def bare_page(self) -> Page: ...  # type: ignore[type-arg]
async def endless_page(self) -> Growing[int]: ...
async def checked_only(self, when: "Missing") -> int: ...  # type: ignore[name-defined] # noqa: F821
async def holds_checked_only(self) -> "Halves": ...
@once(raises=[Strange])
async def strange_fault(self) -> int: ...
async def two_streams(self, xs: AsyncIterator[int], ys: AsyncIterator[int]) -> int: ...
async def stream_and_more(self, name: str, xs: AsyncIterator[int]) -> int: ...
async def default_stream(self, xs: AsyncIterator[int] = None) -> int: ...  # type: ignore[assignment] # noqa: RUF013
async def iterable(self, xs: AsyncIterable[int]) -> int: ...
async def listed_stream(self, xs: list[AsyncIterator[int]]) -> int: ...
async def strange_items(self, xs: AsyncIterator[object]) -> int: ...
@once
async def once_with_stream(self, xs: AsyncIterator[int]) -> int: ...
@operation(http="POST /xs")
async def routed_stream(self, xs: AsyncIterator[int]) -> int: ...


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (two_streams, "the stream 'xs' is the only parameter, as in gRPC: put ys into its items"),
        (stream_and_more, "the stream 'xs' is the only parameter, as in gRPC: put name into its items"),
        (default_stream, "the stream 'xs' has no default"),
        (iterable, "declare the stream as `xs: AsyncIterator[…]`"),
        (listed_stream, "cannot cross a wire"),
        (strange_items, "derive it from Message"),
        (once_with_stream, "takes a stream cannot be @once"),
        (routed_stream, "a stream comes as a body where its items are bytes, FilePart (a form), or a message"),
        (unannotated, "annotate the parameter 'x'"),
        (unreturned, "annotate what it returns"),
        (starred, "name each parameter"),
        (strange, "derive it from Message"),
        (vague, "say what the list holds"),
        (keyed, "keys cross the wire as strings"),
        (impossible, "`ge` on a numeric type"),
        (strange_reply, "its return type"),
        (changing_set, "a set holds what has a hash"),
        (coroutine_stream, "`def`, not `async def`"),
        (not_async, "declare it `async def`"),
        (timeless, "more than 0 seconds"),
        (endless, "timeout=inf must be more than 0 seconds, and finite"),
        (breathless, "idle=0 must be more than 0 seconds"),
        (idle_call, "idle=3.0 is for streams; give a timeout"),
        (stale_for_ever, "max_staleness=inf must be more than 0 seconds, and finite"),
        (stale_never, "max_staleness=0 must be more than 0 seconds"),
        (stale_write, "max_staleness= is for what only reads: declare it @safe"),
        (stale_sum, "a service that computes has not: drop it"),
        (worded, "timeout='5' must be more than 0 seconds"),
        (untried, "attempts = 0; give at least 1"),
        (pauseless, "base = nan; give 0 seconds or more"),
        (falling, "base = 2.0 is above cap = 1.0"),
        (foreign_fault, "derived from Fault"),
        (alike, "'room_id' and 'roomId' are both 'roomId' on the wire"),
        (misnamed, "'name' and 'label' are both 'name' on the wire"),
        (open_page, "~T stands for nothing: say what it is"),
        (bare_page, "~T stands for nothing: say what it is"),
        (endless_page, "holds a larger type of itself"),
        (strange_fault, "its fault: Strange.what: object cannot cross a wire"),
    ],
)
def test_a_wrong_declaration_is_refused_with_its_place_and_remedy(method, said):
    with pytest.raises(ContractError, match="Broken.m") as refusal:
        define({"m": method})
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (checked_only, "Broken.m: the name 'Missing' in its annotations is unknown"),
        (holds_checked_only, "Halves: the name 'Missing' in its annotations is unknown"),
    ],
)
def test_a_name_that_is_imported_for_checking_only_is_told_when_the_contract_is_used(method, said):
    made = define({"m": method})  # not yet: it may be defined further down

    with pytest.raises(ContractError) as refusal:
        operations(made)
    assert said in str(refusal.value)
    assert "if TYPE_CHECKING" in str(refusal.value)


class Listing(Contract, Protocol[T]):
    """A pattern for contracts of things that are listed."""

    @safe(http="GET /all")
    async def all(self, after: UserId) -> Page[T]: ...

    @once
    async def keep(self, thing: T) -> T | None: ...


class Named(Contract, Protocol, package="named.v1"):
    @safe
    async def name(self) -> str: ...


class Orders(Listing[Order], Named, Protocol, package="orders.v1"):
    @once(timeout=9.0)
    async def name(self) -> str: ...

    @safe
    async def oldest(self, age: Age) -> Page[int]: ...


def test_operations_are_inherited_with_what_their_type_parameters_stand_for():
    known = operations(Orders)

    assert [(each.path, each.semantics) for each in known.values()] == [
        ("/orders.v1.Orders/Name", Semantics.ONCE),
        ("/orders.v1.Orders/All", Semantics.SAFE),
        ("/orders.v1.Orders/Keep", Semantics.ONCE),
        ("/orders.v1.Orders/Oldest", Semantics.SAFE),
    ]
    assert (known["all"].reply, known["keep"].request, known["keep"].reply) == (Page[Order], Order, Order | None)
    assert (known["name"].timeout, operations(Named)["name"].path) == (9.0, "/named.v1.Named/Name")


def test_a_pattern_with_type_parameters_is_no_contract_itself():
    with pytest.raises(ContractError, match=r"class Rooms\(Wrong\[Room\]"):

        class Wrong(Contract, Protocol[T], package="wrong.v1"):
            @safe
            async def all(self) -> Page[T]: ...


@pytest.mark.parametrize(("one", "two"), [("open_b1", "open_b_1"), ("lockAll", "lockall")])
def test_two_operations_cannot_have_one_name_on_the_wire(one, two):
    async def method(self) -> str: ...

    with pytest.raises(ContractError, match=f"Broken.{two}: it and '{one}' are both"):
        define({one: method, two: method})


def test_two_faults_of_a_contract_cannot_have_one_name_on_the_wire():
    class Elsewhere:
        class SoldOut(Fault):
            """Another."""

    @once(raises=[SoldOut])
    async def one(self) -> None: ...
    @once(raises=[Elsewhere.SoldOut])
    async def two(self) -> None: ...

    with pytest.raises(ContractError, match="both 'SoldOut' on the wire"):
        define({"one": one, "two": two})


def test_a_contract_needs_a_package_and_an_operation():
    with pytest.raises(ContractError, match="name its package"):

        class Nameless(Contract, Protocol):
            async def m(self) -> int: ...

    with pytest.raises(ContractError, match="at least one public async method"):
        define({})


def test_messages_of_a_union_must_be_tagged():
    class Cat(Message):
        name: str

    class Dog(Message):
        name: str

    async def pet(self, animal: Cat | Dog) -> None: ...

    pet.__annotations__ = {"animal": Cat | Dog, "return": None}
    with pytest.raises(ContractError, match='tag="cat"'):
        define({"m": pet})
