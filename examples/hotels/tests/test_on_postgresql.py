"""The site on PostgreSQL, in one process or split: a booking adds up, and nobody can change the ledger."""

from __future__ import annotations

import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from random import Random

import psycopg
import pytest
from hotels.contracts.payments import EntryKind
from sites import Site, eventually, guest, milestones

from tests.suites.sites_on_postgresql import Databases

SPLIT = Path(__file__).parents[1] / "placements" / "split.toml"
PLACEMENT = Random(f"{os.environ['PARITY_SEED']} hotels").choice([None, SPLIT])

pytestmark = [pytest.mark.xdist_group("hotels on PostgreSQL"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def databases() -> Iterator[Databases]:
    with Databases() as made:
        yield made


@pytest.fixture(scope="module")
def site(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("site")
    site = Site(home, placement=databases.placed(home, Site, PLACEMENT))
    try:
        yield site.started()
    finally:
        site.stop()


def test_a_booking_is_entered_once_and_paid_back_and_its_lines_stay(site: Site, databases: Databases):
    offer, ada = site.own_offers(guests=1)[0], guest("Ada Lovelace")
    booked = [site.book(offer["room_id"], "one", guest=ada) for _ in range(3)]
    assert {each.status_code for each in booked} == {201}, booked[0].text
    booking_id, headers = booked[0].json()["booking_id"], site.signed_in(ada)
    told = {"receipt_issued", "guest_told", "hotel_told"}
    booking = eventually(lambda: site.booking(booking_id, headers), lambda each: told <= set(milestones(each)))
    assert site.cancel(booking_id, "back", headers).json()["status"] == "cancelled"

    entries = site.ledger(booking_id)

    assert [each.kind for each in entries] == [EntryKind.CHARGE, EntryKind.REFUND]
    assert entries[0].amount.amount == Decimal(booking["price"]["amount"])
    assert [each["net"] for each in site.charges(booking_id)] == ["0.00"]
    with psycopg.connect(databases.url(site.home, "payments"), autocommit=True) as owner:
        for change in ("UPDATE ledger SET amount = 0", "DELETE FROM ledger", "TRUNCATE ledger"):
            with pytest.raises(psycopg.errors.RestrictViolation, match="the ledger is append-only"):
                owner.execute(change)
    assert site.ledger(booking_id) == entries
