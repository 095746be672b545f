"""The whole site as its users meet it: started by the command in a folder of its own, reached by HTTP alone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from hotels.contracts.payments import LedgerEntry, Payments

from meristem import connect
from meristem.supervision.lifeline import LIFELINE, Lifeline

SYSTEM = "hotels.system:system"
ARRIVAL = date.today() + timedelta(days=40)  # noqa: DTZ011 - a stay in the near future, whatever the zone
CARD = {"number": "4242424242424242", "expiry": "12/40", "cvc": "123"}
DECLINED = {**CARD, "number": "4000000000000002"}
PATIENCE = 60.0  # seconds for what takes one on an idle machine
LINE = Lifeline()  # open as long as this process lives: a site ends with the tests that started it, however they end


def guest(name: str) -> dict[str, str]:
    """A guest of this name, with an address and a password."""
    return {"name": name, "email": f"{name.lower().replace(' ', '.')}@example.com", "password": "analytical engine"}


def kept_port() -> socket.socket:
    """A port that nobody else is given while this socket is open; a server may listen on it nevertheless."""
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    return kept


class Site:
    """One run of the site; `command` starts it, by default as a user would, `placement` says where its parts live."""

    def __init__(
        self,
        home: Path,
        *,
        command: tuple[str, ...] = ("-m", "meristem", "run"),
        placement: Path | None = None,
        system: str = SYSTEM,
        **environment: str,
    ) -> None:
        self.home = home
        self.lines: list[str] = []
        self.ready = threading.Event()
        self._ports = kept_port(), kept_port()
        port, mail_port = (str(each.getsockname()[1]) for each in self._ports)
        self.address = f"http://127.0.0.1:{port}"
        where = [] if placement is None else ["--placement", str(placement)]
        self.process = subprocess.Popen(
            [sys.executable, *command, system, "--port", port, *where],
            cwd=home,
            env=os.environ
            | {
                "HOTELS_ROOMS_HOTELS": "300",
                "MAIL_SMTP_PORT": mail_port,
                "HOTELS_NOTIFICATIONS_SMTP_URL": f"smtp://127.0.0.1:{mail_port}",
                "BANK_SLOW_SECONDS": "8",
                LIFELINE: str(LINE.reading),
            }
            | environment,
            pass_fds=[LINE.reading],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.http = httpx.Client(base_url=self.address, timeout=PATIENCE)

    @property
    def log(self) -> str:
        """What the site printed so far."""
        return "".join(self.lines)

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if "runs at http" in line:
                self.ready.set()
        self.ready.set()

    def started(self) -> Site:
        """The site, once it answers."""
        assert self.ready.wait(PATIENCE), self.log
        assert "runs at http" in self.log, self.log
        return self

    def prints(self, text: str, after: int) -> int:
        """Wait for a line with a text, behind so many lines; gives how many lines there are up to it."""
        until = time.monotonic() + PATIENCE
        while True:
            alive, known = self._reader.is_alive(), len(self.lines)
            for number in range(after, known):
                if text in self.lines[number]:
                    return number + 1
            assert alive, f"it ended without {text!r}:\n{self.log}"
            assert time.monotonic() < until, f"it didn't print {text!r}:\n{self.log}"
            after = known
            time.sleep(0.01)

    def stop(self) -> None:
        """Ask it to stop, and wait until it did."""
        if self.runs:
            self.process.send_signal(signal.SIGTERM)
        self.await_end()

    def await_end(self) -> None:
        """Wait for the end of the process, which something else brings about."""
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the site did not end:\n{self.log}") from None
        finally:
            self.http.close()
            self._reader.join(PATIENCE)
            assert not self._reader.is_alive(), f"somebody holds the output of the site, which has ended:\n{self.log}"
            assert self.process.stdout is not None
            self.process.stdout.close()
            for each in self._ports:
                each.close()

    def search(self, city: str = "Lisbon", guests: int = 2, **more: Any) -> dict[str, Any]:
        query = {"city": city, "arrival": ARRIVAL.isoformat(), "nights": 2, "guests": guests, **more}
        found = in_time(lambda: self.http.get("/api/hotels", params=query))
        assert found.status_code == 200, found.text
        return found.json()

    def own_offers(self, **query: Any) -> list[dict[str, Any]]:
        """What we offer ourselves, the cheapest first."""
        return [each for each in self.search(limit=200, **query)["offers"] if each["source"] == "own"]

    def rooms(self) -> list[dict[str, Any]]:
        """Every room of ours in the ten cities with most hotels."""
        cities = [each["name"] for each in self.http.get("/api/cities").json()]
        return [each for city in cities for each in self.own_offers(city=city, guests=1)]

    def holds(self, room_id: str) -> int:
        """How many rooms of this kind are held or booked, as the database of rooms says."""
        path = self.home / ".meristem" / "hotels" / "rooms.db"
        statement = "SELECT count(*) FROM holds WHERE room_id = ? AND state IN ('held', 'confirmed')"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return database.execute(statement, [UUID(room_id).hex]).fetchone()[0]

    def free(self, room_id: str, city: str = "Lisbon") -> int:
        """How many rooms of this kind a search finds."""
        offers = self.own_offers(city=city, guests=1)
        return next((each["free"] for each in offers if each["room_id"] == room_id), 0)

    def book(self, room_id: str, key: str, /, **more: Any) -> httpx.Response:
        stay = {"room_id": room_id, "arrival": ARRIVAL.isoformat(), "nights": 2, "guests": 1}
        request = {**stay, "card": CARD, **more}
        return in_time(lambda: self.http.post("/api/bookings", json=request, headers={"Idempotency-Key": key}))

    def cancel(self, booking_id: str, key: str, headers: dict[str, str]) -> httpx.Response:
        named = {**headers, "Idempotency-Key": key}
        return in_time(lambda: self.http.delete(f"/api/bookings/{booking_id}", headers=named))

    def sign_in(self, who: dict[str, str]) -> httpx.Response:
        named = {"email": who["email"], "password": who["password"]}
        return in_time(lambda: self.http.post("/api/sessions", json=named))

    def signed_in(self, who: dict[str, str]) -> dict[str, str]:
        """The headers of requests by somebody."""
        session = self.sign_in(who)
        assert session.status_code == 201, session.text
        return {"Authorization": f"Bearer {session.json()['token']}"}

    def bookings(self, headers: dict[str, str]) -> list[dict[str, Any]]:
        found = in_time(lambda: self.http.get("/api/bookings", headers=headers))
        assert found.status_code == 200, found.text
        return found.json()

    def booking(self, booking_id: str, headers: dict[str, str]) -> dict[str, Any]:
        found = in_time(lambda: self.http.get(f"/api/bookings/{booking_id}", headers=headers))
        assert found.status_code == 200, found.text
        return found.json()

    def mails(self, to: str) -> list[dict[str, Any]]:
        """What the mailbox holds for an address, the newest first."""
        return self.http.get("/mailbox/api/messages", params={"to": to}).json()

    def charges(self, booking_id: str) -> list[dict[str, Any]]:
        """What the bank knows of a booking."""
        return self.http.get("/bank/charges", params={"reference": booking_id}).json()

    def statement(self) -> list[dict[str, Any]]:
        """The bank's own record."""
        return self.http.get("/bank/statement").json()

    def ledger(self, booking_id: str) -> list[LedgerEntry]:
        """What payments entered for a booking, asked as another part of the system would."""

        async def asked() -> list[LedgerEntry]:
            async with connect(folder=self.home, service="auditor") as hotels:
                return await hotels.client(Payments).ledger(UUID(booking_id))

        return asyncio.run(asked())

    def owed(self) -> list[str]:
        """What the databases of the services say is still to be done: events to deliver, sagas to bring to rest."""
        return [each for path in sorted(self.home.glob(".meristem/hotels/*.db")) for each in _owed(path)]


