"""Where a saga comes from: its id, its first row, and what of the call that began it goes on with every step."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

import msgspec

from meristem.context import Context, Identity, Trace
from meristem.contracts.codec import encode
from meristem.sagas.records import SagaRow, SagaState
from meristem.sagas.saga import Definition


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of the starting call's context goes on with every step, also after a restart."""

    trace: Trace | None = None
    caller: str | None = None
    user: Identity | None = None
    key: str | None = None

    @staticmethod
    def of(context: Context) -> Origin:
        """The origin of a saga that a call begins."""
        return Origin(context.trace.ids() if context.trace else None, context.caller, context.user, context.key)


def id_of(service: str, name: str, key: str | None) -> str:
    """The id of the saga that a call begins: the same one for each call under an idempotency key."""
    return (
        secrets.token_hex(16) if key is None else hashlib.sha256(f"{service}\n{name}\n{key}".encode()).hexdigest()[:32]
    )


def new_saga(definition: Definition, saga_id: str, input_: str, origin: Origin, now: datetime) -> SagaRow:
    """The row of a saga that begins now."""
    return SagaRow(
        id=saga_id, name=definition.name, version=definition.version, state=SagaState.RUNNING, input=input_,
        context=encode(origin).decode(), seed=secrets.token_hex(16), created=now, updated=now,
    )  # fmt: skip
