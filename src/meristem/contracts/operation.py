"""Operations: what a contract declares of each method, and the decorators that declare it."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol, TypeAlias, TypeVar

import msgspec

from meristem.contracts.bounds import Attempts, Pause
from meristem.errors import ContractError

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    from meristem.errors import Fault

    # `@safe` gives a method back, `@safe(...)` what marks one. No overloads: mypy infers their arguments without
    # context, and then refuses `raises=[One, Two]` for faults with different fields.
    Method = TypeVarWithDefault("Method", bound=Callable[..., Any], default="Declare")

Verb: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Marked = TypeVar("Marked", bound=Callable[..., Any])


class Semantics(Enum):
    """What a repeated call would do."""

    SAFE = "safe"
    IDEMPOTENT = "idempotent"
    ONCE = "once"
    PLAIN = "plain"

    @property
    def repeatable(self) -> bool:
        """Whether a caller may send the call again without knowing if the first arrived."""
        return self is not Semantics.PLAIN


class Http(msgspec.Struct, frozen=True):
    """Where an operation stands in the REST interface."""

    verb: Verb
    path: str
    status: int = 200
    media: str = "application/json"


def get(path: str, *, media: str = "application/json") -> Http:
    """Map a safe operation to GET; what the path does not bind comes from the query."""
    return Http("GET", path, 200, media)


def post(path: str, *, status: int = 200) -> Http:
    """Map an operation to POST; what the path does not bind comes from the body."""
    return Http("POST", path, status)


def put(path: str, *, status: int = 200) -> Http:
    """Map an operation to PUT; what the path does not bind comes from the body."""
    return Http("PUT", path, status)


def patch(path: str, *, status: int = 200) -> Http:
    """Map an operation to PATCH; what the path does not bind comes from the body."""
    return Http("PATCH", path, status)


def delete(path: str, *, status: int = 200) -> Http:
    """Map an operation to DELETE; what the path does not bind comes from the query."""
    return Http("DELETE", path, status)


class Retry(msgspec.Struct, frozen=True):
    """How a caller repeats a call that may be repeated: full jitter below `base * 2**n`, at most `cap` seconds."""

    attempts: Attempts = 3
    base: Pause = 0.05
    cap: Pause = 1.0

    rising: ClassVar = ("base", "cap")


TIMEOUT: Final = 5.0  # seconds for a call that is answered once; a stream may last
IDLE: Final = 60.0  # seconds that a stream may be silent: as long as most proxies let it


class Declaration(msgspec.Struct, frozen=True):
    """What a decorator says of a contract's method."""

    semantics: Semantics = Semantics.PLAIN
    timeout: float | None = None
    idle: float | None = None
    raises: tuple[type[Fault], ...] = ()
    http: Http | None = None
    retry: Retry = Retry()
    authenticated: bool = False


class Parameter(msgspec.Struct, frozen=True):
    """A parameter of a contract's method."""

    name: str
    type: Any
    default: Any = msgspec.NODEFAULT
    named: bool = False  # given by name only: it stands behind `*`


class Operation:
    """A method of a contract, understood.

    `request` is the message a call carries: the method's only parameter when that is a message, else a message
    made of its parameters (`spread` is then true). `reply` is the annotated return type, or the type of each
    element of a stream. `timeout` bounds the whole call, and is infinite for a stream that declares none; `idle` bounds
    each wait for an item of a stream.
    """

    __slots__ = (
        "authenticated", "contract", "doc", "http", "idle", "name", "parameters", "path", "raises", "reply", "request",
        "retry", "semantics", "spread", "stream", "timeout", "wire_name",
    )  # fmt: skip

    def __init__(
        self,
        contract: str,
        name: str,
        declaration: Declaration,
        *,
        parameters: tuple[Parameter, ...],
        request: type,
        spread: bool,
        reply: Any,
        stream: bool,
        doc: str,
    ) -> None:
        self.contract = contract
        self.name = name
        self.wire_name = "".join(part.capitalize() for part in name.split("_"))
        self.path = f"/{contract}/{self.wire_name}"
        self.semantics = declaration.semantics
        self.timeout = declaration.timeout or (inf if stream else TIMEOUT)
        self.idle = declaration.idle or (IDLE if stream else inf)
        self.raises = declaration.raises
        self.http = declaration.http
        self.retry = declaration.retry
        self.authenticated = declaration.authenticated
        self.parameters = parameters
        self.request = request
        self.spread = spread
        self.reply = reply
        self.stream = stream
        self.doc = doc

    def under(
        self, *, timeout: float | None = None, idle: float | None = None, retry: Retry | None = None
    ) -> Operation:
        """The same operation on other terms; what is None stays."""
        # A copy: operations are made once for a contract, and another system's placement has terms of its own.
        changed = copy(self)
        changed.timeout = timeout or self.timeout
        changed.idle = idle or self.idle
        changed.retry = retry or self.retry
        return changed

    @property
    def label(self) -> str:
        """`Payments.charge`, as people say it."""
        return f"{self.contract.rpartition('.')[2]}.{self.name}"

    def __repr__(self) -> str:
        return f"Operation({self.path})"


class Declare(Protocol):
    """Marks a method and gives it back."""

    def __call__(self, method: Marked, /) -> Marked: ...


class declares:  # noqa: N801 - read as a decorator: @safe, @idempotent, @once, @operation
    """A decorator that declares the semantics of a contract's method."""

    def __init__(self, semantics: Semantics) -> None:
        self.semantics = semantics

    def __call__(
        self,
        method: Method | None = None,
        /,
        *,
        timeout: float | None = None,
        idle: float | None = None,
        raises: list[type[Fault]] | None = None,
        http: Http | None = None,
        retry: Retry | None = None,
        authenticated: bool = False,
    ) -> Method:
        """Declare the method: its times, the faults it `raises`, its place in REST, how it is retried.

        `timeout` bounds the whole call: 5 seconds where nothing is said, and for a stream no bound at all. `idle`
        bounds each wait for an item of a stream: 60 seconds. `authenticated` refuses a call that no signed-in user
        stands behind.
        """
        if http is not None and not isinstance(http, Http):
            places = 'http=get("/notes/{note_id}"), or post, put, patch, delete'
            raise ContractError(f"http={http!r} says no place in REST: write {places}")
        faults = tuple(raises or ())
        declaration = Declaration(self.semantics, timeout, idle, faults, http, retry or Retry(), authenticated)

        def declare(target: Any) -> Any:
            target.__declaration__ = declaration
            return target

        marked: Any = declare if method is None else declare(method)
        return marked  # type: ignore[no-any-return]


safe = declares(Semantics.SAFE)
idempotent = declares(Semantics.IDEMPOTENT)
once = declares(Semantics.ONCE)
operation = declares(Semantics.PLAIN)
