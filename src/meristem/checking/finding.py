"""What a check found, and the rules by which it was found."""

from __future__ import annotations

from typing import Final

import msgspec

RULES: Final = {
    "import": "a part imports another part's module",
    "class": "a part uses another service's class",
    "table": "a part uses another service's table",
    "sql": "text names another service's table",
    "state": "two parts reach state that changes",
    "file": "two parts share a file",
    "patch": "code outside of the part, or its process, is changed",
    "layer": "a call goes up the layers, or stays in one",
    "call": "a call is not among those that its part may make",
    "circle": "calls, or the modules of contracts, form a circle",
    "untested": "a service has no tests",
    "unheard": "an event is heard by no service",
    "uncalled": "an operation is called by nobody",
    "divided": "a test shows something else where services live apart",
}
"""Every rule, by the name with which it is switched off."""

DIVIDED: Final = "divided"
"""The rule of `meristem check --divided`, which finds nothing by the source."""


class Finding(msgspec.Struct, frozen=True, order=True):
    """One fault: where it stands, whose code is concerned, what is wrong and what to do.

    `file` is relative to the project's folder. `subject` is what is reached, named so that it stays the same when
    lines move.
    """

    file: str
    line: int
    rule: str
    parts: tuple[str, ...]
    subject: str
    problem: str
    remedy: str

    @property
    def key(self) -> str:
        """What a baseline knows it by."""
        return f"{self.rule} {self.file} {self.subject} {' '.join(self.parts)}"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: [{self.rule}] {', '.join(self.parts)}: {self.problem}; {self.remedy}"
