"""`meristem tokens`: who may sign in to the dashboard by a token of their own, and who no longer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

import click

from meristem.cli.loading_system import json_option, system_option
from meristem.cli.output import print_json, print_table
from meristem.cli.running_systems import known_systems
from meristem.cli.verb_groups import VerbGroup
from meristem.errors import MisuseError, OperationError
from meristem.hints import meant
from meristem.system.state_directory import TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.operators.operator_tokens import OperatorTokens

T = TypeVar("T")
NONE = "no system has run from here, so there is nothing to sign in to: start it with `meristem run`"
which_option = click.option("--name", "system_name", help="Which system, where several have run from here.")


@click.group(cls=VerbGroup)
def tokens() -> None:
    """Make, list and revoke tokens by which single people and programs sign in to the dashboard."""


@tokens.command(name="list")
@system_option
@which_option
@json_option
def list_(target: str | None, system_name: str | None, *, as_json: bool) -> None:
    """List the tokens: names, roles and digests, for no value is kept anywhere."""
    from meristem.operators.operator_tokens import SHARED  # noqa: PLC0415 - as in `_tokens`

    kept = _tokens(target, system_name).kept()
    if as_json:
        print_json({"tokens": kept.tokens, "revoked": kept.revoked})
        return
    rows = [[role, role, "follows from the secret", "revoked" if role in kept.revoked else ""] for role in SHARED]
    rows += [[each.name, each.role, f"sha256 {each.digest[:12]}…", f"made {each.created}"] for each in kept.tokens]
    print_table("tokens", ["name", "role", "token", ""], rows, "")


@tokens.command()
@click.argument("name")
@click.option("--role", type=click.Choice(["viewer", "operator"]), default="viewer", show_default=True)
@system_option
@which_option
@json_option
def add(
    name: str, role: Literal["viewer", "operator"], target: str | None, system_name: str | None, *, as_json: bool
) -> None:
    """Make a token for somebody, and print it this once: it is good at once, also in a run."""
    token = _done(lambda: _tokens(target, system_name).add(name, role))
    if as_json:
        print_json({"name": name, "role": role, "token": token})
        return
    click.echo(f"{token}")
    click.echo(f"It is {name}'s, as {role}, and shown only now: enter it where the dashboard asks for one.", err=True)


@tokens.command()
@click.argument("name")
@system_option
@which_option
def revoke(name: str, target: str | None, system_name: str | None) -> None:
    """Let nobody in by a token any more, at once: somebody's, or `operator` and `viewer`, which a link has."""
    _done(lambda: _tokens(target, system_name).revoke(name))
    click.echo(f"The token {name} is revoked: whoever signed in by it is asked for another one.")


@tokens.command()
@click.argument("role", type=click.Choice(["viewer", "operator"]))
@system_option
@which_option
def allow(role: Literal["viewer", "operator"], target: str | None, system_name: str | None) -> None:
    """Take the token again that follows from the secret, and that the links of a run have."""
    _tokens(target, system_name).allow(role)
    click.echo(f"The {role}'s token that follows from the secret is taken again.")


def _tokens(target: str | None, name: str | None) -> OperatorTokens:
    from meristem.operators.operator_tokens import OperatorTokens  # noqa: PLC0415 - takes time to import

    known = {each.path.name: each for each in known_systems(target)}
    if not known:
        raise OperationError(NONE)
    if name is None and len(known) > 1:
        raise click.UsageError(f"several systems have run from here: give one with --name ({', '.join(known)})")
    if name is not None and name not in known:
        hint = meant(name, known, f"there is {', '.join(known)}")
        raise click.UsageError(f"no system {name!r} has run from here; {hint}")
    return OperatorTokens(known[name or next(iter(known))].path / TOKENS, {})


def _done(change: Callable[[], T]) -> T:
    try:
        return change()
    except MisuseError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from None
