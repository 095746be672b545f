"""The rules about the shape of a system: who calls whom, and what nobody tests, hears or calls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from meristem.checking.codebase import Symbol
from meristem.checking.import_graph import lines_of, reachable

if TYPE_CHECKING:
    from meristem.checking.checked import Checked
    from meristem.checking.finding import Finding
    from meristem.checking.parts import SystemPart
    from meristem.checking.summary import Summary

EVENT: Final = frozenset({"Event"})


def directions(checked: Checked) -> Iterator[Finding]:
    """A call goes up the layers, or is not among those that its part may make."""
    # The first layer is the highest; a part in none of them may call and be called by any.
    layer = {part: number for number, parts in enumerate(checked.options.layers) for part in parts}
    allowed = checked.options.calls
    for (caller, callee), site in sorted(checked.calls.items()):
        if caller in layer and callee in layer and layer[callee] <= layer[caller]:
            problem = f"{caller} calls {callee}, which is not below it in `layers`"
            remedy = f"let {caller} hear an event of {callee}, or move one of them in `layers`"
            yield checked.finding(
                "layer", site.module, site.line, (caller, callee), f"{caller}->{callee}", problem, remedy
            )
        if caller in allowed and callee not in allowed[caller]:
            problem = f"{caller} calls {callee}, which `calls` does not allow"
            remedy = f"do without that call, or add {callee!r} to `calls` of {caller}"
            yield checked.finding(
                "call", site.module, site.line, (caller, callee), f"{caller}->{callee}", problem, remedy
            )


def circles(checked: Checked) -> Iterator[Finding]:
    """Parts call each other in a circle, by clients that none asked for in its constructor."""
    told: set[frozenset[str]] = set()
    for (caller, callee), site in sorted(checked.calls.items()):
        # Constructors can't be in a circle, which a plan refuses: these are calls by `X.client()`.
        back = _way(checked, callee, caller)
        # Each circle once, from whichever of its calls it was found.
        if back and frozenset(back) not in told:
            told.add(frozenset(back))
            problem = f"calls form a circle: {' → '.join((caller, *back))}"
            remedy = "let one of them hear the other's events instead"
            yield checked.finding(
                "circle", site.module, site.line, (caller, callee), " ".join(sorted(back)), problem, remedy
            )


def contract_circles(checked: Checked) -> Iterator[Finding]:
    """The contracts of several services need each other to be imported: none can be taken without the rest."""
    owners: dict[str, set[str]] = defaultdict(set)
    for symbol, service in checked.contracts.items():
        owners[symbol.module].add(service)
    # A package's own file hands on what its modules define: that they name it is no need of theirs.
    between = {name for name in checked.public if name in owners or not checked.modules[name].package}
    needs = {module: reachable(checked.graph, [module], between) for module in sorted(owners)}
    told: set[str] = set()
    for module, needed in needs.items():
        circle = sorted(each for each in needed if each in owners and module in needs[each])
        services = sorted(set().union(*(owners[each] for each in circle)))
        # Within one service's contracts a circle hurts nobody: they are taken together anyway.
        if len(circle) < 2 or len(services) < 2 or told & {*circle}:
            continue
        told |= {*circle}
        first = next(
            each
            for each in sorted(needed)
            if checked.graph.direct_import_exists(importer=module, imported=each)
            and (module in reachable(checked.graph, [each], between))
        )
        line = next(iter(lines_of(checked.graph, module, first)), 1)
        problem = f"contracts import each other in a circle: {', '.join(circle)}"
        remedy = "move what they share into a module that imports neither"
        yield checked.finding("circle", module, line, tuple(services), " ".join(circle), problem, remedy)


def _way(checked: Checked, first: str, last: str) -> tuple[str, ...]:
    """The shortest way by calls from one part to another; empty where there is none."""
    ways: dict[str, tuple[str, ...]] = {first: (first,)}
    waiting = [first]
    while waiting and last not in ways:
        here = waiting.pop(0)
        for caller, callee in sorted(checked.calls):
            if caller == here and callee not in ways:
                ways[callee] = (*ways[here], callee)
                waiting.append(callee)
    return ways.get(last, ())


def untested(checked: Checked) -> Iterator[Finding]:
    """No test stands in a service's package, and none mentions its class, module, contract or operations."""
    words: set[str] = set()
    owners: set[str] = set()
    for name, summary in _tests(checked):
        # Generous on purpose: whatever a test mentions counts, for a false alarm here would be switched off for good.
        words |= summary.attributes | summary.words | {each.target.rpartition(".")[2] for each in summary.imports}
        owner = checked.codebase.parts.owner(name)
        owners |= {owner.name} if owner is not None else set()
    # A project whose tests stand elsewhere would have all of its services found.
    for service in checked.plan.services if any(_tests(checked)) else ():
        module, _, attribute = service.target.partition(":")
        known = {service.name, module.rpartition(".")[2], attribute} | {
            path.rpartition(":")[2] for path in service.contracts.values()
        }
        known |= {each.name for each in service.operations}
        if service.name not in owners and not known & words:
            part = next(each for each in checked.codebase.parts.all if each.name == service.name)
            remedy = "write one: `async with running(system)` needs no server"
            yield _of_part(checked, "untested", part, f"no test mentions {service.name}", remedy)


