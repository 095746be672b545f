"""`meristem graph`: what a system consists of and who calls whom."""

from __future__ import annotations

from pathlib import Path

import click

from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_argument
from meristem.cli.output import print_json, print_rich
from meristem.system.plan import Plan, ServicePlan


@click.command()
@system_argument
@placement_option
@json_option
@click.option("--mermaid", is_flag=True, help="Print a Mermaid diagram.")
def graph(target: str | None, placement: Path | None, *, as_json: bool, mermaid: bool) -> None:
    """Show what a system consists of and who calls whom."""
    blueprint, _ = load_blueprint(target, placement)
    if as_json:
        print_json(blueprint.plan)
    elif mermaid:
        click.echo(as_mermaid(blueprint.plan))
    else:
        _print_tree(blueprint.plan)


def as_mermaid(plan: Plan) -> str:
    """The call graph and the flow of events as a Mermaid flowchart."""
    lines = ["flowchart LR"]
    lines += [f"  {each.name}[{each.name}]" for each in plan.services]
    lines += [f"  {each.name}([{each.name}])" for each in plan.apps]
    lines += [f"  {each.name} --> {callee}" for each in plan.services for callee in each.calls]
    publishers = {event: event.rpartition(".")[0] for each in plan.services for event in each.hears}
    # Who publishes is not in the plan: the service whose contract shares the event's package is taken for it.
    owners = {package.rpartition(".")[0]: each.name for each in plan.services for package in each.contracts}
    for each in plan.services:
        for event in each.hears:
            source = owners.get(publishers[event])
            if source is not None:
                lines.append(f"  {source} -. {event.rpartition('.')[2]} .-> {each.name}")
    return "\n".join(lines)


def _print_tree(plan: Plan) -> None:
    from rich.tree import Tree  # noqa: PLC0415 - JSON and Mermaid do without it

    root = Tree(f"[bold]{plan.system}[/]")
    services = {each.name: each for each in plan.services}
    mounts = {each.name: each.mount for each in plan.apps}
    for process in plan.processes:
        replicas = f" ({process.replicas} replicas)" if process.replicas > 1 else ""
        bounds = f" (at most {process.bounds})" if process.bounds else ""
        branch = root.add(f"process [bold]{process.name}[/]{replicas}{bounds}")
        for name in process.services:
            _add_service(branch.add(f"[cyan]{name}[/]"), services[name])
        for name in process.apps:
            branch.add(f"[green]{name}[/] app at {mounts[name]}")
    for program in plan.programs:
        root.add(f"program [bold]{program.name}[/]: {' '.join(program.command)}")
    print_rich(root)


def _add_service(branch: object, service: ServicePlan) -> None:
    from rich.tree import Tree  # noqa: PLC0415

    assert isinstance(branch, Tree)
    if service.calls:
        branch.add(f"calls {', '.join(service.calls)}")
    if service.hears:
        branch.add(f"hears {', '.join(event.rpartition('.')[2] for event in service.hears)}")
    if service.sagas:
        branch.add(f"sagas {', '.join(service.sagas)}")
    for operation in service.operations:
        branch.add(f"[dim]{operation.semantics:<10}[/] {operation.name}  [dim]{operation.http or ''}[/]")
