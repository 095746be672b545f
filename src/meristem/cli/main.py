"""The command's verbs; each is imported only when it is asked for."""

from __future__ import annotations

import importlib
import io
import os
import sys
import traceback
from typing import Final

import click

from meristem.cli.output import give_up_output, is_of_output
from meristem.cli.tracebacks import own_traceback
from meristem.config.project import is_own
from meristem.errors import PASSING_ERRNOS, CallError, Code, Fault, MeristemError, OperationError
from meristem.redaction import redact
from meristem.stop_signals import exiting

EX_TEMPFAIL: Final = 75  # sysexits.h
PASSING: Final = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.ABORTED})
"""The codes of a call that may go well another time."""
# The texts stand here because click, to list them, would import the module of every verb.
VERBS: Final = {
    "new": ("new", "Write a new system, service or app, which runs and passes its tests at once."),
    "run": ("run", "Run a system: all in one process, or as a placement says."),
    "process": ("processing", "Run one process of a placement, as a container does."),
    "ps": ("inspecting", "Show the processes of a running system."),
    "reload": ("inspecting", "Start every process of a running system anew; no request is lost."),
    "scale": ("scaling", "Run more or fewer replicas of a process of a running system, until the run ends."),
    "dashboard": ("dashboard", "Print the link by which a browser signs in to the dashboard of a running system."),
    "tokens": ("tokens", "Make, list and revoke tokens by which single people sign in to the dashboard."),
    "graph": ("graph", "Show what a system consists of and who calls whom."),
    "check": ("checking", "Find what services reach of one another by other ways than their contracts."),
    "call": ("call", 'Call an operation: meristem call payments.ledger \'{"booking_id": "…"}\'.'),
    "contracts": ("contracts", "Write contracts for other languages, and find what would break callers."),
    "settings": ("settings", "Show every setting that is used, its value and where that comes from."),
    "sagas": ("sagas", "Show why sagas wait; retry, cancel, fork, signal and replay them."),
    "events": ("events", "Show what there is, what waits and what is dead, publish, and deliver again."),
    "keys": ("keys", "Make, list and revoke the API keys by which programs of others come in through the gateway."),
    "gateway": (
        "gateway",
        "Show what became of requests at the gateway, keep people out, and write its policy for other proxies.",
    ),
    "backup": ("backup", "Copy all databases of a system as they are at one moment; it may run meanwhile."),
    "restore": ("backup", "Put a backup in the place of a system's databases; the system must not run."),
    "data": ("data", "Move what services keep to other databases."),
    "migrate": ("migrating", "Bring the databases of services up to date, or write a new migration."),
}


class Verbs(click.Group):
    """Finds a verb by name and imports the module that holds it."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"meristem.cli.{VERBS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse what is no UTF-8 before any verb takes it for a text; the path of what is there may be anything."""
        for each in args:
            try:
                each.encode()
            except UnicodeEncodeError:
                if not os.path.lexists(each):
                    raise click.UsageError(f"{os.fsencode(each)!r} is no UTF-8: write it as such", ctx) from None
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="meristem", prog_name="meristem")
def meristem() -> None:
    """Business backends that start as one process and divide into microservices, code unchanged."""


def main() -> None:
    """Run the command; what goes wrong is said in one line, below the user's own lines where they led to it.

    The codes are those of docs/cli.md: 1 is to be mended, 2 is wrong use of the command, and EX_TEMPFAIL may go well
    another time, so that whoever supervises tries again.
    """
    try:
        with exiting():
            # Else click would end the process itself, with its own codes and words.
            meristem(standalone_mode=False)
    except click.exceptions.Abort:
        # 128 and the number of SIGINT, as a shell says it.
        sys.exit(130)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        click.echo(redact(shown.getvalue()), nl=False, err=True)
        sys.exit(error.exit_code)
    except (MeristemError, Fault) as error:
        click.echo(redact(own_traceback(error)), nl=False, err=True)
        click.secho("error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(redact(f"{type(error).__name__}: {error}" if isinstance(error, Fault) else str(error)), err=True)
        sys.exit(EX_TEMPFAIL if _passes(error) else 1)
    except Exception as error:
        if isinstance(error, OSError) and is_of_output(error):
            give_up_output()
            click.secho("error: ", fg="red", bold=True, nl=False, err=True)
            click.echo(f"the output can't be written: {error.strerror}; make room, or name another place", err=True)
            sys.exit(EX_TEMPFAIL if error.errno in PASSING_ERRNOS else 1)
        # One without a line of the project's is ours to mend: then all of it is shown.
        whole = own_traceback(error) or "".join(traceback.format_exception(error))
        click.echo(redact(whole), nl=False, err=True)
        click.secho("error: ", fg="red", bold=True, nl=False, err=True)
        click.echo(redact(f"{type(error).__name__}: {error} ({_where(error)}); mend it and run again"), err=True)
        sys.exit(1)


def _passes(error: MeristemError | Fault) -> bool:
    """Whether it may go well another time."""
    if isinstance(error, CallError | Fault):
        return error.code in PASSING
    return isinstance(error, OperationError) and not error.lasting


def _where(error: Exception) -> str:
    """The innermost line that is neither Meristem's nor a library's, where there is one."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if is_own(each.filename)]
    last = (own or frames)[-1]
    return f"{last.filename}:{last.lineno}, in {last.name}"
