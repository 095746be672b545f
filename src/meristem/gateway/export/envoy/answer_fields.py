"""Header rules: what answers are given and lose, and what goes on in requests."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any, Final

from meristem.gateway.policy.cors import ALLOW_ORIGIN, ANSWERED_HERE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from meristem.gateway.export.envoy.header_matchers import Part
    from meristem.gateway.policy.header_table import AnswerHeaderTable, HeaderTable

FILTER: Final = "envoy.filters.http.header_mutation"
TYPE: Final = "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3"
INSTEAD: Final = "OVERWRITE_IF_EXISTS_OR_ADD"
IF_ABSENT: Final = "ADD_IF_ABSENT"
TRANSPORT_SECURITY: Final = "strict-transport-security"


def answer_filter(table: AnswerHeaderTable) -> Part:
    """The rules of all answers, refusals too."""
    return {
        "name": FILTER,
        "typed_config": {"@type": f"{TYPE}.HeaderMutation", "mutations": {"response_mutations": [*_of_all(table)]}},
    }


def answer_rules(own: HeaderTable, *, any_origin: bool = False) -> Part | None:
    """The rules of a route, which come after those of all; None where there are none.

    To `any_origin` an answer says so, where Envoy would name the one that has asked.
    """
    mutations = [{"remove": name} for name in own.remove] + [*_setting(own.set)]
    if any_origin:
        mutations.append({"append": field(ALLOW_ORIGIN.decode(), "*", "OVERWRITE_IF_EXISTS")})
    if not mutations:
        return None
    return {"@type": f"{TYPE}.HeaderMutationPerRoute", "mutations": {"response_mutations": mutations}}


def without_cors_of_apps() -> list[str]:
    """The fields by which an app would tell of other origins, where the gateway does."""
    return sorted(ANSWERED_HERE)


def request_rules(everywhere: HeaderTable, own: HeaderTable) -> Part:
    """What is set and removed in requests, by the keys of a route."""
    rules = everywhere.with_own(own)
    gone = sorted((*rules.remove, *rules.set))
    return {
        "request_headers_to_remove": [spelling for name in gone for spelling in _spellings(name)],
        "request_headers_to_add": [field(name, value) for name, value in rules.set.items()],
    }


def field(name: str, value: str, action: str = INSTEAD) -> Part:
    """A header field as it is added; its value is a text, in which nothing is filled in."""
    return {"header": {"key": name, "value": value.replace("%", "%%")}, "append_action": action}


def _of_all(table: AnswerHeaderTable) -> Iterator[Part]:
    for name in table.remove:
        yield {"remove": name}
    yield from _setting(table.set)
    for raw_name, raw_value in table.security.fields(https=True):
        name, value = raw_name.decode(), raw_value.decode()
        if name in table.set or name in table.remove:
            continue
        added = field(name, value, IF_ABSENT)
        if name == TRANSPORT_SECURITY:  # over TLS alone: the first script tells it there
            added["header"]["value"] = "%DYNAMIC_METADATA(meristem:transport_security)%"
        yield {"append": added}


def _setting(fields: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    return ({"append": field(name, value)} for name, value in fields.items())


def _spellings(name: str) -> Iterable[str]:
    """A name with `_` for any `-`, too: an app that knows fields as variables cannot tell them apart."""
    letters = [("-", "_") if each in "-_" else (each,) for each in name]
    return ("".join(each) for each in product(*letters))
