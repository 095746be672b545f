"""The soak's audit names each thing that can be wrong after a run, and nothing where all is well."""

from collections import Counter
from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest

from benchmarks.soak.audit import CHECKS, MILESTONES, expected_letters
from benchmarks.soak.evidence import Booking, Evidence, Hold, owed

ONE, TWO, THREE = (f"5a0f5b0e-0000-4000-8000-00000000b00{number}" for number in (1, 2, 3))
HELD, RELEASED, UNDONE = (f"5a0f5b0e-0000-4000-8000-00000000c00{number}" for number in (1, 2, 3))
ROOM = "5a0f5b0e-0000-4000-8000-00000000d001"
FIRST, SECOND, LEAVING = date(2027, 3, 1), date(2027, 3, 2), date(2027, 3, 3)


def after_a_good_run() -> Evidence:
    """One booking that is kept, one that was cancelled, one that failed; two hotels."""
    bookings = [
        Booking(ONE, "confirmed", Decimal("80.00"), HELD),
        Booking(TWO, "cancelled", Decimal("90.00"), RELEASED),
        Booking(THREE, "failed", Decimal("70.00")),
    ]
    kept = {ONE: Decimal("80.00"), TWO: Decimal("0.00")}
    letters = list(expected_letters(bookings))
    tracked = {(each.booking_id, milestone): times for each in bookings[:2] for milestone, times in _due(each).items()}
    return Evidence(
        bookings=bookings,
        promised={ONE: "confirmed", TWO: "cancelled"},
        bank=dict(kept),
        ledger=dict(kept),
        rooms={ROOM: 1},
        holds=[
            Hold(HELD, ROOM, FIRST, LEAVING, "confirmed"),
            Hold(RELEASED, ROOM, FIRST, LEAVING, "released"),
            Hold(UNDONE, ROOM, FIRST, LEAVING, "expired"),
        ],
        occupancy={(ROOM, FIRST): 1, (ROOM, SECOND): 1},
        hotels=2,
        arrived=letters,
        receipts=Counter({ONE: 1, TWO: 1}),
        milestones=Counter(tracked),
        heard={
            ("documents", "reservations"): ["b1", "b2"],
            ("notifications", "reservations"): ["b1", "b2", "c2"],
            ("notifications", "documents"): ["d1", "d2"],
            ("notifications", "notifications"): letters,
            ("reservations", "documents"): ["d1", "d2"],
            ("reservations", "notifications"): letters,
            ("search", "rooms"): ["l1", "l2", "h1", "h2", "h3", "r2", "r3"],
        },
        waiting={"events of rooms": 0, "sagas": 0},
    )


def _due(booking: Booking) -> dict[str, int]:
    return MILESTONES[booking.status]


def _found(evidence: Evidence) -> dict[str, list[str]]:
    return {name: wrong for name, check in CHECKS.items() if (wrong := check(evidence))}


def test_all_is_well_after_a_good_run():
    assert _found(after_a_good_run()) == {}


def _lost(found: Evidence) -> None:
    del found.bookings[0]


def _stuck(found: Evidence) -> None:
    found.bookings[2] = found.bookings[2]._replace(status="pending")


def _charged_twice(found: Evidence) -> None:
    found.bank[ONE] += Decimal("80.00")  # type: ignore[index]


def _charged_for_nothing(found: Evidence) -> None:
    found.bank[THREE] = Decimal("0.01")  # type: ignore[index]


def _not_entered(found: Evidence) -> None:
    del found.ledger[ONE]  # type: ignore[attr-defined]


def _given_twice(found: Evidence) -> None:
    found.bookings.append(Booking(THREE[:-1] + "4", "confirmed", Decimal("0.00"), UNDONE))
    found.holds[2] = found.holds[2]._replace(state="confirmed", arrival=SECOND)


def _hold_lost(found: Evidence) -> None:
    found.holds[0] = found.holds[0]._replace(state="expired")


def _hold_shared(found: Evidence) -> None:
    found.bookings.append(found.bookings[0]._replace(booking_id=THREE[:-1] + "4"))


def _hold_of_nobody(found: Evidence) -> None:
    found.bookings[0] = found.bookings[0]._replace(hold_id=RELEASED)


def _recap(found: Evidence) -> str:
    return next(
        each for each, what in expected_letters(found.bookings).items() if what == f"the recap of booking {ONE}"
    )


def _recap_lost(found: Evidence) -> None:
    found.arrived.remove(_recap(found))


def _recap_twice(found: Evidence) -> None:
    found.arrived.append(_recap(found))


def _recap_of_another_id(found: Evidence) -> None:
    found.arrived.append("0" * 32)


def _unheard(found: Evidence) -> None:
    found.heard["documents", "reservations"].pop()


