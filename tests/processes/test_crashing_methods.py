"""An `@every` method that ends its process each time is skipped after five ends, and tried once by what runs next."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from meristem.services.method_trials import DEADLY
from meristem.supervision.ports import free_port
from tests.suites.postgresql import schema_of_its_own
from tests.suites.sampled import sampled

from .conftest import Command, meristem, output

PLACEMENT = """
[processes]
garden = ["garden"]
gate = ["gate"]
[resources]
database = "{database}"
"""


class Run:
    """`meristem run` of the garden."""

    def __init__(self, command: Command, operators: str) -> None:
        self.command = command
        self.operators = httpx.AsyncClient(base_url=operators, timeout=10)

    @classmethod
    async def begin(cls, folder: Path) -> Run:
        port, operators = free_port(), free_port()
        command = await meristem(
            folder, "run", "garden.py", "--placement", "split.toml", "--port", str(port),
            "--operator", f"tcp://127.0.0.1:{operators}",
        )  # fmt: skip
        return cls(command, f"http://127.0.0.1:{operators}")

    async def problems(self) -> list[str]:
        found = (await self.operators.get("/health")).json()
        return [each["problem"] for each in found["processes"] if each["status"] == "ready" and each.get("problem")]

    async def skipped(self) -> set[str]:
        """The methods of which runs were counted as left out."""
        figures = (await self.operators.get("/metrics")).text.splitlines()
        counts = [each for each in figures if each.startswith("meristem_scheduled_runs_skipped_total{")]
        return {method for each in counts for method in re.findall('method="(.*?)"', each)}

    async def end(self) -> None:
        await self.operators.aclose()
        if self.command.process.returncode is None:
            self.command.process.terminate()
        self.command.text += (await output(self.command.process)).decode()


def lines(file: Path) -> list[str]:
    return file.read_text().split()


def counted(folder: Path) -> list[Path]:
    """The ends that are counted in files."""
    return [*folder.glob(".meristem/poison-schedule/crashes/*/*")]


@pytest.mark.parametrize("kind", sampled(["sqlite", "postgresql"], 1, "crashing methods"))
async def test_a_method_that_ends_its_process_is_skipped_after_five_ends_until_a_new_run(tmp_path: Path, kind: str):
    shutil.copy(Path(__file__).with_name("garden.py"), tmp_path)
    async with AsyncExitStack() as stack:
        url = "sqlite:///{service}.db" if kind == "sqlite" else await stack.enter_async_context(schema_of_its_own())
        (tmp_path / "split.toml").write_text(PLACEMENT.format(database=url))
        run = await Run.begin(tmp_path)
        try:
            async with run.command.read(), asyncio.timeout(60):
                while len(told := await _problems(run)) < 2:
                    await asyncio.sleep(0.1)
                sown = lines(tmp_path / "sown")
                while len(lines(tmp_path / "sown")) <= len(sown) + 2:  # the other method of that service goes on
                    await asyncio.sleep(0.1)
                while await run.skipped() != {"dig", "swing"}:
                    await asyncio.sleep(0.1)
        finally:
            await run.end()
        assert Counter(lines(tmp_path / "ends")) == {"dig": DEADLY, "swing": DEADLY}
        assert any(each.startswith("garden.dig is not run any more: its process ended 5 times") for each in told)
        assert any(each.startswith("gate.swing is not run any more") for each in told)
        assert "garden.sow is not run" not in run.command.text

        (tmp_path / "mended").touch()
        again = await Run.begin(tmp_path)
        try:
            async with again.command.read(), asyncio.timeout(60):
                while "its process ended 4 times while it ran; it is tried alone" not in again.command.text:
                    await asyncio.sleep(0.05)
                while counted(tmp_path):
                    await asyncio.sleep(0.05)
                assert await again.problems() == []
        finally:
            await again.end()
        assert "is not run any more" not in again.command.text


async def _problems(run: Run) -> list[str]:
    try:
        return await run.problems()
    except httpx.TransportError:  # it has not begun
        return []
