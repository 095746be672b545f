"""Sends malformed requests to a running process and counts what must not happen; `make faults` sends 200,000."""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from .malformed import SOUND, malformed
from .victim import GOOD, MIB, Victim, heard, many_files, running

HOUSE = Path(__file__).with_name("house.py")
LIMIT = 0.5  # seconds
LIMITS = "\n".join(
    ["[server]", *(f"{part}_seconds = {LIMIT}" for part in ("head", "body", "write", "idle", "linger", "first"))]
)
PATIENCE = 20.0  # seconds in which nothing comes, on a busy machine
ANSWER = re.compile(rb"HTTP/1\.1 (101|[2-5]\d\d)")
SWITCHED = b"HTTP/1.1 101"
FAILURE = re.compile(rb"HTTP/1\.1 5(?!01|03|04|05)\d\d")  # 504: a mutation may leave a call no time
MOST_GROWTH = 1.2
TO_THE_END = 8  # of so many connections one is awaited to its end, the others to their answer


@dataclass
class Seen:
    """What came of the requests."""

    sent: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    hung: list[int] = field(default_factory=list)
    failed: list[tuple[int, bytes]] = field(default_factory=list)
    greetings: int = 0
    longest: float = 0.0
    unanswered: list[tuple[float, bytes]] = field(default_factory=list)
    late: int = 0
    before: int = 0
    after: int = 0

    def __str__(self) -> str:
        answers = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        return (
            f"{self.sent:,} sent; {len(self.hung)} hung {self.hung[:9]}, {len(self.failed)} failed {self.failed[:9]}; "
            f"the neighbour had {self.greetings} answers after {self.longest:.2f} s at most, "
            f"{len(self.unanswered)} not {self.unanswered[:9]}, {self.late} times it was late itself; "
            f"memory {self.before / MIB:.1f} -> {self.after / MIB:.1f} MiB; first answers {answers}"
        )

    @property
    def sound(self) -> bool:
        """Whether nothing was seen that must not be."""
        bad = self.hung or self.failed or self.unanswered
        return not bad and self.greetings > 0 and self.after <= MOST_GROWTH * self.before


class Attack:
    """Sends the requests `first` to `last` of a seed, so many at once."""

    def __init__(self, victim: Victim, seed: int, *, at_once: int = 100) -> None:
        self.seen = Seen()
        self._victim = victim
        self._seed = seed
        self._at_once = at_once

    async def run(self, last: int, seconds: float) -> Seen:
        """All of them, or those that fit into the time."""
        seen, victim = self.seen, self._victim
        await self._warm()
        seen.before = victim.memory
        numbers, end = iter(range(last)), time.monotonic() + seconds

        async def worker() -> None:
            for number in numbers:
                if time.monotonic() > end:
                    return
                await self._send(number)

        neighbour = asyncio.create_task(self._neighbour())
        await asyncio.gather(*(worker() for _ in range(self._at_once)))
        neighbour.cancel()
        async with asyncio.timeout(PATIENCE):
            while seen.after == 0 or (seen.after > MOST_GROWTH * seen.before and time.monotonic() < end):
                assert await victim.greeted()
                seen.after = victim.memory
                await asyncio.sleep(0.5)  # what was open ends by the limits
        return seen

    async def _warm(self) -> None:
        """Have everything loaded that sound requests need."""
        for _ in range(20):
            await asyncio.gather(*(self._exchange([each], to_the_end=False) for each in SOUND))

    async def _neighbour(self) -> None:
        """Somebody else, who is answered all the while."""
        seen = self.seen
        while True:
            began, held, answer = time.monotonic(), 0.0, b"no connection"
            with suppress(OSError):
                async with self._victim.dial() as (reader, writer):
                    writer.write(GOOD)
                    held = time.monotonic() - began
                    answer = await asyncio.wait_for(heard(reader), PATIENCE)
            seen.longest = max(seen.longest, time.monotonic() - began)
            if b"Ada" in answer:
                seen.greetings += 1
            elif held > LIMIT / 2 and answer.startswith(b"HTTP/1.1 408"):
                seen.late += 1  # this side did not get to send in time: the server rightly said that it waits no more
            else:
                seen.unanswered.append((held, answer[:200]))
            await asyncio.sleep(0.05)  # a pace, not a wait

    async def _send(self, number: int) -> None:
        seen, answer = self.seen, b""
        source = (f"127.0.0.{number % 100 + 2}", 0)  # so that there are ports enough
        try:
            answer = await self._exchange(malformed(self._seed, number), source, to_the_end=number % TO_THE_END == 0)
        except TimeoutError:
            seen.hung.append(number)
        found = ANSWER.search(answer)
        seen.sent += 1
        seen.statuses[found[1].decode() if found else "closed"] += 1
        if FAILURE.search(answer):
            seen.failed.append((number, answer[:200]))

    async def _exchange(
        self, segments: list[bytes], source: tuple[str, int] | None = None, *, to_the_end: bool
    ) -> bytes:
        """What comes until the first answer, or the end of the connection; a WebSocket has none by itself.

        Raises TimeoutError when nothing comes any more, not when much does.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", self._victim.port, local_addr=source)
        received, loop = bytearray(), asyncio.get_running_loop()
        try:
            async with asyncio.timeout(PATIENCE) as patience:
                with suppress(OSError):
                    for each in segments:
                        writer.write(each)
                        await asyncio.sleep(0)
                    while more := await reader.read(MIB):
                        received += more
                        patience.reschedule(loop.time() + PATIENCE)
                        latest = received[-len(more) - len(SWITCHED) :]  # an answer may have sixty megabytes
                        if SWITCHED in latest or (not to_the_end and ANSWER.search(latest)):
                            break
        finally:
            writer.transport.abort()
        return bytes(received)


async def progress(seen: Seen, last: int) -> None:
    """Say every few seconds how far it is."""
    began = time.monotonic()
    while True:
        await asyncio.sleep(10)
        print(
            f"{time.monotonic() - began:4.0f} s: {seen.sent:,} of {last:,}, {len(seen.hung)} hung, "
            f"{len(seen.failed)} failed, the neighbour's slowest answer {seen.longest:.2f} s",
            flush=True,
        )


async def attacked(victim: Victim, seed: int, last: int, seconds: float, *, told: bool = False) -> Seen:
    """What is seen while so many requests are sent."""
    attack = Attack(victim, seed)
    telling = asyncio.create_task(progress(attack.seen, last)) if told else None
    try:
        return await attack.run(last, seconds)
    finally:
        if telling is not None:
            telling.cancel()


def fuzz(folder: Path, seed: int, last: int, seconds: float, *, told: bool = False) -> Seen:
    """Send so many malformed requests to a process of its own; its log is left in the folder."""
    system = Path(shutil.copy(HOUSE, folder))
    limits = folder / "limits.toml"
    limits.write_text(LIMITS)
    with many_files(), running(system, folder / "log", "--placement", str(limits)) as victim:
        return asyncio.run(attacked(victim, seed, last, seconds, told=told))


def main() -> None:
    """Send them, tell what was seen, and fail where that is not sound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=1200.0)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seen = fuzz(Path(folder), chosen.seed, chosen.requests, chosen.seconds, told=True)
    print(seen)
    if not seen.sound:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
