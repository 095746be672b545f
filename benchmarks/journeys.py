"""The hotel site's searches and bookings, in one process and split, beside the same site written by hand.

Bank, partner and mail server run in a process of their own, on the guests' core, so that only the sites differ.
"""

from __future__ import annotations

import itertools
import json
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.figures import Spread, spreads
from benchmarks.machine import CLIENT, SERVER, descendants, free_port, memory_mb
from benchmarks.processes import ROOT, Failed, Started, answer_of, python, started

ONE, SPLIT, MONOLITH = "Meristem, one process", "Meristem, split", "FastAPI + SQLAlchemy + httpx"
PLACEMENT = ROOT / "examples" / "hotels" / "placements" / "split.toml"
HOTELS = 500
IN_FLIGHT = (1, 16)
CLOSE = (16,)  # so near to its bar that it has more rounds
QUIET = 2.0  # seconds without a change after which the read model has everything


class Parties(NamedTuple):
    """The third parties of one round."""

    url: str
    smtp: str
    mailbox: Path
    pid: int


class Results(NamedTuple):
    """By site and journey: journeys per second and CPU; what was answered; who is missing."""

    figures: dict[str, dict[str, dict[str, Spread]]]
    outcomes: dict[str, dict[str, int]]
    skipped: dict[str, str]


