"""What a project says of its check: `[tool.meristem.check]` of its pyproject.toml."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import msgspec

from meristem.checking.finding import DIVIDED, RULES, Finding
from meristem.config.project import tool_table
from meristem.errors import ConfigurationError
from meristem.hints import meant


class CheckOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`shared` modules belong to nobody, whichever package they stand in.

    `layers` are lists of parts, the highest first: calls go down. `calls` are the parts that a part may call. `off`
    gives the reason for each rule that is switched off: wholly (`patch`), or for one subject (`state shop.rates.ALL`).
    """

    shared: tuple[str, ...] = ()
    layers: tuple[tuple[str, ...], ...] = ()
    calls: dict[str, tuple[str, ...]] = {}
    off: dict[str, str] = {}
    baseline: str = "check-baseline.json"

    def excuses(self, finding: Finding) -> bool:
        """Whether a finding is switched off."""
        return finding.rule in self.off or f"{finding.rule} {finding.subject}" in self.off

    def rules_off(self) -> list[str]:
        """What of the source is switched off."""
        return [each for each in self.off if each.partition(" ")[0] != DIVIDED]

    def tests_off(self) -> dict[str, str]:
        """The tests that `--divided` leaves out, and why."""
        found = [(*each.partition(" "), reason) for each, reason in self.off.items()]
        return {test: reason for rule, _, test, reason in found if rule == DIVIDED}


def read_options(pyproject: Path, parts: Collection[str] | None) -> CheckOptions:
    """The options of a project; raises ConfigurationError for what is none, and for a part or rule that is none.

    Without `parts` it isn't asked which there are.
    """
    if not pyproject.is_file():
        return CheckOptions()
    where = f"{pyproject}: [tool.meristem.check]"
    try:
        options = msgspec.convert(tool_table(pyproject).get("check", {}), CheckOptions)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{where}: {error}") from None
    named = [*options.calls, *(each for called in options.calls.values() for each in called)]
    for part in (*named, *(each for layer in options.layers for each in layer)):
        if parts is not None and part not in parts:
            raise ConfigurationError(f"{where}: there is no part {part!r}; {meant(part, parts, _one_of(parts))}")
    for off, reason in options.off.items():
        rule = off.partition(" ")[0]
        if rule not in RULES:
            raise ConfigurationError(f"{where}: there is no rule {rule!r}; {meant(rule, RULES, _one_of(RULES))}")
        if not reason.strip():
            raise ConfigurationError(f"{where}: say why {off!r} is off")
        if off == DIVIDED:
            raise ConfigurationError(f"{where}: name the test that is off: '{DIVIDED} tests/test_orders.py::test_one'")
    return options


def _one_of(names: Collection[str]) -> str:
    return f"there are {', '.join(names)}"
