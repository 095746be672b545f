"""What stands in braces in a program's command and environment: where it listens, and where the others answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from meristem.errors import ConfigurationError, WiringError
from meristem.hints import meant

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meristem.system.plan import Plan, ProgramPlan

# `{{name}}` is `{name}` for the program itself; other braces (of JSON, JavaScript, awk) mean nothing here.
FIELD: Final = re.compile(
    r"\{\{(?P<literal>[a-z][a-z0-9_.-]*)\}\}|\{(?P<name>[a-z][a-z0-9_-]*)(?:\.(?P<part>[a-z]+))?\}"
)
PORT: Final = re.compile(r"\$(?:PORT\b|\{PORT\})")
PARTS: Final = ("host", "port", "url")
OWN: Final = "port"


def named(program: ProgramPlan) -> frozenset[str]:
    """The parts of the system whose addresses a program is told by its templates; itself is none of them."""
    found = {match["name"] for _, text in _texts(program) for match in FIELD.finditer(text) if match["part"]}
    return frozenset(found - {program.name})


def check(plan: Plan) -> None:
    """Raise WiringError for a template of a program that names nothing, with what there is."""
    known = [each.name for part in (plan.services, plan.apps, plan.programs) for each in part]
    replicas = {each.name: each.replicas for each in plan.programs}
    for program in plan.programs:
        for where, text in _texts(program):
            for match in FIELD.finditer(text):
                if match["name"] and (problem := _problem(match, known, replicas)) is not None:
                    raise WiringError(
                        f"program {program.name!r}: {match[0]} in {where}: {problem}; for these very characters write "
                        f"{{{match[0]}}}"
                    )


def filled_in(text: str, port: int, addresses: Mapping[str, str]) -> str:
    """A text of a program with its own port and the addresses of the others, by name, in the places of their names."""

    def value(match: re.Match[str]) -> str:
        if match["literal"]:
            return f"{{{match['literal']}}}"
        if match["part"] is None:
            return str(port)
        return _part_of(addresses[match["name"]], match["part"])

    return FIELD.sub(value, PORT.sub(str(port), text))


def _texts(program: ProgramPlan) -> Iterator[tuple[str, str]]:
    yield from (("its command", text) for text in program.command)
    yield from ((f"{name} of its environment", text) for name, text in program.environment.items())


def _problem(match: re.Match[str], known: list[str], replicas: Mapping[str, int]) -> str | None:
    name, part = match["name"], match["part"]
    if part is None:
        there = f"write {{{OWN}}}, or {{name.url}}, {{name.host}} or {{name.port}} of a part of the system"
        return None if name == OWN else meant(name, [OWN]) or there
    if name not in known:
        return f"there is no {name!r}, there are {', '.join(known)}; {meant(name, known, 'choose one of them')}"
    if part not in PARTS:
        return f"of {name!r} there are {', '.join(f'{{{name}.{each}}}' for each in PARTS)}"
    count = replicas.get(name, 1)
    if part == "port" and count > 1:
        return f"{name!r} has {count} replicas, each with its port; write {{{name}.url}} for all, with commas between"
    return None


def _part_of(addresses: str, part: str) -> str:
    if part == "url":
        return addresses
    first = urlsplit(addresses.partition(",")[0])
    if first.hostname is None:
        raise ConfigurationError(f"{addresses!r} has no {part}")
    default = 443 if first.scheme == "https" else 80
    return first.hostname if part == "host" else str(first.port or default)