def _tests(checked: Checked) -> Iterator[tuple[str, Summary]]:
    return ((name, each) for name, each in checked.codebase.summaries.items() if each.test)


def _of_part(checked: Checked, rule: str, part: SystemPart, problem: str, remedy: str) -> Finding:
    line = checked.codebase.site(Symbol(part.module, part.attribute)).line
    return checked.finding(rule, part.module, line, (part.name,), part.name, problem, remedy)


def unheard(checked: Checked) -> Iterator[Finding]:
    """An event is heard by no service."""
    heard = {event for service in checked.plan.services for event in service.hears}
    imported = [checked.codebase.locate(each.target) for _, test in _tests(checked) for each in test.imports]
    tested = {place.symbol for place in imported if place is not None}
    for name in sorted(checked.loaded) if any(_tests(checked)) else ():
        for binding in checked.codebase.summaries[name].bindings.values():
            symbol = Symbol(name, binding.name)
            package = checked.codebase.package_of(symbol)
            if not package or not checked.codebase.derives(symbol, EVENT):
                continue
            if f"{package}.{binding.name}" not in heard and symbol not in tested:
                problem = f"no service hears {binding.name}"
                yield checked.finding(
                    "unheard",
                    name,
                    binding.line,
                    (_publisher(checked, package),),
                    str(symbol),
                    problem,
                    "let a service hear it, or take it out",
                )


def _publisher(checked: Checked, package: str) -> str:
    """The service whose contract stands in an event's package; the system where none does."""
    owners = {path.rpartition(".")[0]: each.name for each in checked.plan.services for path in each.contracts}
    return owners.get(package, checked.plan.system)


def uncalled(checked: Checked) -> Iterator[Finding]:
    """An operation without a REST path is called by no code of the project but its own service's."""
    for service in checked.plan.services if any(_tests(checked)) else ():
        part = next(each for each in checked.codebase.parts.all if each.name == service.name)
        named = {
            attribute
            for name, summary in checked.codebase.summaries.items()
            if summary.test or checked.codebase.parts.owner(name) is not part
            for attribute in summary.attributes | summary.words
        }
        for operation in service.operations:
            if not operation.public and operation.name not in named:
                place = checked.operation(service.name, operation.name)
                if place is not None:
                    problem = f"nobody calls {operation.name} of {service.name}"
                    yield checked.finding(
                        "uncalled",
                        place.module,
                        place.line,
                        (service.name,),
                        f"{service.name}.{operation.name}",
                        problem,
                        "take it out, or give it a test",
                    )
