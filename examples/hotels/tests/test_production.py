"""The site for the public serves nothing that stands in for a third party, and speaks of none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sites import ARRIVAL, Site, eventually

PRODUCTION = Path(__file__).parents[1] / "placements" / "production.toml"


@pytest.mark.timeout(300)
def test_no_stand_in_is_reached_in_production(new_home: Callable[[], Path]) -> None:
    home = new_home()
    nowhere = "http://127.0.0.1:9"
    urls = {"HOTELS_PAYMENTS_BANK_URL": nowhere, "HOTELS_SEARCH_PARTNER_URL": nowhere}
    site = Site(home, placement=PRODUCTION, system="hotels.system:production", **urls)
    try:
        site.started()
        offers = eventually(lambda: site.own_offers(guests=1), lambda found: found)
        pay = site.http.get(f"/rooms/{offers[0]['room_id']}/pay?arrival={ARRIVAL}&nights=2&guests=1")
        statuses = {
            path: site.http.get(path).status_code for path in ("/bank/", "/bank/statement", "/mailbox/", "/partner/")
        }
    finally:
        site.stop()

    assert set(statuses.values()) == {404}
    assert pay.status_code == 200
    for word in ("Test cards", "/mailbox/", "/bank/"):
        assert word not in pay.text
