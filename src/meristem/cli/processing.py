"""`meristem process`: run one process of a placement alone, as a container or a supervisor starts it."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from meristem.cli.loading_system import load_process, log_level_option, placement_option, system_argument
from meristem.cli.progress import TerminalProgress
from meristem.cli.serving import offer, run_on_loop
from meristem.config.project import load_object
from meristem.hosting.own_folder import enter
from meristem.lifecycle import Stack
from meristem.standard_streams import unblock
from meristem.supervision.heartbeat import heartbeat
from meristem.supervision.lifeline import hold
from meristem.supervision.replica import ADDRESS, GRPC, GRPC_SOCKET, INSTANCE, PUBLIC_FD, RUN, admitted
from meristem.system.addresses import app_addresses, called_by_grpc, edge, environment_for, label_of, part_addresses

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from meristem.discovery.resolver import Resolver
    from meristem.operators.server import OperatorServer
    from meristem.runtime.listen import Listen
    from meristem.runtime.options import Options
    from meristem.runtime.process import Process
    from meristem.security.tokens import Tokens
    from meristem.system.blueprint import Blueprint
    from meristem.system.state_directory import StateDirectory


@click.command()
@system_argument
@placement_option
@click.option("--process", "name", help="Which process of the placement; not needed when it has only one.")
@click.option("--replica", default=0, show_default=True, help="The number of this replica, from 0.")
@click.option(
    "--listen", "listens", multiple=True, help="An address for the system's own calls, e.g. tcp://0.0.0.0:8000."
)
@click.option("--public", "publics", multiple=True, help="An address for anybody: REST, RPC and apps.")
@click.option("--operator", "operators", multiple=True, help="An address for operators, e.g. tcp://0.0.0.0:9000.")
@click.option("--api-page", is_flag=True, help="Show the description of the API at public addresses.")
@click.option("--development", is_flag=True, help="Tell a bug in what a saga calls at once, and do not try again.")
@click.option("--address", envvar=ADDRESS, help="The base address of the system as the public knows it.")
@click.option(
    "--plan",
    envvar="MERISTEM_PLAN",
    type=click.Path(path_type=Path, dir_okay=False),
    help="What `meristem graph --json` told of the services that cannot be imported here.",
)
@click.option("--observer", hidden=True, help="What is told of each event that is committed, as `module:function`.")
@log_level_option
@click.option("--log-format", type=click.Choice(["auto", "console", "json"]), default="auto", show_default=True)
def process(
    target: str | None,
    placement: Path | None,
    name: str | None,
    replica: int,
    listens: tuple[str, ...],
    publics: tuple[str, ...],
    operators: tuple[str, ...],
    address: str | None,
    plan: Path | None,
    observer: str | None,
    *,
    api_page: bool,
    development: bool,
    log_level: str,
    log_format: Any,
) -> None:
    """Run one process of a placement alone, as a container does; addresses may be repeated.

    It finds the others by variables (SEARCH_URL=http://host:port) or as the placement's [discovery] says, and shares
    MERISTEM_SECRET with them.
    """
    from meristem.telemetry.logging import configure  # noqa: PLC0415 - only a process's main configures logging

    # First: from here on it ends with its supervisor, also in the midst of an import.
    hold(os.environ)
    unblock()
    configure(format=log_format, level=log_level)
    blueprint, directory = load_process(target, placement, plan)
    # As it was before `offer` adds the addresses of the public side: those of replicas are looked for here.
    environment = dict(os.environ)
    named = _name(blueprint, name)
    listen = _listen(blueprint, named, listens, publics, environment)
    _enter(blueprint, named, directory)
    sides = Sides(listen, operators, address, api_page, development, observer)
    run_on_loop(_serve(blueprint, named, replica, sides, directory, environment, placement))


def _enter(blueprint: Blueprint, process: str, directory: Path) -> None:
    """Work in the folder of the app that this process is for, if it has one, and import from there first."""
    plan = blueprint.plan
    here = next(each.apps for each in plan.processes if each.name == process)
    for app in plan.apps:
        if app.name in here and app.folder is not None:
            enter(directory / app.folder, directory)


class Sides(NamedTuple):
    """Where a process answers and whom; `address` is the base address of the system, as the public knows it.

    In `development` a bug is told at once where it would be repeated in production. `observer` names what is told of
    each event, for a test of the system.
    """

    listen: list[Listen]
    operators: tuple[str, ...]
    address: str | None
    api_page: bool
    development: bool
    observer: str | None


async def _serve(
    blueprint: Blueprint,
    name: str,
    replica: int,
    sides: Sides,
    directory: Path,
    environment: Mapping[str, str],
    placement: Path | None,
) -> None:
    from meristem.cli.gateway_renewal import GatewayRenewal  # noqa: PLC0415
    from meristem.cli.settings import note_settings  # noqa: PLC0415
    from meristem.runtime.process import Process, serve  # noqa: PLC0415
    from meristem.system.state_directory import StateDirectory  # noqa: PLC0415 - what serves takes time to import

    state = StateDirectory(directory, blueprint.system.name)
    state.prepare()
    state.check_restored()
    if RUN in environment or sides.operators:  # else nobody keeps count of what runs here
        note_settings(blueprint, name, replica, environment, state, os.getppid() if RUN in environment else os.getpid())
    tokens = state.tokens(environment)
    resolver = _resolver(blueprint, name, environment)
    secret = state.secret(environment)
    options = _options(blueprint, replica, sides, directory, state.path, environment, resolver, tokens, secret)
    offer(environment_for(part_addresses(blueprint.plan, sides.address or "", {})))
    made = Process(
        blueprint,
        name,
        options=options,
        listen=sides.listen,
        tokens=tokens,
        api_page=sides.api_page,
    )
    async with Stack() as stack:
        if sides.operators:
            await stack.start(_operators(made, sides, state, environment))
        # Before the services: they follow what it has found as they start.
        await stack.start(resolver)
        if placement is not None:
            await stack.start(GatewayRenewal(made, placement, state.path, label_of(name, replica)))
        await serve(made, _say_started)


def _operators(made: Process, sides: Sides, state: StateDirectory, environment: Mapping[str, str]) -> OperatorServer:
    """What tells operators of this process alone, with a dashboard: nothing here knows where the others are."""
    from meristem.cli.dashboards import dashboard_of  # noqa: PLC0415 - what few processes have
    from meristem.operators.server import OperatorAddresses, OperatorServer  # noqa: PLC0415
    from meristem.runtime.introspection import SingleProcess  # noqa: PLC0415
    from meristem.telemetry.logging import show  # noqa: PLC0415

    name, replica = made.assembly.process.name, made.assembly.options.replica
    overview = SingleProcess(made, sides.address, contained=True)
    # Several may have one folder, and each keeps what it alone has seen.
    table = made.assembly.blueprint.placement.operator
    make = dashboard_of(state, environment, table, f"history-{name}-{replica}.db")
    dashboard = None if make is None else make(overview)
    if dashboard is not None:
        show(dashboard.observatory.lines_of(name, replica).event)
    return OperatorServer(overview, OperatorAddresses(sides.operators), dashboard)


def _options(
    blueprint: Blueprint,
    replica: int,
    sides: Sides,
    directory: Path,
    state: Path,
    environment: Mapping[str, str],
    resolver: Resolver,
    tokens: Tokens,
    secret: str,
) -> Options:
    from meristem.runtime.options import Options  # noqa: PLC0415

    return Options(
        progress=TerminalProgress(),
        environment=environment,
        directory=directory,
        state=state,
        apps=_apps(blueprint, sides.address, environment),
        resolver=resolver,
        sign=tokens.prove,
        secret=secret.encode(),
        replica=replica,
        instance=environment.get(INSTANCE),
        development=sides.development,
        beat=heartbeat(os.environ),
        found=_found(sides.listen, environment),
        observers=[] if sides.observer is None else [load_object(sides.observer)],
    )


def _found(listen: Iterable[Listen], environment: Mapping[str, str]) -> Callable[[], Awaitable[None]] | None:
    """What waits until a supervisor has given the socket of this replica its name; nothing without one."""
    inherited = [int(each.address[3:]) for each in listen if not each.public and each.address.startswith("fd:")]
    return partial(admitted, inherited[0]) if RUN in environment and inherited else None


def _name(blueprint: Blueprint, given: str | None) -> str:
    names = [each.name for each in blueprint.plan.processes]
    if given is None and len(names) == 1:
        return names[0]
    if given not in names:
        asked = f"there is no process {given!r};" if given else "which process?"
        raise click.UsageError(f"{asked} the placement has {', '.join(names)}: give one with --process")
    return given


def _listen(
    blueprint: Blueprint, name: str, listens: Iterable[str], publics: Iterable[str], environment: Mapping[str, str]
) -> list[Listen]:
    from meristem.runtime.listen import Listen  # noqa: PLC0415

    found = [Listen(each, public=False) for each in listens] + [Listen(each, public=True) for each in publics]
    if PUBLIC_FD in environment:
        found.append(Listen(f"fd:{environment[PUBLIC_FD]}", public=True))
    process = next(each for each in blueprint.plan.processes if each.name == name)
    if process.grpc is not None:
        address = environment.get(GRPC) or process.grpc.address("127.0.0.1")
        # A supervisor keeps the port for its replicas; elsewhere one that another program has is an error.
        found.append(Listen(f"grpc://{address}", public=True, port=process.grpc, shared=GRPC in environment))
    if GRPC_SOCKET in environment:
        found.append(Listen(f"grpc+unix:{environment[GRPC_SOCKET]}", public=False))
    if not found:
        raise click.UsageError(
            "where shall the process listen? give --listen tcp://0.0.0.0:8000 for calls of the system's own, "
            "--public for those of anybody"
        )
    called = called_by_grpc(process, blueprint.plan)
    if called and not any(each.is_grpc and not each.public for each in found):
        raise click.UsageError(
            f"{', '.join(called)} of {name} is called by gRPC, and nothing listens for that: give "
            "--listen grpc://0.0.0.0:50051"
        )
    if process.apps and not any(_serves_apps(each, blueprint, name) for each in found):
        given, to = ("--public", "the public") if edge(blueprint.plan).name == name else ("--listen", "the edge")
        raise click.UsageError(
            f"{name} hosts {', '.join(process.apps)}, and nothing listens there for {to}: give {given} "
            "tcp://0.0.0.0:8000"
        )
    return found


def _serves_apps(listen: Listen, blueprint: Blueprint, name: str) -> bool:
    """Whether somebody may reach the apps of a process there: the public, or an edge that forwards to it."""
    return not listen.is_grpc and (listen.public or edge(blueprint.plan).name != name)


def _resolver(blueprint: Blueprint, name: str, environment: Mapping[str, str]) -> Resolver:
    from meristem.config.setting_sources import variable  # noqa: PLC0415
    from meristem.runtime.resolution import resolver_for  # noqa: PLC0415

    taken = [
        variable(blueprint.system.name, each.name, "url")
        for each in blueprint.plan.services
        if any("url" in fields for fields in each.settings.values())
    ]
    run = Path(environment[RUN]) if RUN in environment else None
    placement = blueprint.placement
    return resolver_for(blueprint.plan, placement, name, environment=environment, run=run, taken=taken)


def _apps(blueprint: Blueprint, address: str | None, environment: Mapping[str, str]) -> dict[str, str]:
    """Where hosted apps and programs are: as variables say; apps else below the public address."""
    from meristem.discovery.environment import url_variable  # noqa: PLC0415

    system = blueprint.system.name
    found = app_addresses(blueprint.plan, address) if address else {}
    for part in [each.name for each in blueprint.plan.apps] + [each.name for each in blueprint.plan.programs]:
        given = environment.get(url_variable(system, part)) or environment.get(url_variable(part))
        if given:
            found[part] = given
    return found


def _say_started(process: Process) -> None:
    click.echo("ready" if RUN in os.environ else f"ready at {', '.join(process.addresses)}")
