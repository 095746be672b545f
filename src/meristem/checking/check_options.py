"""What a project says of its check: `[tool.meristem.check]` of its pyproject.toml."""

from __future__ import annotations

from pathlib import Path

import msgspec

from meristem.checking.finding import RULES
from meristem.config.project import tool_table
from meristem.errors import ConfigurationError
from meristem.hints import meant


class CheckOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`shared` modules belong to nobody; a name of a module there may be state that parts share knowingly.

    `off` gives for each rule that is switched off the reason.
    """

    shared: tuple[str, ...] = ()
    off: dict[str, str] = {}
    baseline: str = "check-baseline.json"


def read_options(pyproject: Path) -> CheckOptions:
    """The options of a project; raises ConfigurationError for what is none, and for a rule that is none."""
    if not pyproject.is_file():
        return CheckOptions()
    where = f"{pyproject}: [tool.meristem.check]"
    try:
        options = msgspec.convert(tool_table(pyproject).get("check", {}), CheckOptions)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{where}: {error}") from None
    for rule, reason in options.off.items():
        if rule not in RULES:
            raise ConfigurationError(f"{where}: there is no rule {rule!r}; {meant(rule, RULES, _one_of(tuple(RULES)))}")
        if not reason.strip():
            raise ConfigurationError(f"{where}: say why {rule!r} is off")
    return options


def _one_of(names: tuple[str, ...]) -> str:
    return f"there are {', '.join(names)}"
