"""What passes of events in all parts of a system, as one answer to who looks on."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import msgspec

if TYPE_CHECKING:
    from meristem.operators.health import Instance

PATH: Final = "/events"
_TOGETHER: Final = 0.05  # seconds for the others, once one has something to tell


def is_of_this_user(scope: Mapping[str, Any]) -> bool:
    """Whether a request came by a Unix socket, which only the system's own user may open: events tell of people."""
    server = scope.get("server")
    return server is not None and server[1] is None


def after_of(query: bytes) -> str:
    """What a look is to come after, as a query says; empty for the first one."""
    return next(iter(parse_qs(query.decode("latin-1")).get("after", ())), "")


async def passing(instances: Sequence[Instance], after: str) -> bytes:
    """What every part tells, by its name, as JSON; `after` is what it was told by the look before, by its name."""
    seen = _seen(after)
    asked = {_name(each): asyncio.ensure_future(each.passing(seen.get(_name(each), ""))) for each in instances}
    if asked:
        # A part that has nothing to tell, or hangs, keeps what the others tell from nobody: it is asked again.
        await asyncio.wait(asked.values(), return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait(asked.values(), timeout=_TOGETHER)
    told: dict[str, msgspec.Raw] = {}
    for name, question in asked.items():
        if not question.done():
            question.cancel()
        elif not question.cancelled() and question.exception() is None and (text := question.result()):
            told[name] = msgspec.Raw(text.encode())
    await asyncio.gather(*asked.values(), return_exceptions=True)
    return msgspec.json.encode(told)


def _seen(after: str) -> dict[str, str]:
    try:
        return msgspec.json.decode(after, type=dict[str, str])
    except msgspec.DecodeError:
        return {}


def _name(instance: Instance) -> str:
    labels = instance.labels
    return f"{labels.get('process') or labels.get('program')} {labels.get('replica', '')}"
