"""The paper and a reader in processes of their own: the files of their system, and the run of it."""

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from meristem.supervision.ports import free_port

from .conftest import PATIENCE, Command, meristem, told

SPLIT = """
[processes]
paper = ["paper"]
reader = ["reader"]
"""


def founded(directory: Path, reader: str, placement: str = "") -> Path:
    """The folder with a system of the paper and of the `ReaderService` that the text `reader` defines."""
    shutil.copy(Path(__file__).with_name("paper.py"), directory)
    system = 'system = System("news", services=[PaperService, ReaderService])\n'
    (directory / "news.py").write_text(f"from paper import PaperService, Said\n{reader}\n{system}")
    (directory / "split.toml").write_text(SPLIT + placement)
    return directory


@asynccontextmanager
async def published(
    directory: Path, ended: list[Command], *, split: bool = True
) -> AsyncIterator[tuple[Command, httpx.AsyncClient]]:
    """The system runs; what it shows, and what asks it."""
    placement = ["--placement", "split.toml"] if split else []
    run = await meristem(directory, "run", "news.py", *placement, "--port", str(free_port()))
    ended.append(run)
    address = next(word for word in (await run.shows("news runs at")).split() if word.startswith("http://"))
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as web:
        yield run, web


async def say(web: httpx.AsyncClient, word: str) -> None:
    """Have the paper publish a word."""
    (await web.post("/api/say", json={"word": word})).raise_for_status()


async def pid_of(directory: Path, process: str) -> int:
    """The operating system's number of a process of the system."""
    _, shown = await told(directory, "ps", "news.py", "--json")
    return int(next(row["pid"] for row in json.loads(shown) if row["name"] == process))
