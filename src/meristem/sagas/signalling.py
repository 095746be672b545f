"""Signals: messages from outside to one running saga, kept among the events until it takes them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import msgspec

from meristem.clock import Clock
from meristem.context import CURRENT
from meristem.contracts.codec import decoder, encode, refusal
from meristem.errors import CallError, Code
from meristem.sagas import statements as sql
from meristem.sagas.commands import signal_type
from meristem.sagas.origin import is_step_key
from meristem.sagas.records import SagaRow, SagaState
from meristem.sagas.saga import Definition
from meristem.storage.database import Database


class Signal(msgspec.Struct, frozen=True):
    """One signal on its way: its class's name, its JSON, and the key under which it is sent once."""

    saga_id: str
    name: str
    body: str
    key: str


class SignalBody(msgspec.Struct, frozen=True):
    """A signal as its row holds it, with the key under which it was sent; read by `SignalCommand`."""

    key: str
    value: msgspec.Raw


async def keep(
    database: Database,
    clock: Clock,
    definitions: Mapping[str, Definition],
    signal: Signal,
    kept: Callable[[], None] = lambda: None,
) -> str:
    """Keep a signal for its saga, whose name is returned; in the unit of work that is open, if one is.

    Under one key it is kept once. Raises CallError: `not_found` for a saga that is not here, `failed_precondition` for
    one that has ended or is being undone, `invalid_argument` for what it does not take. `kept` is called at the commit.
    """
    async with database.begin() as tx:
        # Locked until the commit: the saga does not end meanwhile, and its signals are kept one after the other.
        await database.execute(sql.LOCK, {"id_": signal.saga_id})
        saga = await database.fetch_one(sql.LOAD, {"id_": signal.saga_id}, into=SagaRow)
        if saga is None:
            text = f"there is no saga {signal.saga_id!r} here: it was never started, or has ended long ago"
            raise CallError(Code.NOT_FOUND, text, may_have_happened=False)
        value = _understood(definitions.get(saga.name), saga, signal)
        kept_as = {
            "v_type": signal_type(signal.name),
            "v_key": saga.id,
            "v_body": encode(SignalBody(signal.key, msgspec.Raw(value))).decode(),
        }
        if (why := _over(saga)) is not None:
            if await database.fetch_value(sql.KEPT, kept_as):
                return saga.name  # sent again by who has not heard that it was kept
            text = f"{saga.name} {saga.id} {why}, so no signal reaches it any more"
            raise CallError(Code.FAILED_PRECONDITION, text, may_have_happened=False)
        await database.execute(sql.KEEP_SIGNAL, {**kept_as, "v_received": clock.now()})
        tx.after_commit(kept)
    return saga.name


def new_key() -> str:
    """The key under which a signal goes out now: when what sends it is repeated, it is known as the one before."""
    outer = CURRENT.get()
    if outer.keys is None:
        # As a saga's step itself it goes out under that step's key, which no other has.
        return outer.key if is_step_key(outer.key) else os.urandom(16).hex()
    return outer.keys.derive("signal", None if outer.user is None else outer.user.asker)


def _understood(definition: Definition | None, saga: SagaRow, signal: Signal) -> bytes:
    known = {} if definition is None else definition.signals
    if signal.name not in known:
        there_are = ", ".join(known) or "none"
        text = f"{saga.name} takes no signal {signal.name!r}; @saga(signals=[…]) lists those that it takes: {there_are}"
        raise CallError(Code.INVALID_ARGUMENT, text, may_have_happened=False)
    try:
        return encode(decoder(known[signal.name])(signal.body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise refusal(error) from None


def _over(saga: SagaRow) -> str | None:
    """Why the function of a saga will ask for nothing more; None as long as it may."""
    if saga.state is SagaState.DONE:
        return "is done"
    if saga.state is SagaState.FAILED:
        return "has failed"
    is_undone = SagaState.UNDOING in (saga.state, saga.resume) or saga.cancelled
    return "is being undone" if is_undone else None
