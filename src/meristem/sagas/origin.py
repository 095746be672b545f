"""Where a saga comes from: its id, its first row, and what of the call that began it goes on with every step."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime
from typing import Final, TypeGuard

import msgspec

from meristem.context import Context, Identity, Trace
from meristem.contracts.canonical import canonical
from meristem.contracts.codec import decoder, encode
from meristem.keys import ANONYMOUS, asked_by, asked_otherwise, owner_of, twins_of
from meristem.log_positions import PRIMARIES
from meristem.sagas.records import SagaRow, SagaState
from meristem.sagas.saga import Definition

_STEP_KEY: Final = re.compile(r"([0-9a-f]{32}):([0-9/]+)")


class Past(msgspec.Struct, frozen=True):
    """What a fork has from the saga it copied answers of: time and chance, up to the answer of the number `until`."""

    saga_id: str
    seed: str
    created: datetime
    until: int


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """What of the starting call's context goes on with every step, also after a restart; and the saga's patches."""

    trace: Trace | None = None
    caller: str | None = None
    user: Identity | None = None
    key: str | None = None
    baggage: str = ""
    patches: tuple[str, ...] = ()
    deprecated_patches: tuple[str, ...] = ()
    fork_of: str | None = None
    pasts: tuple[Past, ...] = ()

    @property
    def owner(self) -> str:
        """For whom the saga runs, as a key's owner."""
        return owner_of(None if self.user is None else self.user.asker)

    def context(self) -> Context:
        """What surrounds the work on the saga.

        Without the caller's deadline: a saga ends when it ends, and its caller may be long gone.
        """
        return Context(None, self.trace, self.caller, self.user, self.baggage, self.key, positions=PRIMARIES)

    def takes(self, patch: str) -> bool:
        """Whether the saga takes a patch: one that its code asked for, or did without asking."""
        return patch in self.patches or patch in self.deprecated_patches

    @staticmethod
    def of(context: Context) -> Origin:
        """The origin of a saga that a call begins."""
        trace = context.trace.ids() if context.trace else None
        return Origin(trace, context.caller, context.user, context.key, context.baggage)


def id_of(service: str, name: str, key: str | None) -> str:
    """The id of the saga that a call begins: the same one for each call under an idempotency key."""
    return (
        secrets.token_hex(16) if key is None else hashlib.sha256(f"{service}\n{name}\n{key}".encode()).hexdigest()[:32]
    )


def step_key(key: str | None) -> tuple[str, str] | None:
    """The saga and the position of the step that has this key; None of another key."""
    found = _STEP_KEY.fullmatch(key or "")
    return None if found is None else (found[1], found[2])


def is_step_key(key: str | None) -> TypeGuard[str]:
    """Whether this is the key of a saga's step."""
    return step_key(key) is not None


def origin_of(saga: SagaRow) -> Origin:
    """Where a saga comes from, as its row says."""
    origin: Origin = decoder(Origin)(saga.context)
    return origin


def seams(saga: SagaRow, origin: Origin) -> dict[int, tuple[datetime, str]]:
    """From which answers on time and chance are which: those that a fork copied came by the time of the saga before."""
    if not origin.pasts:
        return {}
    lives = [*((each.created, each.seed) for each in origin.pasts), (saga.created, saga.seed)]
    return dict(zip((0, *(each.until for each in origin.pasts)), lives, strict=True))


def request_of(definition: Definition | None, saga: SagaRow) -> str:
    """What a saga was asked for, as the text by which that is known again: its parameters may have become more."""
    try:
        return saga.input if definition is None else canonical(decoder(definition.input)(saga.input)).decode()
    except msgspec.MsgspecError:  # of a release with other parameters: no request of this one's
        return saga.input


def id_of_an_earlier(definition: Definition, saga: SagaRow | None, request: str, origin: Origin) -> str | None:
    """The id of the saga that was begun under the key as it came, if it is that caller's; CallError for its twin."""
    earlier = None if saga is None else origin_of(saga)
    # One that is written like the key of what this release began, from outside or as a step, must not find it: keys
    # are no secret.
    if saga is None or earlier is None or saga.asked is not None or earlier.caller is not None:
        return None
    if earlier.owner == origin.owner:
        return saga.id
    if request_of(definition, saga) == request and ANONYMOUS in (earlier.owner, origin.owner):
        raise asked_otherwise(saga.name)
    return None


def asked(name: str, request: str, key: str | None) -> str | None:
    """What a call asks under a scoped key, and whether anonymously; the same whoever asks."""
    return None if key is None else _asked(name, request, asked_by(key))


def _mark(origin: Origin) -> str | None:
    """What tells a saga without a scoped key from one of an earlier release; a calling service tells it as well."""
    return "" if origin.caller is None else None


def asked_otherwise_as(name: str, request: str, key: str | None) -> str | None:
    """What the same request is asked as by a caller who is signed in otherwise."""
    return None if key is None else _asked(name, request, twins_of(key).low)


def _asked(name: str, request: str, by: str | None) -> str | None:
    return hashlib.sha256(f"{by}\n{name}\n{request}".encode()).hexdigest()[:32] if by else None


def with_patches(origin: Origin, definition: Definition) -> Origin:
    """The origin of a saga that begins with all patches of its code."""
    patches, deprecated = definition.patches, definition.deprecated_patches
    return msgspec.structs.replace(origin, patches=patches, deprecated_patches=deprecated)


def new_saga(definition: Definition, saga_id: str, values: msgspec.Struct, origin: Origin, now: datetime) -> SagaRow:
    """The row of a saga that begins now; it keeps all values, since a default may be another one when it is resumed."""
    if definition.patches or definition.deprecated_patches:
        origin = with_patches(origin, definition)
    return SagaRow(
        id=saga_id, name=definition.name, version=definition.version, state=SagaState.RUNNING,
        input=encode(values).decode(), context=encode(origin).decode(), seed=secrets.token_hex(16),
        created=now, updated=now,
        asked=asked(definition.name, canonical(values).decode(), origin.key) or _mark(origin),
    )  # fmt: skip
