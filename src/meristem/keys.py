"""Idempotency keys: what one looks like, whose it is, and how the keys of the calls below a keyed one are derived.

A key from outside counts for one system, one operation and one user with one tenant, as `Identity.asker` tells them
apart, so it is made a scoped one: `STEM.OWNER`. The stem is the same whoever asks. The owner begins with `a` where
nobody had signed in and with `u` for a user: what was asked anonymously and is asked again by somebody who signed in
meanwhile, or the reverse, is known by that.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

from meristem.errors import CallError, Code

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CallT = TypeVar("CallT")
ReplyT = TypeVar("ReplyT")

LONGEST: Final = 255  # characters
PATTERN: Final = r"[!-~](?:[ -~]*[!-~])?"
"""Printable ASCII that neither begins nor ends with a space: what a header field carries as it is."""

ANONYMOUS: Final = "a"
SIGNED_IN: Final = "u"
_SOUND: Final = re.compile(PATTERN)
_SCOPED: Final = re.compile(r"([0-9a-f]{32})\.([au][0-9a-f]*)")


class Labelled(Protocol):
    """Something that people call by its label; only an error asks for it."""

    @property
    def label(self) -> str: ...


def check_key(operation: Labelled, key: str) -> None:
    """Raise CallError `invalid_argument` for a key that not every way to an operation could carry."""
    if len(key) > LONGEST or _SOUND.fullmatch(key) is None:
        message = (
            f"{operation.label}: an idempotency key has 1 to {LONGEST} characters of printable ASCII, and no space at "
            "either end"
        )
        raise CallError(Code.INVALID_ARGUMENT, message, may_have_happened=False)


def reused(label: str) -> CallError:
    """The refusal of a key that was used for another request, or by another user where it is a service's own."""
    return _conflict(label, "was used for another request")


def asked_otherwise(label: str) -> CallError:
    """The refusal of a request that was made under the key before its caller signed in, or since they signed out."""
    return _conflict(label, "was used for this request by a caller who was signed in otherwise")


def of_an_earlier_release(label: str) -> CallError:
    """The refusal of a key whose answer was stored before it was known for whom."""
    return _conflict(label, "was used under an earlier release, which did not store by whom")


def _conflict(label: str, why: str) -> CallError:
    message = f"{label}: this idempotency key {why}; use a new key"
    return CallError(Code.ALREADY_EXISTS, message, may_have_happened=False)


def owner_of(asker: str | None) -> str:
    """The owner of a key that a user chose, or somebody who has not signed in."""
    return ANONYMOUS if asker is None else f"{SIGNED_IN}{_digest(asker)}"


def scoped(system: str, operation: str, asker: str | None, key: str) -> str:
    """The key as it counts for one system, one operation and one user."""
    return f"{_digest(system, operation, key)}.{owner_of(asker)}"


class Twins(NamedTuple):
    """Which keys stand for the same request of callers who are signed in otherwise: from `low` up to below `high`."""

    low: str
    high: str


NO_TWINS: Final = Twins("", "")


def asked_by(key: str) -> str | None:
    """The beginning of a scoped key that tells what was asked and whether anonymously; None for another key."""
    return key[: key.index(".") + 2] if _SCOPED.fullmatch(key) else None


def twins_of(key: str) -> Twins:
    """The keys of the same request, made signed in where this one is anonymous, and the reverse; none of other keys."""
    asked = asked_by(key)
    if asked is None:
        return NO_TWINS
    kind = SIGNED_IN if asked[-1] == ANONYMOUS else ANONYMOUS
    return Twins(f"{asked[:-1]}{kind}", f"{asked[:-1]}{chr(ord(kind) + 1)}")


class Work(NamedTuple):
    """What a call asks of a system, and for which user."""

    system: str
    operation: str
    asker: str | None
    request: bytes


class KeyChain:
    """Derives one idempotency key for each call made below a keyed one.

    A repeated run makes the same calls in the same order and so derives the same keys: its effects are once all
    the way down. `asker` is the user, and the tenant, for whom it runs; a call that it makes for another has a key of
    theirs.
    `sent` is the key as it came from outside, where `root` is scoped. Where `before` is given, each of these calls
    waits for it: then the run is sure to be repeated.
    """

    __slots__ = ("_asker", "_count", "_owner", "_stem", "before", "root", "sent")

    def __init__(
        self, root: str, asker: str | None, *, sent: str = "", before: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        scope = _SCOPED.fullmatch(root)
        # a saga's or an event's id is that of one user's work already
        self._stem, self._owner = scope.groups() if scope else (root, "")
        self._asker = asker
        self._count = 0
        self.root = root
        self.sent = sent
        self.before = before

    @staticmethod
    def below(work: Work, key: str, *, by_service: bool) -> KeyChain:
        """The chain of work that was asked for under a key; that of a service may be scoped already.

        One key may come with several operations and requests, so these are a part of what is derived.
        """
        scope = _SCOPED.fullmatch(key) if by_service else None
        stem, owner = scope.groups() if scope else (f"{work.system}\n{key}", owner_of(work.asker))
        root = _digest(stem, work.operation, hashlib.sha256(work.request).hexdigest())
        return KeyChain(f"{root}.{owner}", work.asker, sent="" if by_service else key)

    def again(self) -> KeyChain:
        """The chain of another run of the same call."""
        return KeyChain(self.root, self._asker, sent=self.sent, before=self.before)

    async def ready(self) -> None:
        """Wait until a call may be made below: a saga's must not be tried before its journal holds how to repeat it."""
        if self.before is not None:
            await self.before()

    def lead(self, handler: Callable[[CallT], Awaitable[ReplyT]], call: CallT) -> Awaitable[ReplyT]:
        """Hand `call` to `handler` once the chain is ready: at once, where it waits for nothing."""
        return handler(call) if self.before is None else self._lead(handler, call)

    async def _lead(self, handler: Callable[[CallT], Awaitable[ReplyT]], call: CallT) -> ReplyT:
        await self.ready()
        return await handler(call)

    def derive(self, operation: str, asker: str | None) -> str:
        """The key of the next call, of `operation` for a user."""
        self._count += 1
        stem, owner = _digest(self._stem, str(self._count), operation), self._owner
        if asker != self._asker:
            if not owner:
                return _digest(stem, owner_of(asker))
            # It stays anonymous or not as what it is below: that was asked in one of both ways.
            owner = f"{owner[0]}{_digest(owner, owner_of(asker))}"
        return f"{stem}.{owner}" if owner else stem


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
