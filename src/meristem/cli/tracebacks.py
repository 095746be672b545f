"""The part of a traceback that is the project's: its own lines first, and none of what merely led to them."""

from __future__ import annotations

import inspect
import traceback
from pathlib import Path
from typing import Final

from meristem.config.project import is_own
from meristem.errors import MeristemError, MisuseError

HEADER: Final = "Traceback (most recent call last):\n"
MERISTEM: Final = str(Path(__file__).parents[1])


def own_traceback(error: BaseException) -> str:
    """The traceback from the project's first line on, as Python writes it; empty where no line is the project's.

    A misuse that is noticed when no line of the project runs is shown with the classes that it is about.
    """
    # What wraps an error of the project's in words of ours says the same once more.
    while not _is_told_by(error) and (cause := error.__cause__ or _context(error)) is not None:
        error = cause
    if not _is_told_by(error):
        return "".join(map(_place_of, error.subjects)) if isinstance(error, MisuseError) else ""
    told = traceback.TracebackException.from_exception(error)
    _cut(told)
    # Of our own errors the frames alone: their text is the line that follows.
    is_ours = isinstance(error, MeristemError) and told.stack and not (told.__cause__ or told.__context__)
    return "".join([HEADER, *told.stack.format()] if is_ours else told.format())


def _is_told_by(error: BaseException) -> bool:
    if isinstance(error, SyntaxError) and is_own(error.filename or "<>"):
        return True
    return any(is_own(each.filename) for each in traceback.extract_tb(error.__traceback__))


def _context(error: BaseException) -> BaseException | None:
    return None if error.__suppress_context__ else error.__context__


def _cut(told: traceback.TracebackException) -> None:
    """Leave of an error, of those in it and of those before it what is the project's."""
    frames = _own_frames(told.stack)
    told.stack = traceback.StackSummary.from_list(frames) if frames else None  # type: ignore[assignment]
    for each in told.exceptions or ():
        _cut(each)
    before = [each for each in (told.__cause__, told.__context__) if each is not None]
    for each in before:
        _cut(each)
    # Of what a library met within itself, it has told the text in its own error.
    told.__cause__, told.__context__ = (
        each if each is not None and each.stack else None for each in (told.__cause__, told.__context__)
    )


def _own_frames(stack: traceback.StackSummary) -> list[traceback.FrameSummary]:
    """The project's lines, and the last line of a library that they called: there it was raised."""
    own = [each for each in stack if is_own(each.filename)]
    raised = [each for each in stack[-1:] if own and not each.filename.startswith(("<", MERISTEM))]
    return own if own[-1:] == raised else own + raised


def _place_of(subject: type) -> str:
    try:
        file, (lines, first) = inspect.getsourcefile(subject), inspect.getsourcelines(subject)
    except (TypeError, OSError):
        return ""
    # Decorators stand before the line that names it.
    skipped = next((number for number, line in enumerate(lines) if line.lstrip().startswith(("class ", "def "))), 0)
    return f'  File "{file}", line {first + skipped}, in {subject.__name__}\n    {lines[skipped].strip()}\n'
