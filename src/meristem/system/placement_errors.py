"""How a mistake in a placement names the file and the line in which it stands."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from meristem.errors import ConfigurationError
from meristem.system.toml_lines import line_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SAID: Final = "placement: "  # before what a placement says wrongly, which knows of no file


@contextlib.contextmanager
def read_from(path: Path | None) -> Iterator[None]:
    """What a placement that was read from `path` cannot be for a system is told with file and line, too."""
    try:
        yield
    except ConfigurationError as error:
        problem = str(error).removeprefix(SAID)
        if path is None or problem == str(error):
            raise
        raise ConfigurationError(f"{path}: {located(path.read_text(), problem)}") from None


def located(text: str, problem: str) -> str:
    """The problem, after the line of the file's `text` that it is about, where that is found."""
    line = line_of(text, problem)
    return problem if line is None else f"line {line}: {problem}"
