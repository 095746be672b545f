"""A migration that is still to come: revisions, their steps, and what each does to the release that runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from meristem.errors import ConfigurationError
from meristem.storage.survival import Effect, Survival, worst


class PlannedStep(msgspec.Struct):
    """Statements that belong together, most often one, and what they do."""

    statements: list[str]
    effects: list[Effect] = []


class PlannedRevision(msgspec.Struct):
    """A revision that is pending. `compatible` is what its file says of older releases, `fails` why it ended early.

    `of_framework` is one of the framework's own, whose author has looked.
    """

    revision: str
    message: str
    compatible: bool
    steps: list[PlannedStep] = []
    fails: str | None = None
    of_framework: bool = False

    @property
    def verdict(self) -> Survival:
        """What is found of all its steps; the unknown rest of one that failed is not judged."""
        found = worst(self.effects)
        return Survival.LOOK if self.fails is not None and found is Survival.SAFE else found

    @property
    def effects(self) -> Iterable[Effect]:
        """What all its steps do."""
        return (each for step in self.steps for each in step.effects)

    @property
    def needs_consent(self) -> bool:
        """Whether it is applied beside a running release only by who says so.

        What is not judged passes in a revision that is marked as compatible: its author has looked.
        """
        return self.verdict is Survival.UNSAFE or (self.verdict is Survival.LOOK and not self.compatible)


def refuse_unsafe(name: str, planned: Sequence[PlannedRevision]) -> None:
    """Raise ConfigurationError for the first revision that the running release may not survive."""
    for each in planned:
        if not each.needs_consent:
            continue
        if each.fails is not None:
            raise ConfigurationError(
                f"database {name!r}: revision {each.revision} fails on a copy of the tables without rows, and nothing "
                f"was changed: {each.fails}; mend it, or apply it by `meristem migrate --unsafe` if it needs the rows"
            )
        verdict = each.verdict
        told = ", ".join(found.what for found in each.effects if found.verdict is verdict)
        why = "is not survived by a release that runs" if verdict is Survival.UNSAFE else "can't be judged"
        raise ConfigurationError(
            f"database {name!r}: revision {each.revision} {why}, and nothing was changed: it {told}; `meristem migrate "
            "--plan` tells what to do instead, and `meristem migrate --unsafe` applies it all the same"
        )
