"""`meristem graph`: what a system consists of and who calls whom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from meristem.checking.client_calls import ClientCall, client_calls
from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_argument
from meristem.cli.output import print_json, print_rich
from meristem.config.project import find
from meristem.system.plan import AppPlan, Plan, ProgramPlan, ServicePlan

if TYPE_CHECKING:
    from rich.tree import Tree


@click.command()
@system_argument
@placement_option
@json_option
@click.option("--mermaid", is_flag=True, help="Print a Mermaid diagram.")
@click.option(
    "--clients",
    "by_clients",
    is_flag=True,
    help="Show the calls by X.client() and connect(), too.",
)
def graph(target: str | None, placement: Path | None, *, as_json: bool, mermaid: bool, by_clients: bool) -> None:
    """Show what a system consists of and who calls whom."""
    if as_json and mermaid:
        raise click.UsageError("--json and --mermaid are two forms of it: give one")
    blueprint, root = load_blueprint(target, placement)
    plan = blueprint.plan
    clients = client_calls(plan, find(target, Path.cwd()).path, root) if by_clients else ()
    if as_json:
        print_json(msgspec.structs.asdict(plan) | {"clients": clients} if by_clients else plan)
    elif mermaid:
        click.echo(as_mermaid(plan, clients))
    else:
        _print_tree(plan, clients)


def as_mermaid(plan: Plan, clients: Sequence[ClientCall] = ()) -> str:
    """The call graph and the flow of events as a Mermaid flowchart; calls by clients are thick arrows."""
    lines = ["flowchart LR"]
    lines += [f"  {each.name}[{each.name}]" for each in plan.services]
    lines += [f"  {each.name}([{each.name}])" for each in plan.apps]
    lines += [f"  {each.name}[/{each.name}/]" for each in plan.external]
    lines += [f"  {each.name} --> {callee}" for each in plan.services for callee in (*each.calls, *plan.outside(each))]
    callers = {each.caller for each in clients}
    lines += [f"  {each.name}[[{each.name}]]" for each in plan.programs if each.name in callers]
    lines += [f"  {each.caller} ==> {each.callee}" for each in clients]
    for source, event, target in plan.event_flows():
        lines.append(f"  {source} -. {event.rpartition('.')[2]} .-> {target}")
    return "\n".join(lines)


def _print_tree(plan: Plan, clients: Sequence[ClientCall]) -> None:
    from rich.tree import Tree  # noqa: PLC0415 - JSON and Mermaid do without it

    root = Tree(f"[bold]{plan.system}[/]")
    services = {each.name: each for each in plan.services}
    apps = {each.name: each for each in plan.apps}
    for process in plan.processes:
        replicas = f" ({process.replicas} replicas)" if process.replicas > 1 else ""
        bounds = f" (at most {process.bounds})" if process.bounds else ""
        branch = root.add(f"process [bold]{process.name}[/]{replicas}{bounds}")
        for name in process.services:
            shown = branch.add(f"[cyan]{name}[/]")
            _add_service(shown, services[name], plan.outside(services[name]))
            _add_clients(shown, name, clients)
        for name in process.apps:
            _add_clients(branch.add(f"[green]{name}[/] {_app(apps[name])}"), name, clients)
    for program in plan.programs:
        _add_clients(root.add(_program(program)), program.name, clients)
    for each in plan.external:
        root.add(f"external [magenta]{each.name}[/]: {each.contract}  [dim]{each.address}[/]")
    print_rich(root)


def _app(app: AppPlan) -> str:
    from rich.markup import escape  # noqa: PLC0415 - as above

    of = {"folder": app.folder, "python": app.python, "requirements": app.requirements}
    own = ", ".join(f"{name} {escape(place)}" for name, place in of.items() if place is not None)
    return f"app at {app.mount}" + (f" ({own})" if own else "")


def _program(program: ProgramPlan) -> str:
    from rich.markup import escape  # noqa: PLC0415 - as above

    replicas = f" ({program.replicas} replicas)" if program.replicas > 1 else ""
    mount = "" if program.mount is None else f" at {program.mount}"
    return f"program [bold]{program.name}[/]{replicas}{mount}: {escape(' '.join(program.command))}"


def _add_clients(branch: Tree, part: str, clients: Sequence[ClientCall]) -> None:
    for each in clients:
        if each.caller == part:
            branch.add(f"calls {each.callee} by a client [dim]{each.file}:{each.line}[/]")


def _add_service(branch: object, service: ServicePlan, outside: Sequence[str]) -> None:
    from rich.tree import Tree  # noqa: PLC0415

    assert isinstance(branch, Tree)
    if service.calls:
        branch.add(f"calls {', '.join(service.calls)}")
    if outside:
        branch.add(f"calls {', '.join(outside)}, external")
    if service.hears:
        branch.add(f"hears {', '.join(event.rpartition('.')[2] for event in service.hears)}")
    if service.sagas:
        branch.add(f"sagas {', '.join(service.sagas)}")
    for scheduled in service.scheduled:
        where = ", in each replica" if scheduled.each else ""
        branch.add(f"runs {scheduled.name} every {scheduled.seconds:g} s{where}")
    width = max((len(each.name) for each in service.operations), default=0)
    for operation in service.operations:
        route = f"{operation.name:<{width}}  [dim]{operation.http}[/]" if operation.http else operation.name
        branch.add(f"[dim]{operation.semantics:<10}[/] {route}")
