"""A mirror: it gives back what it was given, and tells what it has seen."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Generic, Literal, NewType, Protocol, TypeVar
from uuid import UUID

from msgspec import Meta, field

from meristem import Contract, DecimalMeta, Message, Service, System, operation, safe


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Cat(Message, tag="cat"):
    lives: int = 9


class Dog(Message, tag="dog"):
    name: str
    friends: list[str] = []


class Inner(Message):
    text: str
    numbers: list[int] = []


class Plain(Message):
    """Every plain type of the table."""

    flag: bool
    whole: int
    real: float
    text: str
    raw: bytes
    exact: Decimal
    day: date
    moment: datetime
    clock: time
    span: timedelta
    id: UUID
    colour: Colour
    level: Level
    word: Literal["yes", "no", 3]


class Nested(Message):
    """Everything that holds something else."""

    inner: Inner
    maybe: Inner | None
    nothing: int | None
    pet: Cat | Dog
    mixed: int | str
    many: list[Inner]
    row: tuple[int, ...]
    pair: tuple[str, Decimal]
    words: set[str]
    frozen: frozenset[int]
    by_name: dict[str, Inner]
    by_number: dict[int, list[str]]
    by_id: dict[UUID, date]
    by_colour: dict[Colour, float]
    deep: dict[str, list[dict[str, set[int]]]]


class Defaults(Message):
    name: str = "nobody"
    tags: list[str] = []
    colour: Colour = Colour.BLUE
    size: Annotated[int, Meta(ge=1, le=10)] = 3


class Bounded(Message):
    count: Annotated[int, Meta(ge=1, le=10)]
    code: Annotated[str, Meta(pattern="^[a-z]+$", max_length=5)] = "abc"
    when: Annotated[datetime, Meta(tz=True)] | None = None
    items: Annotated[list[Annotated[int, Meta(gt=0)]], Meta(min_length=1)] | None = None


T = TypeVar("T")
Ticket = NewType("Ticket", str)


class Pages(Message, Generic[T]):
    items: list[T]
    next: Ticket | None = None


class Strict(Message, forbid_unknown_fields=True):
    class_: str = field(name="class")


class Priced(Message):
    price: Annotated[Decimal, DecimalMeta(ge=0, max_digits=6, decimal_places=2)]
    ratio: float | None = None
    level: Literal["a", 1] = "a"
    count: Annotated[int, Meta(ge=0)] = 0


class Moments(Message):
    at: datetime
    clock: time | None = None


class Listing(Contract, Protocol[T]):
    @safe
    async def page(self, page: Pages[T]) -> Pages[T]: ...


class Box(Message):
    items: list[int]
    names: dict[str, list[str]]


class Tree(Message):
    """Of any depth."""

    branches: "list[Tree]" = []
    last: "Tree | None" = None


def tree_of(levels: int) -> Tree:
    """A tree in which so many messages are inside one another."""
    tree = Tree()
    for _ in range(levels - 1):
        tree = Tree(last=tree)
    return tree


class Mirror(Listing[Plain], Protocol, package="parity.mirror.v1"):
    @safe
    async def tree(self, value: Tree) -> Tree: ...

    @safe
    async def grown(self, levels: int) -> Tree: ...

    @safe
    async def strict(self, value: Strict) -> Strict: ...

    @safe
    async def priced(self, value: Priced) -> Priced: ...

    @safe
    async def moments(self, value: Moments) -> str: ...

    @safe
    async def plain(self, value: Plain) -> Plain: ...

    @safe
    async def nested(self, value: Nested) -> Nested: ...

    @safe
    async def defaults(self, value: Defaults) -> Defaults: ...

    @safe
    async def bounded(self, value: Bounded) -> Bounded: ...

    @safe
    async def many(self, whole: int, text: str = "default", *, colour: Colour = Colour.RED) -> list[str]: ...

    @safe
    async def nothing(self) -> None: ...

    @safe
    async def perhaps(self, give: bool) -> str | None: ...

    @safe(timeout=60.0)  # 16 MiB take their time
    async def text(self, value: str) -> str: ...

    @safe(timeout=60.0)
    async def raw(self, value: bytes) -> bytes: ...

    @safe
    async def whole(self, value: int) -> int: ...

    @safe
    async def real(self, value: float) -> float: ...

    @safe
    async def union(self, pets: list[Cat | Dog]) -> dict[str, Cat | Dog]: ...

    @safe
    async def kind(self, value: float) -> str: ...

    @safe
    async def wrong_reply(self) -> int: ...

    @safe
    async def unbounded_reply(self) -> Bounded: ...

    @operation
    async def keep(self, box: Box) -> None: ...

    @operation
    async def spoil(self) -> Box: ...

    @safe
    async def kept(self) -> Box: ...

    @operation
    async def keep_list(self, items: list[list[int]]) -> list[list[int]]: ...


class Between(Contract, Protocol, package="parity.mirror.v1"):
    """Calls the mirror from a service, so that values pass between two services, too."""

    @safe
    async def nested(self, value: Nested) -> Nested: ...

    @operation
    async def isolated(self) -> bool: ...


class MirrorService(Mirror, Service):
    def __init__(self) -> None:
        self.box = Box(items=[], names={})
        self.list: list[list[int]] = []

    async def page(self, page: Pages[Plain]) -> Pages[Plain]:
        return page

    async def tree(self, value: Tree) -> Tree:
        return value

    async def grown(self, levels: int) -> Tree:
        return tree_of(levels)

    async def strict(self, value: Strict) -> Strict:
        return value

    async def priced(self, value: Priced) -> Priced:
        return value

    async def moments(self, value: Moments) -> str:
        later = value.at + timedelta(days=1)  # across a change of the clocks, where the zone knows of one
        return f"{later!r} {value.clock!r} {value.at.fold}"

    async def plain(self, value: Plain) -> Plain:
        return value

    async def nested(self, value: Nested) -> Nested:
        return value

    async def defaults(self, value: Defaults) -> Defaults:
        return value

    async def bounded(self, value: Bounded) -> Bounded:
        return value

    async def many(self, whole: int, text: str = "default", *, colour: Colour = Colour.RED) -> list[str]:
        return [str(whole), text, colour.value]

    async def nothing(self) -> None:
        return None

    async def perhaps(self, give: bool) -> str | None:
        return "given" if give else None

    async def text(self, value: str) -> str:
        return value

    async def raw(self, value: bytes) -> bytes:
        return value

    async def whole(self, value: int) -> int:
        return value

    async def real(self, value: float) -> float:
        return value

    async def union(self, pets: list[Cat | Dog]) -> dict[str, Cat | Dog]:
        return {str(index): pet for index, pet in enumerate(pets)}

    async def kind(self, value: float) -> str:
        return type(value).__name__

    async def wrong_reply(self) -> int:
        return "not a number"  # type: ignore[return-value] # the mistake that is tested

    async def unbounded_reply(self) -> Bounded:
        return Bounded(count=99)

    async def keep(self, box: Box) -> None:
        self.box = box

    async def spoil(self) -> Box:
        self.box.items.append(-1)
        self.box.names["spoiled"] = ["yes"]
        return self.box

    async def kept(self) -> Box:
        return self.box

    async def keep_list(self, items: list[list[int]]) -> list[list[int]]:
        self.list = items
        self.list[0].append(-1)
        return self.list


class BetweenService(Between, Service):
    def __init__(self, mirror: Mirror) -> None:
        self.mirror = mirror

    async def nested(self, value: Nested) -> Nested:
        return await self.mirror.nested(value)

    async def isolated(self) -> bool:
        given = Box(items=[1], names={"a": ["b"]})
        await self.mirror.keep(given)
        given.items.append(2)
        answer = await self.mirror.kept()
        answer.names["a"].append("c")
        again = await self.mirror.kept()
        return again == Box(items=[1], names={"a": ["b"]})


system = System("mirrors", services=[MirrorService, BetweenService])
