"""A certificate by ACME is ordered when it is time to, and an authority is asked seldom whatever goes wrong."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import pytest
import trustme

from meristem.gateway.certificate_folder import CertificateFolder
from meristem.gateway.certificate_renewal import BROKEN_OFF, CertificateRenewal
from meristem.gateway.order_failure import OrderFailureError
from meristem.transports.http.server.certificate_facts import facts_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DIRECTORY = "https://ca.example/directory"
HOUR, DAY = 3600.0, 86_400.0
MONTHS = 90 * DAY


class Authority:
    """Issues for 90 days, unless `fails`; `wishes` when it would like a renewal."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.ordered: list[float] = []
        self.asked = 0
        self.fails: BaseException | None = None
        self.wishes: float | None = None

    def order(self, hosts: Sequence[str]) -> bytes:
        self.ordered.append(self.now)
        if self.fails is not None:
            raise self.fails
        self.wishes = None  # it was about the one before
        authority = trustme.CA()
        made = authority.issue_cert(*hosts)
        pem: bytes = b"".join(each.bytes() for each in (*made.cert_chain_pems, made.private_key_pem))
        return pem

    def suggested(self, certificate: bytes) -> float | None:
        assert b"CERTIFICATE" in certificate
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        return self.wishes


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch) -> Authority:
    made = Authority(1_800_000_000.0)

    def facts(pem: str):
        return facts_of(pem)._replace(since=made.now, until=made.now + MONTHS)

    monkeypatch.setattr("meristem.gateway.certificate_renewal.facts_of", facts)
    return made


def renewal(folder: Path, authority: Authority, *hosts: str, directory: str = DIRECTORY) -> CertificateRenewal:
    kept = CertificateFolder(folder)
    kept.prepare()
    return CertificateRenewal(kept, directory, hosts or ("shop.example",), lambda: authority, now=lambda: authority.now)


def test_one_is_ordered_at_once_and_anew_when_two_thirds_of_its_time_are_over(tmp_path: Path, authority: Authority):
    began = authority.now
    while authority.now < began + MONTHS:
        renewal(tmp_path, authority).step()  # a process that has just been started
        authority.now += HOUR
    first, second = authority.ordered
    assert first == began
    assert 60 * DAY - 3 * DAY - HOUR <= second - began <= 60 * DAY + HOUR


def test_an_authority_that_wishes_an_earlier_renewal_is_heard_four_times_a_day(tmp_path: Path, authority: Authority):
    began = authority.now
    for at in range(49):
        authority.now = began + at * HOUR
        if at == 24:
            authority.wishes = began + 40 * HOUR
        renewal(tmp_path, authority).step()
    assert [each - began for each in authority.ordered] == [0, 40 * HOUR]
    assert authority.asked in (7, 8)


def test_one_that_cannot_be_asked_for_its_wish_is_no_failure(tmp_path: Path, authority: Authority):
    renewal(tmp_path, authority).step()
    authority.fails = OrderFailureError("away", is_away=True)
    authority.now += 7 * HOUR
    renewal(tmp_path, authority).step()
    assert (authority.asked, len(authority.ordered)) == (1, 1)
    assert renewal(tmp_path, authority).history.failures == 0


@pytest.mark.parametrize(
    ("error", "first_hour", "first_day"),
    [
        (OrderFailureError("shop.example was not proved"), range(3, 7), range(6, 16)),
        (OrderFailureError("too many", is_limited=True), range(1, 3), range(3, 9)),
        (OrderFailureError("away", is_away=True), range(6, 11), range(28, 62)),
        (RuntimeError("a fault of ours"), range(3, 7), range(6, 16)),
    ],
    ids=["refused", "limited", "away", "fault"],
)
def test_what_fails_is_tried_less_and_less_though_its_process_starts_anew(
    tmp_path: Path, authority: Authority, error: Exception, first_hour: range, first_day: range
):
    began, authority.fails = authority.now, error
    while authority.now < began + DAY:
        try:
            renewal(tmp_path, authority).step()
        except RuntimeError:
            assert isinstance(error, RuntimeError)
        authority.now += 5
    assert len([each for each in authority.ordered if each < began + HOUR]) in first_hour
    assert len(authority.ordered) in first_day
    authority.now += 600  # after which nothing is under way
    history = renewal(tmp_path, authority).history
    assert history.failures == len(authority.ordered)
    assert history.failure == (BROKEN_OFF if isinstance(error, RuntimeError) else str(error))


