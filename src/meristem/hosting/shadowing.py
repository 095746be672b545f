"""Which views of an app a request never comes to, because the system answers at their paths itself."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

logger = logging.getLogger(__name__)
PLACEHOLDER: Final = re.compile(r"\{[^{}]*\}")
REST_OF_PATH: Final = re.compile(r"\{[^{}]*:path\}")
MOST_NAMED: Final = 3
ANY: Final = "*"


class TakenPath(NamedTuple):
    """A path that the system answers at, `/api/orders/{id}`, with every method; `by` says by what.

    One that `forgives_slash` is answered with a slash at its end, too.
    """

    path: str
    by: str
    forgives_slash: bool = False


def tell_shadowed(app: str, mount: str, routes: Iterable[str], taken: Sequence[TakenPath]) -> None:
    """Log each route of an app, mounted at a path, that is answered by the system, wholly or in part: a line each."""
    for route in routes:
        path = mount.rstrip("/") + route
        known = [each for each in taken if each.forgives_slash or not path.endswith("/")]
        met = [each for each in known if _overlap(_parts(each.path), _parts(path))]
        if any(_covers(_parts(each.path), _parts(path)) for each in met):
            logger.warning("app %r never gets %s: %s answers there", app, path, met[0].by)
        elif met:
            logger.info("app %r: of its route %s the system answers %s", app, path, _named(met))


def _named(taken: Sequence[TakenPath]) -> str:
    named = ", ".join(f"{each.path} ({each.by})" for each in taken[:MOST_NAMED])
    return named if len(taken) <= MOST_NAMED else f"{named} and {len(taken) - MOST_NAMED} more"


def _parts(path: str) -> tuple[list[str], bool]:
    """The segments of a path, in which `*` stands for a placeholder, and whether any others may follow."""
    before, *rest = REST_OF_PATH.split(path, maxsplit=1)
    open_ended = bool(rest)
    segments = [PLACEHOLDER.sub(ANY, each) for each in before.strip("/").split("/")]
    return ([each for each in segments if each] if open_ended else segments), open_ended


def _overlap(ours: tuple[list[str], bool], theirs: tuple[list[str], bool]) -> bool:
    """Whether a path fits both."""
    (own, _), (other, open_ended) = ours, theirs
    if len(own) < len(other) or (len(own) > len(other) and not open_ended):
        return False
    return all(map(_meet, own, other))


def _covers(ours: tuple[list[str], bool], theirs: tuple[list[str], bool]) -> bool:
    """Whether every path that fits theirs fits ours."""
    return not theirs[1] and all(ANY not in other or own == ANY for own, other in _pairs(ours[0], theirs[0]))


def _pairs(own: Sequence[str], other: Sequence[str]) -> Iterator[tuple[str, str]]:
    return zip(own, other, strict=True)


def _meet(own: str, other: str) -> bool:
    """Whether a segment fits both; of two with placeholders inside of words that is taken for granted."""
    if ANY in own and ANY in other:
        return True
    pattern, word = (own, other) if ANY in own else (other, own)
    return re.fullmatch(".+".join(map(re.escape, pattern.split(ANY))), word) is not None
