"""Makes one answer of what several processes, or databases, say of a system's events."""

from __future__ import annotations

from collections import Counter
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from meristem.events.bus import BROKER
from meristem.operators.event_contract import (
    ChangedLetters,
    DeadLetterPage,
    EventOverview,
    EventTypeView,
    SubscriberView,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from meristem.operators.event_contract import DeadLetterView, LetterSearch, OutboxView, SubscriberKind

WITH_VALUES: Final = 100  # letters whose whole events are read at once
LARGEST: Final = 1_000_000  # characters of the events of one page, beyond its first one


def merged_overviews(found: Sequence[EventOverview], silent: Sequence[str]) -> EventOverview:
    """All of a system: sums over its parts, and each event once."""
    types: dict[str, EventTypeView] = {}
    subscribers: dict[str, SubscriberView] = {}
    for one in found:
        for event in one.events:
            known = types.get(event.type)
            # Each process knows the classes of its own code alone, and so whom they accept.
            types[event.type] = event if known is None or not known.accepted_from else known
        for each in one.subscribers:
            before = subscribers.get(each.name)
            subscribers[each.name] = each if before is None else _added(before, each)
    return EventOverview(
        events=[types[name] for name in sorted(types)],
        subscribers=list(subscribers.values()),
        outboxes=[each for one in found for each in one.outboxes],
        unreachable=next((each.unreachable for each in found if each.unreachable), None),
        unread={name: why for one in found for name, why in one.unread.items()},
        silent=list(silent),
    )


def _added(one: SubscriberView, other: SubscriberView) -> SubscriberView:
    times = [each.oldest for each in (one, other) if each.oldest is not None]
    lags = [each.lag for each in (one, other) if each.lag is not None]
    return replace(
        one,
        waiting=one.waiting + other.waiting,
        oldest=min(times, default=None),
        failed=one.failed + other.failed,
        lag=sum(lags) if lags else None,
        dead=one.dead + other.dead,
    )


def subscribers_of(
    services: Iterable[str], webhooks: Iterable[str], outboxes: Iterable[OutboxView], lags: Mapping[str, int]
) -> list[SubscriberView]:
    """Those that a system has, and those that something is left for, with what waits for each."""
    known = {name: SubscriberView(name=name, lag=lags.get(name)) for name in services}
    known |= {name: SubscriberView(name=name, kind="webhook") for name in webhooks}
    for outbox in outboxes:
        owed = [
            SubscriberView(name=each.subscriber, waiting=each.count, oldest=each.oldest, failed=each.failed)
            for each in outbox.waiting
        ]
        for each in (*owed, *(SubscriberView(name=name, dead=count) for name, count in outbox.dead.items())):
            kind: SubscriberKind = "broker" if each.name.startswith(BROKER) else "gone"
            known[each.name] = _added(known.get(each.name) or SubscriberView(name=each.name, kind=kind), each)
    return list(known.values())


def at_once(search: LetterSearch) -> LetterSearch:
    """The search with no more letters than are read at once."""
    return replace(search, most=min(search.most, WITH_VALUES)) if search.values else search


def page_of(
    letters: Iterable[Sequence[DeadLetterView]],
    search: LetterSearch,
    *,
    total: int,
    newest: dict[str, int],
    more: bool = False,
    silent: Sequence[str] = (),
) -> DeadLetterPage:
    """One page of dead letters of several services, each in the order of its numbers; `more` are not among them."""
    groups = [list(each) for each in letters]
    oldest_first = search.after is not None
    ordered = merge(*groups, key=lambda each: each.created, reverse=not oldest_first)
    taken = list(_bounded(islice(ordered, search.most)))
    begin = (search.after if oldest_first else search.before) or {}
    return DeadLetterPage(
        letters=taken,
        total=total,
        more=more or len(taken) < sum(map(len, groups)),
        next=begin | {each.service: each.id for each in taken},
        newest=newest,
        silent=list(silent),
    )


def _bounded(letters: Iterator[DeadLetterView]) -> Iterator[DeadLetterView]:
    size = 0
    for each in letters:
        size += len(each.body)
        if size > LARGEST and size > len(each.body):
            return
        yield each


def merged_pages(found: Sequence[DeadLetterPage], search: LetterSearch, silent: Sequence[str]) -> DeadLetterPage:
    """The first page of all that several parts gave."""
    groups: dict[str, list[DeadLetterView]] = {}
    search = at_once(search)
    for letter in (letter for page in found for letter in page.letters):
        groups.setdefault(letter.service, []).append(letter)
    return page_of(
        groups.values(),
        search,
        total=sum(each.total for each in found),
        newest={name: number for each in found for name, number in each.newest.items()},
        more=any(each.more for each in found),
        silent=silent,
    )


def merged_changes(found: Sequence[ChangedLetters], silent: Sequence[str]) -> ChangedLetters:
    """The sums of several parts."""
    changed: Counter[str] = Counter()
    for each in found:
        changed.update(each.changed)
    return ChangedLetters(changed=dict(changed), silent=list(silent))