def test_failures_end_with_what_is_issued_and_with_another_order(tmp_path: Path, authority: Authority):
    authority.fails = OrderFailureError("no")
    renewal(tmp_path, authority).step()
    other = renewal(tmp_path, authority, "www.shop.example")
    assert other.history.failures == 0
    authority.fails = None
    other.step()
    assert other.history.certified == ("www.shop.example",)
    assert renewal(tmp_path, authority, "www.shop.example").history.failures == 0
    assert len(authority.ordered) == 2


@pytest.mark.parametrize("change", ["hosts", "directory", "file"])
def test_what_the_certificate_is_not_for_is_ordered(tmp_path: Path, authority: Authority, change: str):
    renewal(tmp_path, authority).step()
    if change == "file":
        CertificateFolder(tmp_path).certificate.unlink()
    hosts = ("shop.example", "www.shop.example") if change == "hosts" else ("shop.example",)
    directory = "https://other.example/" if change == "directory" else DIRECTORY
    renewal(tmp_path, authority, *hosts, directory=directory).step()
    assert len(authority.ordered) == 2


def test_while_another_process_orders_nothing_is_ordered(tmp_path: Path, authority: Authority):
    one = renewal(tmp_path, authority)
    with CertificateFolder(tmp_path).alone() as is_alone:
        assert is_alone
        one.step()
    assert not authority.ordered
    one.step()
    assert len(authority.ordered) == 1


def test_a_history_that_cannot_be_read_counts_as_none_and_is_told(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
):
    renewal(tmp_path, authority).step()
    (tmp_path / "acme/orders.json").write_text("{")
    with caplog.at_level(logging.WARNING):
        renewal(tmp_path, authority).step()
    assert len(authority.ordered) == 2
    assert "orders.json cannot be read" in caplog.text


def test_a_proof_is_found_by_its_token_alone(tmp_path: Path):
    folder = CertificateFolder(tmp_path)
    folder.prepare()
    folder.publish("to_ken-1", "to_ken-1.print")
    folder.keep_history(folder.history())
    assert folder.proof("to_ken-1") == b"to_ken-1.print"
    for wrong in ("", ".", "..", "../orders.json", "to_ken-2", "to_ken-1/", "to_ken-1\n", "%74o_ken-1", "a" * 600):
        assert folder.proof(wrong) is None, wrong
    with pytest.raises(ValueError, match="no token of a challenge"):
        folder.publish("../orders", "x")
    folder.withdraw_all()
    assert folder.proof("to_ken-1") is None


def test_an_authority_that_never_comes_to_an_end_is_left_alone_and_asked_again(tmp_path: Path, authority: Authority):
    class Endless(Authority):
        over = threading.Event()

        def order(self, hosts: Sequence[str]) -> bytes:
            self.ordered.append(self.now)
            self.over.wait(60)
            return b""

    endless = Endless(authority.now)
    kept = CertificateFolder(tmp_path)
    kept.prepare()
    one = CertificateRenewal(
        kept, DIRECTORY, ("shop.example",), lambda: endless, now=lambda: authority.now, longest=0.05
    )
    try:
        one.step()
        assert "has not answered to the end within 0.05 s" in one.history.failure
        authority.now += HOUR
        one.step()
    finally:
        endless.over.set()
    assert len(endless.ordered) == 2
