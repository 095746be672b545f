"""Operations: what a contract declares of each method, and the decorators that declare it."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol, TypeAlias, TypeVar

import msgspec

from meristem.contracts.bounds import Attempts, Pause

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


class Cache(msgspec.Struct, frozen=True):
    """How a client or a cache may keep the answers of an operation in REST.

    For `max_age` seconds it need not ask again, and what is `public` a cache may give to others. With `etag` a client
    that asks again is told by 304 that it has the answer already; the method runs all the same.
    """

    max_age: Pause = 0.0
    public: bool = False
    etag: bool = True


class Http(msgspec.Struct, frozen=True):
    """Where an operation stands in the REST interface, by which `alone` outsiders may call it."""

    verb: Verb
    path: str
    status: int = 200
    media: str = "application/json"
    alone: bool = False
    cache: Cache | None = None


class Retry(msgspec.Struct, frozen=True):
    """How a caller repeats a call that failed on the way: full jitter below `base * 2**n`, at most `cap` seconds."""

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
    http: str | None = None
    status: int | None = None
    media: str | None = None
    retry: Retry = Retry()
    authenticated: bool = False
    public: bool = False
    name: str | None = None
    cpu: bool = False
    max_staleness: float | None = None
    cache: Cache | None = None


class Parameter(msgspec.Struct, frozen=True):
    """A parameter of a contract's method."""

    name: str
    type: Any
    default: Any = msgspec.NODEFAULT
    named: bool = False  # given by name only: it stands behind `*`


class Operation:
    """A method of a contract, understood.

    `request` is the message a call carries: the method's only parameter when that is a message, else a message
    made of its parameters (`spread` is then true). `reply` is the annotated return type. Where the replies are a
    `stream`, that is the type of each of them; where the operation `takes_stream`, so is `request`. One that `lasts`
    has a stream on either side: its `timeout` bounds the whole call, and is infinite where none is declared; `idle`
    bounds each wait for an item. What is `public` anybody may call who reaches the port. `module` is where the contract
    is written.
    """

    __slots__ = (
        "authenticated", "contract", "contract_doc", "cpu", "doc", "http", "idle", "lasts", "max_staleness", "module",
        "name", "parameters", "path", "public", "raises", "reply", "request", "retry", "semantics", "spread", "stream",
        "takes_stream", "timeout", "wire_name",
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
        takes_stream: bool = False,
        doc: str,
        http: Http | None = None,
        module: str = "",
        contract_doc: str = "",
    ) -> None:
        self.contract = contract
        self.name = name
        self.wire_name = declaration.name or "".join(part.capitalize() for part in name.split("_"))
        self.path = f"/{contract}/{self.wire_name}"
        self.semantics = declaration.semantics
        self.lasts = stream or takes_stream
        self.timeout = declaration.timeout or (inf if self.lasts else TIMEOUT)
        self.idle = declaration.idle or (IDLE if self.lasts else inf)
        self.raises = declaration.raises
        self.http = http
        self.retry = declaration.retry
        self.authenticated = declaration.authenticated
        self.public = declaration.public or http is not None
        self.cpu = declaration.cpu
        self.max_staleness = declaration.max_staleness
        self.parameters = parameters
        self.request = request
        self.spread = spread
        self.reply = reply
        self.stream = stream
        self.takes_stream = takes_stream
        self.doc = doc
        self.module = module
        self.contract_doc = contract_doc

    def by_rpc(self) -> Operation:
        """The same operation for who calls it by RPC: outsiders may not where REST alone tells what it asks for."""
        if self.http is None or not self.http.alone:
            return self
        changed = copy(self)
        changed.public = False
        return changed

    def under(
        self,
        *,
        timeout: float | None = None,
        idle: float | None = None,
        retry: Retry | None = None,
        authenticated: bool | None = None,
        public: bool | None = None,
    ) -> Operation:
        """The same operation on other terms; what is None stays."""
        # A copy: operations are made once for a contract, and another system's placement has terms of its own.
        changed = copy(self)
        changed.timeout = timeout or self.timeout
        changed.idle = idle or self.idle
        changed.retry = retry or self.retry
        changed.authenticated = self.authenticated if authenticated is None else authenticated
        changed.public = self.public if public is None else public
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
        http: str | None = None,
        status: int | None = None,
        media: str | None = None,
        retry: Retry | None = None,
        authenticated: bool = False,
        public: bool = False,
        name: str | None = None,
        cpu: bool = False,
        max_staleness: float | None = None,
        cache: Cache | None = None,
    ) -> Method:
        """Declare the method: its times, the faults it `raises`, its place in REST, how it is retried.

        `timeout` bounds the whole call: 5 seconds where nothing is said, and for a stream no bound at all. `idle`
        bounds each wait for an item of a stream: 60 seconds. `authenticated` refuses a call that no signed-in user
        stands behind. `public` lets anybody call it who reaches the port, by RPC; what has a place in REST is public.

        `http="GET /notes/{note_id}"` is a method of HTTP and a path; a parameter that is not in the path comes from
        the query for GET and DELETE, from the body for POST, PUT and PATCH. It is answered with `status`, 200 unless
        given, as JSON; `media` is the type of what is answered as bytes or text instead.

        `name` is what the operation is called on the wire of RPC, where that is not the method's name in capitals:
        `list_skus` is `ListSkus` there, and with `name="ListSKUs"` that.

        What computes for long is `cpu`: its method runs in worker processes, and its service has neither a database
        nor clients. A call whose time is over ends with its worker.

        A `@safe` method with `max_staleness` may be answered from a copy of the data that lacks at most the changes of
        so many last seconds: its service reads from replicas of its database, where the placement names some.

        A `@safe` method with `cache` says how its answers to a GET may be kept.
        """
        declaration = Declaration(
            self.semantics,
            timeout=timeout,
            idle=idle,
            raises=tuple(raises or ()),
            http=http,
            status=status,
            media=media,
            retry=retry or Retry(),
            authenticated=authenticated,
            public=public,
            name=name,
            cpu=cpu,
            max_staleness=max_staleness,
            cache=cache,
        )

        def declare(target: Any) -> Any:
            target.__declaration__ = declaration
            return target

        marked: Any = declare if method is None else declare(method)
        return marked  # type: ignore[no-any-return]


safe = declares(Semantics.SAFE)
idempotent = declares(Semantics.IDEMPOTENT)
once = declares(Semantics.ONCE)
operation = declares(Semantics.PLAIN)