@contextmanager
def run(home: Path, placement: Path | None = None) -> Iterator[Site]:
    """A site from its start to its end."""
    site = Site(home, placement=placement)
    try:
        yield site.started()
    finally:
        site.stop()


def _owed(path: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        tables = {row["name"] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        events, sagas = (
            "SELECT * FROM meristem_outbox",
            "SELECT * FROM meristem_saga WHERE state NOT IN ('done', 'failed')",
        )
        found = [dict(row) for row in database.execute(events)] if "meristem_outbox" in tables else []
        found += [dict(row) for row in database.execute(sagas)] if "meristem_saga" in tables else []
    return [f"{path.stem}: {row}" for row in found]


def in_time(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """The answer to a question that may be repeated, asked again while the machine is too slow for its deadline."""
    return eventually(ask, lambda answer: answer.status_code != 504)


def eventually(read: Callable[[], Any], wanted: Callable[[Any], bool], seconds: float = PATIENCE) -> Any:
    """Ask until the answer is the wanted one; the last answer is shown when time is up."""
    until = time.monotonic() + seconds
    while not wanted(answer := read()):
        assert time.monotonic() < until, answer
        time.sleep(0.02)
    return answer


def milestones(booking: dict[str, Any]) -> list[str]:
    return [each["milestone"] for each in booking["tracking"]]
