"""Reads the examples out of the documentation, and runs a page's Python as its reader would."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
FENCE: Final = re.compile(
    r"(?P<mark><!-- not run: [^\n]+ -->\n+)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
FILE: Final = re.compile(r"# (?P<path>[\w/.-]+\.(?:py|toml))\n")
TOP_LEVEL_AWAIT: Final = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


class Block(NamedTuple):
    """One example: its language, its text and where it stands; `file` is the name that its first line gives."""

    page: str
    line: int
    language: str
    text: str
    runs: bool
    file: str | None

    @property
    def where(self) -> str:
        """`docs/data.md:40`, as an editor finds it."""
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """The README and every page of the documentation, by path from the root."""
    return ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]


def blocks(page: str, *languages: str) -> list[Block]:
    """The examples of a page in these languages, in order."""
    text = (ROOT / page).read_text()
    found = []
    for match in FENCE.finditer(text):
        if match["language"] in languages:
            named = FILE.match(match["text"])
            line = text.count("\n", 0, match.start("text"))
            file = named["path"] if named else None
            found.append(Block(page, line, match["language"], match["text"], match["mark"] is None, file))
    return found


class Reader:
    """Runs the examples of one page one after the other in one namespace, files first written to `folder`."""

    def __init__(self, page: str, folder: Path) -> None:
        self._folder = folder
        self._module = ModuleType("page_" + re.sub(r"\W", "_", page.removesuffix(".md")))
        self._module.__file__ = str(folder / "page.py")  # a service looks for its migrations beside its module
        self._names = self._module.__dict__

    def run(self, examples: list[Block]) -> None:
        """Run every example that may run; an error tells the line of the page."""
        sys.modules[self._module.__name__] = self._module  # annotations are resolved through here
        with asyncio.Runner() as runner:
            for block in examples:
                if block.file is not None:
                    self._import(block)
                elif block.runs:
                    self._run(block, runner)

    def _import(self, block: Block) -> None:
        path = write(block, self._folder)
        module: Any = importlib.import_module(path.stem)
        self._names.update({name: value for name, value in vars(module).items() if not name.startswith("_")})

    def _run(self, block: Block, runner: asyncio.Runner) -> None:
        source = "\n" * block.line + block.text
        code = compile(source, str(ROOT / block.page), "exec", flags=TOP_LEVEL_AWAIT, dont_inherit=True)
        if code.co_flags & inspect.CO_COROUTINE:
            runner.run(eval(code, self._names))
        else:
            exec(code, self._names)


def write(block: Block, folder: Path) -> Path:
    """Write an example that names its file."""
    assert block.file is not None
    path = folder / block.file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text)
    return path


def as_module(examples: list[Block]) -> str:
    """The examples of a page as one module for a type checker; each statement that awaits stands in a function."""
    parts = []
    for block in examples:
        if block.file is not None:
            parts.append(f"from {Path(block.file).stem} import *\n")
            continue
        parts.append(f"# {block.where}")
        lines = block.text.splitlines()
        end = 0
        for statement in ast.parse(block.text).body:
            text = "\n".join(lines[end : statement.end_lineno])
            end = statement.end_lineno or end
            parts.append(_in_function(text, block.line + statement.lineno) if _awaits(text) else text)
    return "\n".join(parts) + "\n"


def _awaits(text: str) -> bool:
    code = compile(text, "example", "exec", flags=TOP_LEVEL_AWAIT, dont_inherit=True)
    return bool(code.co_flags & inspect.CO_COROUTINE)


def _in_function(text: str, line: int) -> str:
    body = "\n".join(f"    {each}" if each else "" for each in text.splitlines())
    return f"async def at_line_{line}() -> None:\n{body}"
