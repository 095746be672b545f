"""What changed of an operation's place in REST, whose callers speak JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.contracts.evolution.change import ChangeKind
from meristem.contracts.rest_fields import FORM, PLACEHOLDER

if TYPE_CHECKING:
    from meristem.contracts.evolution.change import ChangeList
    from meristem.contracts.evolution.snapshot import MessageForm, OperationForm, RestForm


def route_changes(
    where: str, old: OperationForm, new: OperationForm, requests: tuple[MessageForm, MessageForm], changes: ChangeList
) -> None:
    """Compare where two operations stand; `requests` are their old and new request."""
    was, is_ = old.route, new.route
    if was is None:
        return
    remedy = "keep it; an operation may have another beside it for a new way"
    place = f"{was.verb} {was.path}"
    if is_ is None:
        changes.add("route-removed", where, f"is no longer at {place}", remedy, ChangeKind.JSON, at=new.source)
        return
    if (was.verb, _bare(was.path)) != (is_.verb, _bare(is_.path)):
        says = f"was at {place} and is at {is_.verb} {is_.path}"
        changes.add("route-changed", where, says, remedy, ChangeKind.JSON, at=new.source)
    else:
        before, after = _places(was, requests[0]), _places(is_, requests[1])
        for name in sorted(before.keys() & after.keys()):
            if before[name] != after[name]:
                says = f"takes {name} from the {after[name]}, and took it from the {before[name]}"
                changes.add("parameter-moved", where, says, remedy, ChangeKind.JSON, at=new.source)
    if _status(old) != _status(new):
        says = f"answers {_status(new)}, and answered {_status(old)}"
        changes.add("status-changed", where, says, "keep the status", ChangeKind.JSON, at=new.source)
    if was.takes and is_.takes and not _covers(is_.takes, was.takes):
        says = f"takes a body of {is_.takes}, and took one of {was.takes}"
        changes.add("upload-changed", where, says, remedy, ChangeKind.JSON, at=new.source)
    if was.media != is_.media:
        says = f"answers {is_.media}, and answered {was.media}"
        changes.add("media-changed", where, says, remedy, ChangeKind.JSON, at=new.source)


def _bare(path: str) -> str:
    """The path without the names of its placeholders, which callers never see."""
    return PLACEHOLDER.sub("{}", path)


def _covers(media: str, other: str) -> bool:
    """Whether a type or range of types has another in it; a form is read in its own way, and is in no range."""
    if FORM in (media, other):
        return media == other
    (kind, _, part), (mine, _, own) = media.partition("/"), other.partition("/")
    return kind in ("*", mine) and part in ("*", own)


def _places(route: RestForm, request: MessageForm) -> dict[str, str]:
    """From where each field of a request comes; those of the path by their place in it, which names do not change."""
    return {each.key: route.places[each.name] for each in request.fields}


def _status(operation: OperationForm) -> int:
    status = 200 if operation.route is None else operation.route.status
    return 204 if status == 200 and operation.reply.kind == "none" else status
