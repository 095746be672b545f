"""Calls that an operator makes: as any other call comes in, for whom the operator names, and always traced."""

from __future__ import annotations

from contextlib import aclosing
from secrets import token_hex
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from meristem.baggage import DECLARED
from meristem.context import Context, Identity, Trace
from meristem.contracts.call import Call
from meristem.contracts.codec import encode_fault, encoder
from meristem.contracts.operation import Semantics
from meristem.contracts.protojson import lenient
from meristem.errors import CallError, Code, Fault
from meristem.hints import meant
from meristem.operators.catalogue_contract import LONGEST_CALL, CallAnswer, RefusedField
from meristem.telemetry.observing import USER, is_failure, outcome
from meristem.telemetry.tracer import describe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meristem.contracts.call import ServedOperation
    from meristem.contracts.operation import Operation
    from meristem.operators.catalogue_contract import CallFor, OperatorCall
    from meristem.telemetry.tracer import Tracer

OPERATOR: Final = "operator"  # who calls, in the trace
LONGEST_REPLY: Final = 1_000_000  # bytes of a reply, or of all items of a stream, that a page can show
_items: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


def read_requests(operation: Operation, call: CallFor) -> list[Any]:
    """The request message of a call, or those of a stream; raises CallError for what is none."""
    body = call.request.encode()
    if not operation.takes_stream:
        return [lenient(operation.request)(body)]
    try:
        bodies = _items(body)
    except msgspec.DecodeError as error:
        text = f"{operation.label} takes a stream: give its items as a list of JSON: {error}"
        raise CallError(Code.INVALID_ARGUMENT, text, may_have_happened=False) from None
    # A value that is no message stands in the list alone, and in the request by the parameter's name.
    name = operation.parameters[0].name.encode()
    return [
        lenient(operation.request)(b'{"%b":%b}' % (name, each) if operation.spread else bytes(each)) for each in bodies
    ]


def context_of(operation: Operation, call: OperatorCall, seconds: float) -> Context:
    """What surrounds the call: the user whom the operator names, a key, a deadline and a trace that is kept."""
    context = Context(deadline=monotonic() + seconds, trace=Trace.start(sampled=True))
    if call.user:
        context.user = Identity(call.user, call.user_name, tuple(call.roles), call.tenant)
    if operation.semantics is not Semantics.SAFE and not operation.takes_stream:
        context.key = call.key or token_hex(16)
    context.baggage = ",".join(_travelling(name, text) for name, text in call.travelling.items())
    return context


def _travelling(name: str, text: str) -> str:
    declared = DECLARED.get(name)
    if declared is None:
        there_are = f"there are {', '.join(sorted(DECLARED))}" if DECLARED else "the system declares none"
        hint = meant(name, sorted(DECLARED), there_are)
        raise CallError(Code.INVALID_ARGUMENT, f"no value travels as {name!r}; {hint}", may_have_happened=False)
    return declared.admit(quote(text, safe=""))


async def called(served: ServedOperation, call: OperatorCall, tracer: Tracer) -> CallAnswer:
    """Make the call, and tell how it ended; a refusal is an answer, too."""
    operation = served.operation
    try:
        requests = read_requests(operation, call)
        context = context_of(operation, call, min(operation.timeout, LONGEST_CALL))
    except CallError as refusal:
        return _refused(refusal)
    trace, begun = context.trace, perf_counter()
    assert isinstance(trace, Trace)
    request = _each(requests) if operation.takes_stream else requests[0]
    key = context.key or ""
    error: Fault | CallError | None = None
    try:
        reply = await served.handler(Call(operation, request, context))
        told = await _told(operation, reply, call.most)
    except Fault as fault:
        error = fault
        fields = encode_fault(fault).decode()
        told = CallAnswer(reply=fields, fault=type(fault).__name__, code=fault.code.value, message=fault.summary())
    except CallError as refusal:
        error, told = refusal, _refused(refusal)
    seconds = perf_counter() - begun
    name = f"{operation.contract}/{operation.name}"
    attributes = {"rpc.system.name": "meristem", "rpc.method": name} | outcome(error)
    attributes |= {USER: call.user} if call.user else {}
    failure = describe(error) if error is not None and is_failure(error) else None
    tracer.finish(name, "client", OPERATOR, trace, None, seconds, attributes, failure)
    return msgspec.structs.replace(told, seconds=seconds, trace_id=trace.trace_id, key=key)


async def _each(requests: list[Any]) -> AsyncIterator[Any]:
    for each in requests:
        yield each


async def _told(operation: Operation, reply: Any, most: int) -> CallAnswer:
    encode = encoder(operation.reply)
    if not operation.stream:
        body = encode(reply)
        if len(body) > LONGEST_REPLY:
            return CallAnswer(message=f"The reply has {len(body):,} bytes, which no page can show.", more=True)
        return CallAnswer(reply=body.decode())
    items: list[bytes] = []
    async with aclosing(reply) as replies:
        async for each in replies:
            if len(items) == most or sum(map(len, items)) > LONGEST_REPLY:
                return CallAnswer(reply=f"[{b','.join(items).decode()}]", more=True)
            items.append(encode(each))
    return CallAnswer(reply=f"[{b','.join(items).decode()}]")


def _refused(refusal: CallError) -> CallAnswer:
    return CallAnswer(
        code=refusal.code.value,
        message=refusal.message,
        fields=[RefusedField(field=each.field, reason=each.reason) for each in refusal.violations],
        may_have_happened=refusal.may_have_happened,
    )
