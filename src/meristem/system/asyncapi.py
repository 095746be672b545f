"""AsyncAPI 3.0: a system's events, for those who publish or hear them from outside."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from meristem.contracts.schemas import Schemas
from meristem.webhooks.event_intake import PATH

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meristem.contracts.about import About
    from meristem.contracts.message import Event
    from meristem.system.event_flow import EventFlow

Json: TypeAlias = dict[str, Any]

_TEXT: Final[Json] = {"type": "string"}
_NAMED: Final[Json] = {"type": "string", "minLength": 1}
CLOUD_EVENT: Final[Json] = {
    "type": "object",
    "description": "The attributes of CloudEvents 1.0, and of its extensions for tracing and for the user.",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": _NAMED | {"description": "With the source it names the event: a repeated one is handled once."},
        "source": _NAMED | {"format": "uri-reference"},
        "type": _NAMED,
        "subject": _TEXT | {"description": "The key: events with one key are handled in their order."},
        "time": _TEXT | {"format": "date-time"},
        "datacontenttype": _TEXT | {"description": "application/json, or another that is JSON."},
        "dataschema": _TEXT | {"format": "uri"},
        "traceparent": _TEXT,
        "tracestate": _TEXT,
        "causationid": _TEXT,
        "authtype": _TEXT,
        "authid": _TEXT,
        "authclaims": _TEXT,
        "baggage": _TEXT,
    },
}


def document(flows: Iterable[EventFlow], classes: Mapping[str, type[Event]], *, name: str, about: About) -> bytes:
    """The AsyncAPI document, as JSON, of the events of the system `name` whose classes are known.

    A channel for each type, with the CloudEvent in structured mode as its message; the system sends what its services
    publish, and receives what they hear.
    """
    known = [each for each in flows if each.type in classes]
    schemas = Schemas([classes[each.type] for each in known])
    base = schemas.free("CloudEvent")
    messages = {each.type: _message(each.type, classes[each.type], schemas, base) for each in known}
    operations: Json = {}
    for each in known:
        said = [("send", "published", each.publishers), ("receive", "heard", each.subscribers)]
        for action, verb, services in said:
            if services:
                summary = f"{verb} by {', '.join(services)}"
                if action == "receive" and each.accepted_from:
                    summary += f"; accepted by POST {PATH} from users with the role {' or '.join(each.accepted_from)}"
                operations[f"{action}.{each.type}"] = _operation(action, each.type, summary)
    told = about.info(name)
    return msgspec.json.format(
        msgspec.json.encode(
            {
                "asyncapi": "3.0.0",
                "info": told,
                "defaultContentType": "application/cloudevents+json",
                "channels": {each.type: _channel(each.type) for each in known},
                "operations": operations,
                "components": {
                    "messages": messages,
                    "schemas": dict(sorted((schemas.components | {base: CLOUD_EVENT}).items())),
                },
            }
        )
    )


def _channel(event_type: str) -> Json:
    # By type: where a broker has it is the prefix's and the broker's (docs/design/brokers.md).
    return {"address": event_type, "messages": {event_type: {"$ref": f"#/components/messages/{event_type}"}}}


def _operation(action: str, event_type: str, summary: str) -> Json:
    channel = f"#/channels/{event_type}"
    return {
        "action": action,
        "summary": summary,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{event_type}"}],
    }


def _message(event_type: str, event: type[Event], schemas: Schemas, base: str) -> Json:
    about = inspect.cleandoc(event.__doc__ or "")
    found: Json = {
        "name": event_type,
        "title": event.__name__,
        "contentType": "application/cloudevents+json",
        "payload": {
            "allOf": [
                {"$ref": f"#/components/schemas/{base}"},
                {
                    "type": "object",
                    "required": ["data"],
                    "properties": {"type": {"const": event_type}, "data": schemas.of(event)},
                },
            ]
        },
    }
    if about:
        found |= {"summary": about.partition("\n")[0], "description": about}
    return found
