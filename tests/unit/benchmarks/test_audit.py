"""The soak's audit finds what is wrong, and nothing where all is well."""

from decimal import Decimal
from uuid import UUID, uuid5

from benchmarks.audit import (
    Sample,
    Seen,
    expected_mails,
    leaking_files,
    mail_astray,
    money_astray,
    promises_broken,
    slope,
    too_heavy,
    unfinished,
)

ONE, TWO = "5a0f5b0e-0000-4000-8000-00000000b001", "5a0f5b0e-0000-4000-8000-00000000b002"
KEPT = Seen(ONE, "confirmed", Decimal("80.00"))
CANCELLED = Seen(TWO, "cancelled", Decimal("90.00"))


def test_all_is_well_when_money_and_mail_are_where_they_belong():
    bookings = [KEPT, CANCELLED]
    bank = {ONE: Decimal("80.00"), TWO: Decimal("0.00")}
    assert unfinished(bookings) == []
    assert promises_broken({ONE: "confirmed", TWO: "cancelled"}, bookings) == []
    assert money_astray(bookings, bank, bank) == []
    assert mail_astray(bookings, sorted(expected_mails(bookings))) == []
    assert len(expected_mails(bookings)) == 6


def test_a_booking_that_goes_on_is_not_finished():
    assert unfinished([KEPT._replace(status="pending")]) == [f"booking {ONE} is still pending"]


def test_a_promise_counts_even_if_the_booking_is_gone():
    assert promises_broken({ONE: "confirmed"}, []) == [f"booking {ONE} was confirmed to its guest, and is gone"]


def test_money_kept_for_nothing_or_not_entered_is_astray():
    assert len(money_astray([], {ONE: Decimal("80.00")}, {})) == 1
    assert len(money_astray([KEPT], {ONE: Decimal("80.00")}, {})) == 1
    assert len(money_astray([KEPT], {ONE: Decimal("160.00")}, {ONE: Decimal("80.00")})) == 1


def test_letters_that_are_lost_doubled_or_nobodys_are_astray():
    recap, reservation = (uuid5(UUID(ONE), each).hex for each in ("recap", "reservation"))
    assert mail_astray([KEPT], [recap]) == [f"letter {reservation} is lost"]
    assert mail_astray([KEPT], [recap, recap, reservation]) == [f"letter {recap} came 2 times"]
    assert mail_astray([], [recap]) == [f"letter {recap} belongs to no booking"]


def test_growth_is_seen_only_after_a_process_has_settled():
    growing = [Sample(at, 80.0 + at / 6.0, 30) for at in range(0, 300, 2)]  # 10 MB a minute
    loading = [Sample(at, 80.0 + min(at, 50) / 2.0, 30) for at in range(0, 300, 2)]
    assert round(slope(growing) or 0.0, 3) == 10.0
    assert slope(growing[:5]) is None
    assert too_heavy({("rooms-0", 1): growing}) == ["rooms-0 (pid 1) grew by 10.0 MB a minute"]
    assert too_heavy({("rooms-0", 1): loading}) == []
    assert too_heavy({("rooms-0", 1): [Sample(0.0, 900.0, 30)]}) == ["rooms-0 (pid 1) weighed 900 MB"]


def test_files_that_stay_open_are_a_leak():
    samples = {("rooms-0", 1): [Sample(0.0, 80.0, 30), Sample(9.0, 80.0, 90)]}
    assert leaking_files(samples, 40) == ["rooms-0 (pid 1) has 90 files and sockets open, and had 30 at first"]
    assert leaking_files(samples, 60) == []


def test_a_process_that_was_killed_while_busy_leaks_nothing():
    lived = [Sample(0.0, 80.0, 30), Sample(9.0, 80.0, 35)]
    assert (
        leaking_files({("rooms-0", 1): [Sample(0.0, 80.0, 30), Sample(5.0, 80.0, 90)], ("rooms-0", 2): lived}, 40) == []
    )
