"""The contract by which operators read the contracts of a system, and call their operations."""

from __future__ import annotations

from typing import Annotated, Literal, Protocol, TypeAlias

from msgspec import Meta

from meristem.contracts.contract import Contract
from meristem.contracts.message import Message
from meristem.contracts.operation import operation, safe

ExportForm: TypeAlias = Literal["openapi", "json-schema", "proto"]
PATIENCE = 30.0  # seconds for a call and its answer
LONGEST_CALL = 20.0  # seconds, by which a call of an operator has ended whatever its operation may take


class ContractEntry(Message):
    """A contract of a system in short: whose it is, how many operations it has, the first sentence of its text.

    `callers` are the services that ask for it in their constructors.
    """

    service: str
    name: str
    operations: list[str]
    summary: str = ""
    callers: list[str] = []


class ContractList(Message):
    """The contracts of a system; of the `silent` services nobody could tell theirs."""

    contracts: list[ContractEntry]
    silent: list[str] = []


class FaultDetails(Message):
    """A fault that an operation declares: its code on the wire, its HTTP status in REST, the schema of its fields."""

    name: str
    code: str
    status: int
    text: str
    type: str


class OperationDetails(Message):
    """An operation as its contract declares it.

    `request`, `reply` and the `type` of a fault are JSON Schemas, as JSON; what they refer to is in `schemas` of the
    contract. The fields of a request that is `spread` are the method's parameters; an item of a stream of such is the
    value alone. `example` is a request to begin with, as JSON. `timeout` and `idle` are seconds, None where there is
    none. `path` is where it is called by RPC, `route` its place in REST.
    """

    name: str
    text: str
    path: str
    route: str
    semantics: str
    timeout: float | None
    idle: float | None
    stream: bool
    takes_stream: bool
    spread: bool
    authenticated: bool
    public: bool
    deprecated: bool
    request: str
    reply: str
    example: str
    faults: list[FaultDetails]


class ContractDetails(Message):
    """A contract: its text, its operations, and as `schemas` the JSON Schema of each message, by name.

    `travelling` are the names of the values that may be set for a call.
    """

    service: str
    name: str
    text: str
    module: str
    callers: list[str]
    operations: list[OperationDetails]
    schemas: str
    travelling: list[str] = []


class ExportedFile(Message):
    """A file of an export: its path and its text."""

    path: str
    text: str


class CallFor(Message):
    """A call of an operation: its request as JSON (a list of them where it takes a stream), and for whom it is made.

    `user` is the subject of the identity, empty for nobody; `travelling` are values that travel with it, by name.
    """

    service: str
    contract: str
    operation: str
    request: str
    user: str = ""
    user_name: str = ""
    roles: list[str] = []
    tenant: str = ""
    travelling: dict[str, str] = {}


class OperatorCall(CallFor):
    """A call that an operator makes, under an idempotency `key` or one of its own; of a stream come `most` items."""

    key: str = ""
    most: Annotated[int, Meta(ge=1, le=200)] = 20


class RefusedField(Message):
    """A field that was refused, `guest.email`, and why."""

    field: str
    reason: str


class CallAnswer(Message):
    """What an operation said: its `reply` as JSON, the fields of a declared `fault`, or a `code` and why.

    Of a stream it is a list of the first replies, of which there may be `more`. `seconds` is what it took, `trace_id`
    the trace that it made, and `key` the one under which it was made. `may_have_happened` is False where it certainly
    changed nothing.
    """

    reply: str = ""
    fault: str = ""
    code: str = ""
    message: str = ""
    fields: list[RefusedField] = []
    more: bool = False
    seconds: float = 0.0
    trace_id: str = ""
    key: str = ""
    may_have_happened: bool = True


class SnippetQuestion(CallFor):
    """Which call is to be written down, for a system at an `address`."""

    address: str = ""


class Snippet(Message):
    """A call as code of a language; where it can't be made that way `text` is empty, and `remark` says why."""

    language: str
    text: str
    remark: str = ""


class Catalogue(Contract, Protocol, package="meristem.operator.v1"):
    """The contracts of a system: what they declare, written for others, and calls of their operations."""

    @safe
    async def contracts(self) -> ContractList:
        """The contracts of all services."""
        ...

    @safe
    async def contract(self, service: str, name: str) -> ContractDetails:
        """One of them, with everything that it declares."""
        ...

    @safe
    async def export(self, service: str, name: str, form: ExportForm) -> list[ExportedFile]:
        """A contract for other languages, as `meristem contracts export` writes it."""
        ...

    @safe
    async def snippets(self, question: SnippetQuestion) -> list[Snippet]:
        """A call as it is written in a shell, in Python and in TypeScript."""
        ...

    @operation(timeout=PATIENCE)
    async def call(self, call: OperatorCall) -> CallAnswer:
        """Call an operation for somebody, in the process in which its service lives."""
        ...
