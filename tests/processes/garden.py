"""A garden with a method that ends its process at each of its times, in a process beside another one."""

import os
from pathlib import Path

from meristem import Service, System, every
from meristem.services import method_trials

method_trials.QUIET = 0.05  # a test waits for no half a minute
ENDS = Path("ends")  # a line for each
SOWN = Path("sown")


def note(where: Path, what: str) -> None:
    with where.open("a") as lines:
        lines.write(f"{what}\n")


def end(method: str) -> None:
    """End this process as by a crash in a library, until the garden is mended."""
    if not Path("mended").exists():
        note(ENDS, method)
        os._exit(9)


class GardenService(Service):
    @every(seconds=0.2)
    async def dig(self) -> None:
        end("dig")

    @every(seconds=0.2)
    async def sow(self) -> None:
        note(SOWN, "sow")


class GateService(Service):
    @every(seconds=0.2, each=True)
    async def swing(self) -> None:
        end("swing")


system = System("poison-schedule", services=[GardenService, GateService])
