"""The `[gateway.firewall]` table: rules of which the first that fits decides, and when an address is banned."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from meristem.contracts.bounds import Count
from meristem.gateway.policy.route_table import MethodName, PathPattern
from meristem.gateway.policy.visit import Violation
from meristem.quantities import SizeText, TimeText, seconds_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LONGEST_PATTERN: Final = 200
MOST_TOLD: Final = 5  # entries of a list that are told of a rule
Pattern: TypeAlias = Annotated[
    str, Meta(max_length=LONGEST_PATTERN, description=f"at most {LONGEST_PATTERN} characters; * stands for any number")
]
FieldName: TypeAlias = Annotated[
    str, Meta(pattern=r"^[a-z0-9!#$%&'*+.^_`|~-]+$(?!\n)", description="a header field's name in small letters")
]
RuleName: TypeAlias = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9_-]*$(?!\n)", description="small letters, digits, - and _")
]
DENIED: Final = 403
CUT: Final = 444
"""The status under which a cut connection is counted, as nginx has it; nobody is sent it."""


class HeaderCondition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a header field must be: there or not, this text, or like this pattern.

    In a pattern `*` stands for any characters and all else for itself, small letters for large ones, too.
    """

    name: FieldName
    present: bool | None = None
    equals: str | None = None
    matches: Pattern | None = None

    def told(self) -> str:
        """The condition as people read it."""
        if self.present is not None:
            return f"header {self.name} is {'there' if self.present else 'missing'}"
        return f"header {self.name} is {self.equals or self.matches}"


class FirewallRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Requests that fit all that is named here are allowed or denied, and no rule after it is asked.

    `addresses` are addresses and networks, `addresses_file` names a file with one in each line; a request fits that
    comes from any of them. A head, query or body fits that is larger than `head_above`, `query_above`, `body_above`; a
    body that comes in chunks has no size yet, and counts as larger. What is denied is answered with `status`, 444 for
    no answer and a cut connection. With `dry_run` it counts, and the next rule is asked.
    """

    action: Literal["allow", "deny"]
    name: RuleName | None = None
    addresses: tuple[str, ...] = ()
    addresses_file: str | None = None
    methods: tuple[MethodName, ...] = ()
    paths: tuple[PathPattern, ...] = ()
    headers: tuple[HeaderCondition, ...] = ()
    head_above: SizeText | None = None
    query_above: SizeText | None = None
    body_above: SizeText | None = None
    status: Literal[403, 404, 444] = DENIED
    dry_run: bool = False

    def problem(self) -> str | None:
        """What cannot be meant; None for a sound rule."""
        if strange := strange_network(self.addresses):
            return f"addresses: {strange}"
        for each in self.headers:
            said = (each.present is not None) + (each.equals is not None) + (each.matches is not None)
            if said != 1:
                return f"headers: of {each.name!r} say one of present, equals and matches"
        return None

    def told(self) -> list[str]:
        """What a request must be for it, as people read it; nothing where it fits every request."""
        lists = (("from", self.addresses), ("", self.methods), ("at", self.paths))
        found = [f"{word} {_some(each)}".lstrip() for word, each in lists if each]
        if self.addresses_file is not None:
            found.append(f"from an address of {Path(self.addresses_file).name}")
        sizes = (("head", self.head_above), ("query", self.query_above), ("body", self.body_above))
        return [
            *found,
            *(each.told() for each in self.headers),
            *(f"{name} above {size}" for name, size in sizes if size),
        ]


class BanTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An address with `violations` `within` a time, counted from the first of them, is banned; that `lasts` a while.

    Violations are what `counts` names: requests that rules denied, whose token or API key does not hold, or that a
    limit by address, user or API key refused. A banned address is answered 403 or, with `answer = "cut"`, not at all.
    """

    violations: Count = 20
    within: TimeText = "1 min"
    lasts: TimeText = "10 min"
    counts: tuple[Violation, ...] = ("denied", "unauthenticated", "limited")
    answer: Literal["403", "cut"] = "403"
    dry_run: bool = False

    def problem(self) -> str | None:
        """What cannot be meant; None for a sound table."""
        for name, text in (("within", self.within), ("lasts", self.lasts)):
            if not seconds_of(text):
                return f"{name} = {text!r} is no time above zero"
        return None if self.counts else "counts: an empty list bans nobody; leave the table out"


class FirewallTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`rules` in their order, who is banned, and the `trusted` addresses and networks that never are."""

    rules: tuple[FirewallRule, ...] = ()
    trusted: tuple[str, ...] = ()
    ban: BanTable | None = None

    def below(self, folder: Path) -> FirewallTable:
        """The same, with files found from `folder`."""
        rules = [
            each
            if each.addresses_file is None
            else msgspec.structs.replace(each, addresses_file=str(folder / each.addresses_file))
            for each in self.rules
        ]
        return msgspec.structs.replace(self, rules=tuple(rules))

    def problem(self) -> str | None:
        """What cannot be meant; None for a sound table."""
        for number, rule in enumerate(self.rules, 1):
            if (problem := rule.problem()) is not None:
                return f"[gateway.firewall.rules[{number}]]: {problem}"
        names = self.names()
        if twice := next((each for each in names if names.count(each) > 1), None):
            return f"[gateway.firewall]: rules: two are called {twice}"
        if strange := strange_network(self.trusted):
            return f"[gateway.firewall]: trusted: {strange}"
        problem = None if self.ban is None else self.ban.problem()
        return None if problem is None else f"[gateway.firewall.ban]: {problem}"

    def names(self) -> list[str]:
        """What the rules are called, by which they are counted: one without a name by its place."""
        return [each.name or f"rule-{number}" for number, each in enumerate(self.rules, 1)]


def _some(entries: Sequence[str]) -> str:
    beside = len(entries) - MOST_TOLD
    return ", ".join(entries[:MOST_TOLD]) + (f" and {beside} others" if beside > 0 else "")


def strange_network(entries: Iterable[str]) -> str | None:
    """The first that is neither an address nor a network; None where all are."""
    for each in entries:
        try:
            ip_network(each)
        except ValueError as error:
            return f"{error}; write an address, 192.0.2.1, or a network, 192.0.2.0/24"
    return None


def read_networks(path: Path) -> list[str]:
    """The addresses and networks of a file: one in each line, `#` begins a comment; raises OSError, ValueError."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        if (strange := strange_network([entry])) is not None:
            raise ValueError(f"{path}: line {number}: {strange}")
        found.append(entry)
    return found