def run(seconds: float, rounds: int, say: Callable[[str], None], more: int = 0) -> Results:
    """The sites in turn, several times over, each with a fresh copy of its data; then `more` rounds of close ones."""
    sites = [ONE, MONOLITH] + ([SPLIT] if PLACEMENT.exists() else [])
    skipped = {} if PLACEMENT.exists() else {SPLIT: f"there is no {PLACEMENT.name}"}
    found: dict[str, list[dict[str, dict[str, float]]]] = {name: [] for name in sites}
    outcomes: dict[str, dict[str, int]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        say("journeys: making the catalogue")
        with parties(folder / "seeding") as third:
            seed(folder / "home", third)
        turns = [(site, IN_FLIGHT) for _ in range(rounds) for site in sites]
        turns += [(site, CLOSE) for _ in range(more) for site in (ONE, MONOLITH)]
        for number, (site, in_flight) in enumerate(turns):
            say(f"journeys, {number + 1} of {len(turns)}: {site}")
            try:
                answer = one_round(site, folder, seconds, in_flight)
            except Failed as failure:
                skipped[site] = f"it failed: {str(failure).strip().splitlines()[-1]}"
                continue
            found[site].append(answer["figures"])
            outcomes.setdefault(site, answer["outcomes"])
    kept = {site: rounds_ for site, rounds_ in found.items() if rounds_ and site not in skipped}
    merged = {
        site: {each: spreads(one[each] for one in all_ if each in one) for each in all_[0]}
        for site, all_ in kept.items()
    }
    return Results(merged, outcomes, skipped)


def one_round(site: str, folder: Path, seconds: float, in_flight: Sequence[int]) -> dict[str, Any]:
    """Start a site and its third parties, let the guests come, end everything."""
    with tempfile.TemporaryDirectory(prefix="round-", dir=folder) as name:
        place = Path(name)
        with parties(place) as third, serving(site, place, third, folder / "home") as (server, address):
            arguments = [address, str(third.mailbox), "--seconds", str(seconds)]
            arguments += ["--in-flight", *map(str, in_flight)]
            pids = ["--server", str(server.pid), "--third", str(third.pid)]
            said = answer_of(python("benchmarks.guests", *arguments, *pids), core=CLIENT, folder=place)
    found: dict[str, Any] = json.loads(said)
    return found


@contextmanager
def parties(folder: Path, host: str = "127.0.0.1") -> Iterator[Parties]:
    """Bank, partner and mail server; at another address than loopback they answer every host that reaches it."""
    folder.mkdir(parents=True, exist_ok=True)
    port, smtp, mailbox = free_port(), free_port(), folder / "mail"
    variables = {
        "HOST": host,
        "PORT": str(port),
        "THIRDPARTIES_OPEN": str(int(host != "127.0.0.1")),
        "BANK_DATABASE": str(folder / "bank.db"),
        "BANK_SLOW_SECONDS": "8",
        "MAIL_SMTP_HOST": host,
        "MAIL_SMTP_PORT": str(smtp),
        "MAIL_DIRECTORY": str(mailbox),
    }
    command = python("benchmarks.thirdparties")
    with started(command, core=CLIENT, folder=folder, variables=variables) as process:
        yield Parties(f"http://{host}:{port}", f"smtp://{host}:{smtp}", mailbox, process.pid)


def hotel_variables(third: Parties | None, folder: Path) -> dict[str, str]:
    """The settings of the Meristem site: third parties elsewhere, a catalogue of the monolith's size."""
    variables = {
        "HOTELS_ROOMS_HOTELS": str(HOTELS),
        "HOTELS_USERS_TIME_COST": "1",
        "HOTELS_USERS_MEMORY_KIB": "1024",
        # the site hosts its own third parties too; they have a corner of their own and nothing to do
        "MAIL_SMTP_PORT": str(free_port()),
        "MAIL_DIRECTORY": str(folder / "unused-mail"),
        "BANK_DATABASE": str(folder / "unused-bank.db"),
    }
    if third is not None:
        variables |= {
            "HOTELS_PAYMENTS_BANK_URL": f"{third.url}/bank",
            "HOTELS_SEARCH_PARTNER_URL": f"{third.url}/partner",
            "HOTELS_NOTIFICATIONS_SMTP_URL": third.smtp,
        }
    return variables


@contextmanager
def serving(site: str, folder: Path, third: Parties, home: Path) -> Iterator[tuple[Started, str]]:
    """A site that answers, and its address."""
    if site == MONOLITH:
        with _monolith(folder, third) as found:
            yield found
        return
    shutil.copytree(home, folder / "site")
    placement = ["--placement", str(ungated(folder))] if site == SPLIT else []
    with meristem(folder / "site", hotel_variables(third, folder), *placement) as found:
        yield found


def ungated(folder: Path) -> Path:
    """The split placement without its gateway: all guests of a benchmark come from one address."""
    processes, gateway, _ = PLACEMENT.read_text().partition("\n[gateway]\n")
    assert gateway, f"{PLACEMENT} has no [gateway] that could be left out"
    placement = folder / PLACEMENT.name
    placement.write_text(processes)
    return placement


@contextmanager
def meristem(
    folder: Path, variables: Mapping[str, str], *options: str, port: int | None = None
) -> Iterator[tuple[Started, str]]:
    """`meristem run` of the hotel system in a folder."""
    port = port or free_port()
    command = python("meristem", "run", "hotels.system:system", "--port", str(port), "--log-level", "error", *options)
    with started(command, core=SERVER, folder=folder, ready="runs at http", variables=variables) as process:
        yield process, f"http://127.0.0.1:{port}"


@contextmanager
def _monolith(folder: Path, third: Parties) -> Iterator[tuple[Started, str]]:
    port = free_port()
    variables = {
        "PORT": str(port),
        "FOLDER": str(folder),
        "HOTELS": str(HOTELS),
        "BANK_URL": f"{third.url}/bank",
        "PARTNER_URL": f"{third.url}/partner",
        "SMTP_URL": third.smtp,
    }
    command = python("benchmarks.peers.hotel_monolith.app")
    with started(command, core=SERVER, folder=folder, variables=variables) as process:
        yield process, f"http://127.0.0.1:{port}"


def seed(home: Path, third: Parties | None) -> None:
    """Run the Meristem site once, until its catalogue is made and the read model knows every hotel."""
    home.mkdir(parents=True)
    with meristem(home, hotel_variables(third, home)) as (_, address):
        count, since = -1, time.monotonic()
        while time.monotonic() - since < QUIET or count <= 0:
            now = sum(each["hotels"] for each in fetch(f"{address}/api/cities?limit=50"))
            if now != count:
                count, since = now, time.monotonic()
            time.sleep(0.1)


def fetch(url: str, seconds: float = 10.0) -> Any:
    """What a URL of this machine answers, read as JSON."""
    with urllib.request.urlopen(url, timeout=seconds) as answer:
        return json.load(answer)


def split_memory(folder: Path, home: Path) -> dict[str, float]:
    """The resident memory of each process of the split placement, in MB, by the process's name."""
    shutil.copytree(home, folder / "site")
    placement = ["--placement", str(ungated(folder))]
    with meristem(folder / "site", hotel_variables(None, folder), *placement) as (server, address):
        _answers(f"{address}/api/hotels?city=Lisbon&arrival=2099-01-01")
        return {_process_name(pid, server.pid): memory_mb(pid) for pid in descendants(server.pid)}


def _answers(url: str) -> None:
    """Have a request go through the system, whatever it says."""
    try:
        fetch(url)
    except urllib.error.HTTPError:
        return


def _process_name(pid: int, supervisor: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    if pid == supervisor:
        return "supervisor"
    options = dict(itertools.pairwise(words))
    return f"{options.get('--process', Path(words[0]).name)}-{options.get('--replica', '0')}"


if __name__ == "__main__":
    sys.exit("run `python -m benchmarks.run --only hotels`")
