"""A system as the rules see it: its modules, who they belong to, and which of them all may import."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meristem.checking.check_options import CheckOptions
from meristem.checking.codebase import Codebase, Site, Symbol
from meristem.checking.finding import Finding
from meristem.checking.import_graph import import_graph, reachable
from meristem.checking.modules import read_modules
from meristem.checking.parts import Parts, parts_of
from meristem.checking.reading import summary_of
from meristem.checking.summary import Summary, ValueKind

if TYPE_CHECKING:
    from grimp import ImportGraph

    from meristem.checking.parts import SystemPart
    from meristem.system.plan import Plan

VOCABULARY: Final = frozenset({"Contract", "Message", "Event", "Fault"})


class Checked:
    """A system as the rules see it; the modules `beside` it are read as well."""

    def __init__(
        self, plan: Plan, system: str, root: Path, options: CheckOptions, *, beside: Iterable[str] = ()
    ) -> None:
        self.plan = plan
        self.root = root
        self.options = options
        targets = [*(each.target for each in plan.services), *(each.target for each in plan.apps)]
        contracts = [path for each in plan.services for path in each.contracts.values()]
        named = [each.partition(":")[0] for each in (*targets, *contracts)]
        self.modules = read_modules([system, *named, *beside], root)
        summaries = {name: summary_of(module) for name, module in self.modules.items()}
        self.defining = _defining(summaries, system)
        self.codebase = Codebase(summaries, parts_of(plan, self.defining, options.shared))

    @cached_property
    def graph(self) -> ImportGraph:
        """Which module imports which."""
        return import_graph(self.codebase, self.modules)

    def file(self, module: str) -> str:
        """The file of a module, relative to the project's folder where it is in there."""
        path = self.modules[module].path.resolve()
        root = self.root.resolve()
        return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()

    def finding(
        self, rule: str, module: str, line: int, parts: tuple[str, ...], subject: str, problem: str, remedy: str
    ) -> Finding:
        """A finding in a module."""
        return Finding(self.file(module), line, rule, parts, subject, problem, remedy)

    def commons_of(self, part: SystemPart) -> set[str]:
        """The modules of nobody that a part's own import; its own too, where that is nobody's."""
        if part.name not in self._commons:
            # Through modules of nobody only: what lies behind another part's module is that part's affair.
            nobodys = {name for name in self.modules if self.codebase.parts.owner(name) is None} - self.defining
            own = [name for name in self.modules if self.codebase.parts.owner(name) is part] or [part.module]
            self._commons[part.name] = reachable(self.graph, own, nobodys) | ({part.module} & nobodys)
        return self._commons[part.name]

    @cached_property
    def _commons(self) -> dict[str, set[str]]:
        return {}

    @cached_property
    def loaded(self) -> set[str]:
        """The modules that are of this system as it runs; another may stand in the same package."""
        owned = {
            name for name, each in self.codebase.summaries.items() if self.codebase.parts.owner(name) and not each.test
        }
        return owned.union(*(self.commons_of(part) for part in self.codebase.parts.all))

    @cached_property
    def reached_by(self) -> dict[Symbol, dict[str, Site]]:
        """Which parts reach a name, and where each begins to."""
        found: dict[Symbol, dict[str, Site]] = defaultdict(dict)
        for part in self.codebase.parts.all:
            for symbol, entry in self.codebase.reached(part).items():
                found[symbol][part.name] = entry
        return dict(found)

    @cached_property
    def contracts(self) -> dict[Symbol, str]:
        """The service that answers for each contract."""
        paths = ((path.replace(":", "."), each.name) for each in self.plan.services for path in each.contracts.values())
        return {place.symbol: name for path, name in paths if (place := self.codebase.locate(path)) is not None}

    @cached_property
    def calls(self) -> dict[tuple[str, str], Site]:
        """Who calls whom, and where: as constructors ask for it, and by clients that code makes itself."""
        found: dict[tuple[str, str], Site] = {}
        for part in self.codebase.parts.all:
            for symbol in self.codebase.reached(part):
                for use in self.codebase.uses_by.get(symbol, ()) if self.codebase.owner(symbol) in (None, part) else ():
                    place = self.codebase.locate(use.target)
                    callee = (
                        self.contracts.get(place.symbol) if place is not None and place.rest == ("client",) else None
                    )
                    if callee is not None and callee != part.name:
                        found.setdefault((part.name, callee), Site(symbol.module, use.line))
        for service in self.plan.services:
            module, _, attribute = service.target.partition(":")
            for callee in (*service.calls, *self.plan.outside(service)):
                found.setdefault((service.name, callee), self.codebase.site(Symbol(module, attribute)))
        return found

    def operation(self, service: str, name: str) -> Site | None:
        """Where a contract declares an operation."""
        for symbol in (each for each, owner in self.contracts.items() if owner == service):
            for each, facts in self.codebase.family(symbol):
                if name in facts.methods:
                    return Site(each.module, facts.methods[name])
        return None

    def users_of(self, symbol: Symbol) -> list[SystemPart]:
        """The parts whose code a definition is: its owner, or those who reach it."""
        owner = self.codebase.owner(symbol)
        if owner is not None:
            return [owner]
        return [part for part in self.codebase.parts.all if part.name in self.reached_by.get(symbol, {})]

    @cached_property
    def public(self) -> set[str]:
        """The modules in a part's package that all may import: contracts, events, messages, and what those need."""
        contracts = [path.partition(":")[0] for each in self.plan.services for path in each.contracts.values()]
        found = {name for name in contracts if name in self.modules}
        found |= {name for name, summary in self.codebase.summaries.items() if self._is_vocabulary(summary)}
        near = {name for name, summary in self.codebase.summaries.items() if not self._keeps_own(summary)}
        return found | reachable(self.graph, found, near)

    def _is_vocabulary(self, summary: Summary) -> bool:
        places = (self.codebase.locate(f"{summary.name}.{name}") for name in summary.bindings)
        said = any(place is not None and self.codebase.derives(place.symbol, VOCABULARY) for place in places)
        imported = self.graph.find_modules_directly_imported_by(summary.name)
        near = (self.codebase.summaries[each] for each in imported if each in self.codebase.summaries)
        return said and not self._keeps_own(summary) and not any(map(self._keeps_own, near))

    def _keeps_own(self, summary: Summary) -> bool:
        """Whether a module holds a service, an app, or what is kept."""
        if summary.test or any(part.module == summary.name for part in self.codebase.parts.all):
            return True
        private = {
            ValueKind.TABLE,
            ValueKind.METADATA,
            ValueKind.ENGINE,
            ValueKind.SESSION,
            ValueKind.CACHE,
            ValueKind.MUTABLE,
            ValueKind.CONTEXT,
        }
        return any(each.kind in private or bool(each.cls and each.text) for each in summary.bindings.values())

    def excepted(self, module: str) -> bool:
        """Whether a module may import what it likes: it defines the system, or one to try out some of its parts."""
        summary = self.codebase.summaries[module]
        if module in self.defining or any(part.module == module for part in self.codebase.parts.all):
            return module in self.defining
        started = summary.test and any(
            self.codebase.module_of(each.target) in self.defining for each in summary.imports
        )
        return summary.makes_system or started


def _defining(summaries: Mapping[str, Summary], system: str) -> set[str]:
    """The modules that define a system: where its path leads, and those that hand it on."""
    # Whom a module belongs to depends on these, so the path is followed before there are parts.
    nowhere = Codebase(summaries, Parts(()))
    place = nowhere.locate(system)
    return {nowhere.module_of(system)} | ({place.symbol.module} if place is not None else set())
