"""A whole system as its users meet it: started by the command in a folder of its own, reached by HTTP alone."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, ClassVar, Self

import httpx

from meristem.supervision.lifeline import LIFELINE, Lifeline

CARD = {"number": "4242424242424242", "expiry": "12/40", "cvc": "123"}
DECLINED = {**CARD, "number": "4000000000000002"}
PATIENCE = 60.0  # seconds for what takes one on an idle machine
LINE = Lifeline()  # open as long as this process lives: a system ends with the tests that started it, however they end
DYING = str(Path(__file__).with_name("dying.py"))
KILLED = "killed by SIGKILL"  # as dying.py prints it


def kept_port() -> socket.socket:
    """A port that nobody else is given while this socket is open; a server may listen on it nevertheless."""
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    return kept


class Served:
    """One run of a system with the bank and the mailbox that stand in for third parties.

    `command` starts it, by default as a user would, `placement` says where its parts live.
    """

    system = ""
    variables: ClassVar[dict[str, str]] = {}  # "{mail_port}" in a value is where the mailbox listens

    def __init__(
        self,
        home: Path,
        *,
        command: tuple[str, ...] = ("-m", "meristem", "run"),
        placement: Path | None = None,
        system: str | None = None,
        **environment: str,
    ) -> None:
        self.home = home
        self.lines: list[str] = []
        self.ready = threading.Event()
        placement = self.placed(placement)
        self._ports = kept_port(), kept_port()
        port, mail_port = (str(each.getsockname()[1]) for each in self._ports)
        self.address = f"http://127.0.0.1:{port}"
        where = [] if placement is None else ["--placement", str(placement)]
        own = {name: value.replace("{mail_port}", mail_port) for name, value in self.variables.items()}
        own |= {"MAIL_SMTP_PORT": mail_port, "BANK_SLOW_SECONDS": "8", LIFELINE: str(LINE.reading)}
        self.process = subprocess.Popen(
            [sys.executable, *command, system or self.system, "--port", port, *where],
            cwd=home,
            env=os.environ | own | environment,
            pass_fds=[LINE.reading],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.http = httpx.Client(base_url=self.address, timeout=PATIENCE)

    def placed(self, placement: Path | None) -> Path | None:
        """The placement that it runs by; where tests run on another database they put another one in its place."""
        return placement

    @property
    def log(self) -> str:
        """What the system printed so far."""
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

    def started(self) -> Self:
        """The system, once it answers."""
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
            raise AssertionError(f"the system did not end:\n{self.log}") from None
        finally:
            self.http.close()
            self._reader.join(PATIENCE)
            assert not self._reader.is_alive(), f"somebody holds the output of a system that has ended:\n{self.log}"
            assert self.process.stdout is not None
            self.process.stdout.close()
            for each in self._ports:
                each.close()

    def mails(self, to: str) -> list[dict[str, Any]]:
        """What the mailbox holds for an address, the newest first."""
        return self.http.get("/mailbox/api/messages", params={"to": to}).json()

    def charges(self, reference: str) -> list[dict[str, Any]]:
        """What the bank knows of something that was paid for."""
        return self.http.get("/bank/charges", params={"reference": reference}).json()

    def statement(self) -> list[dict[str, Any]]:
        """The bank's own record."""
        return self.http.get("/bank/statement").json()

    def owed(self) -> list[str]:
        """What the databases of the services say is still to be done: events to deliver, sagas to bring to rest."""
        return [each for path in sorted(self.home.glob(".meristem/*/*.db")) for each in _owed(path)]

    def dies(self, point: str, request: Callable[[], httpx.Response]) -> None:
        """Have a system that `dying.py` started die at a point that a request leads to, and wait until it is back."""
        order, began = self.home / "dies-at", len(self.lines)
        order.write_text(point if point[0].isdigit() else f"1 {point}")
        try:
            with suppress(httpx.TransportError):
                answer = request()
                assert answer.status_code < 400 or answer.status_code in {402, 409}, answer.text
            self.prints(f"dies at {point.lstrip('0123456789 ')}", began)
        finally:
            order.unlink(missing_ok=True)
        killed = self.prints(KILLED, began)
        self.prints("runs at http", killed)


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


def persistently(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """The answer that a client gets who asks again, with the same key, when the system was in trouble.

    It pauses in between: while a circuit breaker is open, it is refused at once.
    """
    for _ in range(100):
        with suppress(httpx.TransportError):
            answer = ask()
            if answer.status_code < 500 and answer.status_code != 429:
                return answer
        time.sleep(0.2)
    raise AssertionError("the system did not recover")
