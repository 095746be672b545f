"""The rules of the firewall as a check of every request: the first that fits decides, and what none fits may pass."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from meristem.errors import ConfigurationError
from meristem.followed_files import FollowedFiles
from meristem.gateway.policy.firewall_table import CUT, read_networks
from meristem.gateway.policy.gateway_refusal import refused
from meristem.quantities import bytes_of
from meristem.security.networks import Networks
from meristem.transports.http.edge_policy import CUT_OFF

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meristem.gateway.policy.firewall_table import FirewallRule, FirewallTable, HeaderCondition
    from meristem.gateway.policy.refusals import Refusals
    from meristem.gateway.policy.visit import Outcome, Visit
    from meristem.transports.http.request import Request

logger = logging.getLogger(__name__)
BETWEEN: Final = 1.0  # seconds between two looks at a file of addresses


class Firewall:
    """Asks the rules in their order. Refusals are counted by the rule's name."""

    name = "firewall"

    def __init__(self, table: FirewallTable, refusals: Refusals, now: Callable[[], float]) -> None:
        self._rules = [RuleAtWork(name, each, now) for name, each in zip(table.names(), table.rules, strict=True)]
        self._refusals = refusals

    def __call__(self, visit: Visit, /) -> Outcome:
        for each in self._rules:
            if not each.fits(visit):
                continue
            rule = each.rule
            why = f"the firewall's rule {each.name!r} denies it"
            if rule.dry_run:
                if rule.action == "deny":
                    self._refusals.would(visit, each.name, why)
                continue
            if rule.action == "allow":
                return None
            visit.by, visit.violation = each.name, "denied"
            # Which rule it was is for the log alone: who is denied learns nothing of the others.
            visit.why = why
            return CUT_OFF if rule.status == CUT else refused(rule.status, "this request is not served here")
        return None


class RuleAtWork:
    """A rule and what it looks at, made once."""

    def __init__(self, name: str, rule: FirewallRule, now: Callable[[], float]) -> None:
        self.name = name
        self.rule = rule
        self._conditions = [*_conditions(rule, now)]

    def fits(self, visit: Visit) -> bool:
        """Whether the request is all that the rule names."""
        return all(condition(visit) for condition in self._conditions)


def _conditions(rule: FirewallRule, now: Callable[[], float]) -> list[Callable[[Visit], bool]]:
    """From what costs least to what costs most."""
    found: list[Callable[[Visit], bool]] = []
    if rule.methods:
        found.append(lambda visit: visit.request.method in rule.methods)
    for text, size in ((rule.head_above, _head), (rule.query_above, _query), (rule.body_above, _body)):
        if text is not None:
            found.append(_above(bytes_of(text), size))
    if rule.paths:
        patterns = PathPatterns(rule.paths)
        found.append(lambda visit: patterns.fit(visit.path))
        if rule.action == "allow":  # by every reading: whoever takes `/open;x/y` for one name is not at `/open`
            found.append(lambda visit: patterns.fit(unquote_to_bytes(visit.request.path)))
    found += [HeaderMatch(each) for each in rule.headers]
    if rule.addresses_file is not None:
        found.append(ListedAddresses(rule, now))
    elif rule.addresses:
        networks = Networks(rule.addresses)
        found.append(lambda visit: visit.request.client in networks)
    return found


def _above(most: int, size: Callable[[Request], float]) -> Callable[[Visit], bool]:
    return lambda visit: size(visit.request) > most


def _head(request: Request) -> float:
    return len(request.raw)


def _query(request: Request) -> float:
    return len(request.query)


def _body(request: Request) -> float:
    if b"transfer-encoding" in request.head:
        return float("inf")
    return int(request.head.get(b"content-length", b"0"))


class PathPatterns:
    """Paths and beginnings of paths, of which a request's canonical path is one."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._whole = {each.encode().rstrip(b"/") for each in patterns if not each.endswith("*")}
        self._below = tuple(each[:-1].encode() for each in patterns if each.endswith("*"))

    def fit(self, path: bytes) -> bool:
        path = path.rstrip(b"/")  # as of routes: a slash more or less at the end makes no other path
        return path in self._whole or (path + b"/").startswith(self._below)


class HeaderMatch:
    """A condition on a header field. A pattern is looked for part by part, which takes no longer than it is long."""

    def __init__(self, condition: HeaderCondition) -> None:
        self._name = condition.name.encode()
        self._present = condition.present
        self._equals = condition.equals
        self._parts = None if condition.matches is None else condition.matches.lower().split("*")

    def __call__(self, visit: Visit) -> bool:
        found = visit.request.head.get(self._name)
        if self._present is not None:
            return (found is not None) == self._present
        if found is None:
            return False
        value = found.decode("latin-1")
        if self._parts is None:
            return value == self._equals
        return matches(value.lower(), self._parts)


def matches(text: str, parts: Sequence[str]) -> bool:
    """Whether a text is these parts with anything in between."""
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return text == first
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    at, end = len(first), len(text) - len(last)
    for each in parts[1:-1]:
        at = text.find(each, at, end)
        if at < 0:
            return False
        at += len(each)
    return True


class ListedAddresses:
    """The addresses of a rule and of its file, which is read again when it has changed.

    While what stands there can't be read, what was read before goes on to hold, and the log says so once. Raises
    ConfigurationError where it can't be read from the beginning.
    """

    def __init__(self, rule: FirewallRule, now: Callable[[], float]) -> None:
        self._rule = rule
        self._path = Path(rule.addresses_file or "")
        self._file = FollowedFiles(self._path, between=BETWEEN, now=now)
        self._file.settle()
        try:
            self._networks = Networks([*rule.addresses, *read_networks(self._path)])
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"[gateway.firewall]: rules: addresses_file: {error}") from None

    def __call__(self, visit: Visit) -> bool:
        if self._file.have_changed():
            self._refresh()
        return visit.request.client in self._networks

    def _refresh(self) -> None:
        try:
            self._networks = Networks([*self._rule.addresses, *read_networks(self._path)])
        except (OSError, ValueError) as error:
            logger.error("the addresses that were read before go on to hold: %s", error)  # noqa: TRY400 - a file's fault
        else:
            logger.info("the addresses of %s were read again", self._path)
