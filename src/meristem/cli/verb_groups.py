"""Groups of verbs, of which each verb is told by its whole first sentence."""

from __future__ import annotations

from typing import Final

import click

WHOLE: Final = 1000  # characters: more than any first sentence has


class VerbGroup(click.Group):
    """Lists its verbs without cutting what each is for: click ends such a text after a line."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        verbs = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.get_short_help_str(WHOLE)) for name, verb in verbs if verb is not None])
