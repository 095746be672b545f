"""What a new package or service may be called, and what follows from its name."""

from __future__ import annotations

import re
import sys
from keyword import iskeyword, issoftkeyword
from typing import Final
from unicodedata import normalize

from meristem.errors import ConfigurationError
from meristem.scaffold.taken_names import BESIDE, INSTALLED, UNLISTED
from meristem.services.service import snake

LONGEST: Final = 24  # characters: then no line of what is written is too long
NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
MODULES: Final = frozenset(("contracts", "system"))
"""What stands beside a service in its package."""
CLASSES: Final = {
    *("Annotated", "Clock", "Code", "Contract", "Database", "Entry", "Fault", "ManualClock"),
    *("Message", "Meta", "NoSuchEntry", "Protocol", "Service", "Text"),
}
"""What the modules of a service name already, and its contract would name, too."""


def check_package(name: str) -> None:
    """Raise ConfigurationError where a package may not be called so."""
    _check(name, "a package")
    if name in BESIDE or name.startswith("test_"):
        raise ConfigurationError(
            f"a package {name!r} would stand in the way of a file or folder beside it; choose another name"
        )
    if name in INSTALLED:
        raise ConfigurationError(
            f"{name!r} is what new projects are installed with, which the package would hide; choose another name"
        )
    if name in sys.stdlib_module_names | UNLISTED:
        raise ConfigurationError(
            f"{name!r} is a module of Python's own, which the package would hide; choose another name"
        )


def check_service(name: str) -> None:
    """Raise ConfigurationError where a service may not be called so."""
    _check(name, "a service")
    contract = contract_of(name)
    if name in MODULES or contract in CLASSES:
        raise ConfigurationError(
            f"a service {name!r} would stand in the way of what it uses itself; choose another name"
        )
    if snake(contract) != name or contract.isupper():
        raise ConfigurationError(
            f"{name!r} and its class, {contract}Service, would name two services; write whole words"
        )


def contract_of(service: str) -> str:
    """The class of a service's contract: `OrderLines` for `order_lines`."""
    return "".join(part.capitalize() for part in service.split("_"))


def _check(name: str, what: str) -> None:
    if iskeyword(name) or issoftkeyword(name):
        raise ConfigurationError(f"{name!r} is a word of Python's own, and can't name {what}; choose another name")
    if not NAME.fullmatch(name):
        plain = normalize("NFKD", snake(name).casefold()).encode("ascii", "ignore").decode()  # é is e, ß is ss
        likely = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
        hint = f"; did you mean {likely!r}?" if NAME.fullmatch(likely) else ""
        raise ConfigurationError(f"{name!r} can't name {what}: use a-z, 0-9 and _ between words, a letter first{hint}")
    if len(name) > LONGEST:
        raise ConfigurationError(f"{name!r} is longer than {LONGEST} characters; choose a shorter name")