def _heard_twice(found: Evidence) -> None:
    found.heard["documents", "reservations"].append("b1")


def _heard_by_one(found: Evidence) -> None:
    found.heard["reservations", "documents"][0] = "another"


def _heard_of_a_stranger(found: Evidence) -> None:
    found.heard["documents", "rooms"] = ["h1"]  # type: ignore[index]


def _receipt_twice(found: Evidence) -> None:
    found.receipts[ONE] += 1


def _receipt_for_nothing(found: Evidence) -> None:
    found.receipts[THREE] += 1


def _told_twice(found: Evidence) -> None:
    found.milestones[ONE, "guest_told"] += 1


def _counted_twice(found: Evidence) -> None:
    found.occupancy[ROOM, FIRST] += 1  # type: ignore[index]


def _dead(found: Evidence) -> None:
    found.waiting["events of rooms"] = 2  # type: ignore[index]


def _of_a_broker(found: Evidence, **what: int | None) -> None:
    lags = {"bus:nats": None, "search": 0}
    all_is_well = [{"name": name, "waiting": 0, "dead": 0, "lag": lag} for name, lag in lags.items()]
    assert not any(owed(all_is_well).values())
    found.waiting |= owed([{**each, **what} for each in all_is_well])  # type: ignore[operator]


def _left_with_the_broker(found: Evidence) -> None:
    _of_a_broker(found, lag=3)


def _not_told_by_the_broker(found: Evidence) -> None:
    _of_a_broker(found, lag=None)


def _not_sent_to_the_broker(found: Evidence) -> None:
    _of_a_broker(found, waiting=4)


def _refused_by_the_broker(found: Evidence) -> None:
    _of_a_broker(found, dead=5)


@pytest.mark.parametrize(
    ("plant", "check", "sentence"),
    [
        (_lost, "every acknowledged booking exists", f"booking {ONE} was confirmed to its guest, and is gone"),
        (_stuck, "every booking is complete or undone", f"booking {THREE} is still pending"),
        (_charged_twice, "bank, ledger and bookings", "80.00 is due, the bank keeps 160.00, the ledger says 80.00"),
        (_charged_for_nothing, "bank, ledger and bookings", "0 is due, the bank keeps 0.01, the ledger says 0"),
        (_not_entered, "bank, ledger and bookings", "80.00 is due, the bank keeps 80.00, the ledger says 0"),
        (_given_twice, "no room twice", f"2 have room {ROOM} in the night of {SECOND}, of which there are 1"),
        (_hold_lost, "no room twice", f"a confirmed booking's hold {HELD} is not confirmed"),
        (_hold_shared, "no room twice", f"2 bookings share hold {HELD}"),
        (_hold_of_nobody, "no room twice", f"hold {HELD} is confirmed for no booking"),
        (_recap_lost, "every letter once", f"the recap of booking {ONE} is lost"),
        (_recap_twice, "every letter once", f"the recap of booking {ONE} came 2 times"),
        (_recap_of_another_id, "every letter once", f"letter {'0' * 32} belongs to no booking"),
        (_unheard, "every event once", "documents heard 1 events of reservations, and there were 2"),
        (_heard_twice, "every event once", "documents heard event b1 of reservations more than once"),
        (_heard_by_one, "every event once", "event another of documents was heard by one of its two subscribers"),
        (_heard_of_a_stranger, "every event once", "documents heard events of rooms, of which it hears none"),
        (_receipt_twice, "every event once", f"booking {ONE} has 2 receipts"),
        (_receipt_for_nothing, "every event once", f"booking {THREE} has a receipt, and was never confirmed"),
        (_told_twice, "every event once", f"booking {ONE}, confirmed, was guest_told 2 times in place of 1"),
        (
            _counted_twice,
            "every event once",
            f"search believes 2 of room {ROOM} taken in the night of {FIRST}, and 1 are",
        ),
        (_dead, "nothing waits, nothing is dead", "2 events of rooms are left"),
        (_left_with_the_broker, "nothing waits", "3 events that the broker has for search are left"),
        (_not_told_by_the_broker, "nothing waits", "1 lags of search that the broker does not tell are left"),
        (_not_sent_to_the_broker, "nothing waits", "4 events owed to bus:nats are left"),
        (_refused_by_the_broker, "nothing waits", "5 dead letters for bus:nats are left"),
    ],
)
def test_what_is_wrong_is_named(plant: Callable[[Evidence], None], check: str, sentence: str):
    evidence = after_a_good_run()

    plant(evidence)

    wrong = [each for name, all_ in _found(evidence).items() if name.startswith(check) for each in all_]
    assert any(sentence in each for each in wrong), wrong
