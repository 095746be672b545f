"""`meristem dashboard`: print the link by which a browser signs in to the dashboard of a system."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from meristem.cli.loading_system import system_argument
from meristem.cli.running_systems import known_systems, one_of, running_systems
from meristem.errors import ConfigurationError, OperationError
from meristem.system.placement import Placement
from meristem.system.state_directory import SECRET, TOKENS, StateDirectory

if TYPE_CHECKING:
    from meristem.operators.actors import Role
    from meristem.system.system_status import SystemStatus

NONE = "nothing runs from here; start it with `meristem run`, or give the --address of one that runs elsewhere"


@click.command()
@system_argument
@click.option("--name", help="Which system, where several run from here; `meristem ps` shows them.")
@click.option("--viewer", is_flag=True, help="A link for who only looks; without it, who signs in may act.")
@click.option("--address", help="Where operators reach a system that runs elsewhere, e.g. https://ops.example.org.")
def dashboard(target: str | None, *, name: str | None, viewer: bool, address: str | None) -> None:
    """Print the link by which a browser signs in to the dashboard of a running system.

    Whoever has the link may look, or act. It is made of the system's secret: MERISTEM_SECRET, or the one that is kept
    in .meristem.
    """
    from meristem.operators.sign_in import link_of, token_of  # noqa: PLC0415 - takes time to import

    secret, where = _elsewhere(target, name, address) if address is not None else _here(target, name)
    role: Role = "viewer" if viewer else "operator"
    if address is None or SECRET not in os.environ:  # else what is kept here says nothing of the one that is meant
        _check_taken(target, name, role)
    click.echo(link_of(where.rstrip("/"), token_of(role, secret)))


def _check_taken(target: str | None, name: str | None, role: Role) -> None:
    """Refuse a link that leads nowhere: its token is revoked, as far as is known here."""
    from meristem.operators.operator_tokens import OperatorTokens  # noqa: PLC0415 - as above

    for each in known_systems(target):
        if name in (None, each.path.name) and role in OperatorTokens(each.path / TOKENS, {}).kept().revoked:
            raise OperationError(
                f"the token of the link is revoked here: `meristem tokens allow {role}` takes it again, and "
                "`meristem tokens add NAME` makes somebody a token of their own"
            )


def _here(target: str | None, name: str | None) -> tuple[str, str]:
    state, running = one_of(running_systems(target), name, NONE)
    secret = state.known_secret(os.environ)
    if secret is None:
        raise OperationError(f"{state.path.name} has no secret here; set {SECRET} to the one that it runs with")
    return secret, _address(state, running)


def _address(state: StateDirectory, running: SystemStatus) -> str:
    from meristem.operators.browser_address import browser_address  # noqa: PLC0415 - takes time to import

    address = browser_address(running.operators, ())
    if address is None and running.placement is not None:
        placed = Placement.read(Path(running.placement)).operator.public
        address = None if placed is None else browser_address(running.operators, placed.hosts)
    if address is not None:
        return address
    raise OperationError(
        f"no browser reaches the dashboard of {state.path.name}, at {', '.join(running.operators)} alone; name one in "
        'its placement: [operator] listen = "tcp://127.0.0.1:8001", or hosts in [operator.public]'
    )


def _elsewhere(target: str | None, name: str | None, address: str) -> tuple[str, str]:
    if not address.startswith(("http://", "https://")):
        raise click.BadParameter(f"{address}: write it as a browser does, https://ops.example.org")
    if SECRET in os.environ:
        if name is not None:
            raise click.UsageError(f"--name says whose secret is taken, and {SECRET} is set: leave one of them out")
        return StateDirectory.secret_of(os.environ), address
    known = {each.path.name: each for each in known_systems(target) if each.secret_file.exists()}
    if name is None and len(known) == 1:
        name = next(iter(known))
    if name is None or name not in known:
        there = f"here are those of {', '.join(known)}: give one with --name" if known else "none is kept here"
        raise ConfigurationError(f"which secret has the system at {address}? Set {SECRET}; {there}")
    return known[name].secret(os.environ), address
