"""The site as its operators find it: used by guests, with something that failed on each page that tells of failures."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from sites import CARD, DECLINED, Site, eventually, guest

OPERATORS = "/meristem.operator.v1."
RECEIPT = "hotels.documents.v1.ReceiptIssued"


class WatchedSite:
    """A run, and what operators ask it by the link that it printed."""

    def __init__(self, site: Site) -> None:
        self.site = site
        [self.link] = set(re.findall(r"http://\S+/\?token=\w+", site.log))
        self.address, _, token = self.link.partition("/?token=")
        self.facts: dict[str, str] = {}
        self._http = httpx.Client(base_url=self.address, headers={"authorization": f"Bearer {token}"}, timeout=60)

    def ask(self, operation: str, **parameters: Any) -> Any:
        """What the contracts of operators answer: `Operator/Traces`."""
        answer = self._http.post(f"{OPERATORS}{operation}", json=parameters)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        return told["result"] if list(told) == ["result"] else told

    def command(self, *arguments: str) -> str:
        """What `meristem` prints in the folder of the run."""
        command = [sys.executable, "-m", "meristem", *arguments]
        return subprocess.run(
            command, cwd=self.site.home, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    def use(self) -> None:
        """Have guests book, one of them in vain, and publish an event of a booking that nobody knows."""
        rooms = [each["room_id"] for each in self.site.own_offers()][:2]
        for number, card in enumerate((CARD, DECLINED)):
            self.site.book(rooms[number], f"watched-{number}", guest=guest(f"Guest {number}"), card=card)
        # Two ends: one is booked, one was declined and undone.
        eventually(lambda: {each["state"] for each in self._sagas()}, lambda states: states == {"done", "failed"})
        data = {"booking_id": str(uuid4()), "number": "R-1", "issued": "2031-01-31T12:00:00Z"}
        self.ask("Events/Publish", service="documents", type=RECEIPT, data=json.dumps(data))
        traces = eventually(lambda: self.ask("Operator/Traces"), lambda told: any(each["spans"] > 9 for each in told))
        self.facts = {
            "trace": next(each["trace_id"] for each in traces if each["spans"] > 9),
            "saga": next(each["id"] for each in self._sagas() if each["state"] == "failed"),
            "process": next(each["name"] for each in self.ask("Operator/Processes") if "search" in each["services"]),
        }

    def _sagas(self) -> list[dict[str, Any]]:
        return [each["saga"] for each in self.ask("SagaOperations/Find")["sagas"]]

    @property
    def cookies(self) -> list[dict[str, str]]:
        """What a browser has that followed the link."""
        answer = self._http.get(self.link)
        return [{"name": name, "value": value, "url": self.address} for name, value in answer.cookies.items()]

    def close(self) -> None:
        self._http.close()


def leave_an_old_event(home: Path) -> None:
    """Put an event into an outbox as a release of before would have left it: without a field that it has now."""
    body = {"specversion": "1.0", "id": str(uuid4()), "source": "//hotels/documents", "type": RECEIPT}
    body |= {"datacontenttype": "application/json", "data": {"booking_id": str(uuid4())}}
    now = time.time()
    row = (body["id"], "notifications", RECEIPT, "old", json.dumps(body), now, 0, now)
    columns = "event_id, subscriber, type, key, body, created, attempts, due_at"
    with closing(sqlite3.connect(home / ".meristem" / "hotels" / "documents.db")) as database, database:
        database.execute(f"INSERT INTO meristem_outbox ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
