"""What must be true of the hotel site after any trouble: compares its bookings with bank, ledger and mailbox.

Pure functions over what was read; each gives sentences about what is wrong, none when all is well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID, uuid5

FINAL = {"confirmed", "failed", "cancelled"}
LETTERS = {
    "confirmed": ("recap", "reservation"),
    "cancelled": ("recap", "reservation", "cancellation", "cancellation_hotel"),
}
GROWTH = 6.0  # MB a minute
WEIGHT = 250.0  # MB
SETTLED = 60.0  # seconds of life after which a process has loaded what it needs
TOGETHER = 1.0  # seconds within which the samples of one moment are taken
LONG = 60.0  # seconds that a slope needs beyond that


class Seen(NamedTuple):
    """A booking as its guest sees it at the end."""

    booking_id: str
    status: str
    price: Decimal


class Sample(NamedTuple):
    """A process at a moment."""

    at: float
    memory: float
    files: int


def unfinished(bookings: Iterable[Seen]) -> list[str]:
    """Every booking is complete or undone."""
    return [f"booking {each.booking_id} is still {each.status}" for each in bookings if each.status not in FINAL]


def promises_broken(promised: Mapping[str, str], bookings: Iterable[Seen]) -> list[str]:
    """A booking that a guest was promised is there; `promised` is by id what the guest was last told."""
    found = {each.booking_id: each.status for each in bookings}
    return [
        f"booking {booking} was {told} to its guest, and is {found.get(booking, 'gone')}"
        for booking, told in promised.items()
        if found.get(booking) != told
    ]


def money_astray(bookings: Iterable[Seen], bank: Mapping[str, Decimal], ledger: Mapping[str, Decimal]) -> list[str]:
    """The bank keeps the price of each confirmed booking and of no other, and the ledger says the same."""
    wanted = {each.booking_id: each.price for each in bookings if each.status == "confirmed"}
    everywhere = sorted({*wanted, *bank, *ledger})
    wrong = []
    for booking in everywhere:
        due, kept, entered = (each.get(booking, Decimal(0)) for each in (wanted, bank, ledger))
        if not due == kept == entered:
            wrong.append(f"booking {booking}: {due} is due, the bank keeps {kept}, the ledger says {entered}")
    return wrong


def expected_mails(bookings: Iterable[Seen]) -> set[str]:
    """The Message-IDs (without domain) of all letters that must have been sent."""
    return {uuid5(UUID(each.booking_id), letter).hex for each in bookings for letter in LETTERS.get(each.status, ())}


def mail_astray(bookings: Iterable[Seen], arrived: Sequence[str]) -> list[str]:
    """Every letter has arrived, once."""
    wanted, counted = expected_mails(bookings), Counter(arrived)
    return [
        *(f"letter {each} is lost" for each in sorted(wanted - counted.keys())),
        *(f"letter {each} belongs to no booking" for each in sorted(counted.keys() - wanted)),
        *(f"letter {each} came {count} times" for each, count in sorted(counted.items()) if count > 1),
    ]


def too_heavy(samples: Mapping[tuple[str, int], Sequence[Sample]]) -> list[str]:
    """No process weighs too much, and none that lived long enough to tell grows; samples are by name and pid."""
    wrong = []
    for (name, pid), all_ in samples.items():
        if (most := max(each.memory for each in all_)) > WEIGHT:
            wrong.append(f"{name} (pid {pid}) weighed {most:.0f} MB")
        grown = slope([each for each in all_ if each.at - all_[0].at >= SETTLED])
        if grown is not None and grown > GROWTH:
            wrong.append(f"{name} (pid {pid}) grew by {grown:.1f} MB a minute")
    return wrong


def slope(samples: Sequence[Sample]) -> float | None:
    """MB a minute by least squares; None when the samples don't reach far enough."""
    if len(samples) < 3 or samples[-1].at - samples[0].at < LONG:
        return None
    middle = sum(each.at for each in samples) / len(samples)
    mean = sum(each.memory for each in samples) / len(samples)
    spread = sum((each.at - middle) ** 2 for each in samples)
    return 60 * sum((each.at - middle) * (each.memory - mean) for each in samples) / spread


def leaking_files(samples: Mapping[tuple[str, int], Sequence[Sample]], allowed: int) -> list[str]:
    """No process has many more files and sockets open at the end, when nothing goes on, than it had at first.

    One that was killed before, perhaps in its busiest moment, was never at rest.
    """
    end = max((all_[-1].at for all_ in samples.values()), default=0.0)
    return [
        f"{name} (pid {pid}) has {all_[-1].files} files and sockets open, and had {all_[0].files} at first"
        for (name, pid), all_ in samples.items()
        if all_[-1].at > end - TOGETHER and all_[-1].files > all_[0].files + allowed
    ]
