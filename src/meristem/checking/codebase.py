"""All modules of a system together: where a dotted path leads, what each part reaches, and what is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Final

import msgspec

from meristem.checking.parts import Parts, SystemPart
from meristem.checking.summary import Access, Binding, ClassFacts, Summary, Use, ValueKind

DEEPEST: Final = 30  # aliases of aliases that are followed


class Symbol(msgspec.Struct, frozen=True, order=True):
    """A name of a module; an empty one is the module's body."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}" if self.name else self.module


class Resolved(msgspec.Struct, frozen=True):
    """Where a path leads: a name of a module, and the attributes that follow; `instance` of the class that it names."""

    symbol: Symbol
    rest: tuple[str, ...] = ()
    instance: bool = False


class Site(msgspec.Struct, frozen=True):
    """A line of a module: where a part begins to reach something, or where something is defined."""

    module: str
    line: int


class Codebase:
    """The modules of a system and who they belong to."""

    def __init__(self, summaries: Mapping[str, Summary], parts: Parts) -> None:
        self.summaries = dict(summaries)
        self.parts = parts
        for summary in summaries.values():
            for binding in summary.bindings.values():
                self._correct(binding)
        self._reached: dict[str, dict[Symbol, Site]] = {}

    def _correct(self, binding: Binding) -> None:
        """Take back what a last name alone told: `Session` or `cache` may be the system's own."""
        if binding.kind not in (ValueKind.ALIAS, ValueKind.CLASS) and self.module_of(binding.origin):
            binding.kind = ValueKind.INSTANCE
        # A decorator of that name which the system wrote itself need not keep anything.
        if self.module_of(binding.cached_by):
            binding.cached_by = ""

    def module_of(self, path: str) -> str:
        """The longest beginning of a path that is a module of the system; empty where none is."""
        while path and path not in self.summaries:
            path = path.rpartition(".")[0]
        return path

    def binding(self, symbol: Symbol) -> Binding | None:
        """What a name of a module is bound to."""
        summary = self.summaries.get(symbol.module)
        return summary.bindings.get(symbol.name) if summary is not None else None

    def locate(self, path: str, depth: int = 0) -> Resolved | None:
        """Where a path leads, through aliases and names that are handed on; None for what is not of this system."""
        module = self.module_of(path)
        if not module or depth > DEEPEST:
            return None
        # What follows the module is one of its names, then attributes of what that is.
        name, *rest = path[len(module) + 1 :].split(".")
        instance = name.endswith("()")
        symbol = Symbol(module, name.removesuffix("()"))
        binding = self.binding(symbol)
        if binding is None:
            starred = self._starred(symbol, rest, depth)
            if starred is not None:
                return starred
        # `from shop import shop` in the package `shop` is an alias of itself, and leads nowhere else.
        if binding is not None and binding.kind is ValueKind.ALIAS and binding.origin != path:
            return self.locate(".".join([binding.origin, *rest]), depth + 1)
        place = Resolved(symbol, tuple(rest), instance)
        return self._declared(place) if rest and binding is not None and binding.kind is ValueKind.CLASS else place

    def target(self, use: Use) -> Resolved | None:
        """Where a use leads; an attribute of a module is a name of it."""
        of_module = use.access is Access.ATTRIBUTE and use.target in self.summaries
        return self.locate(f"{use.target}.{use.attribute}" if of_module else use.target)

    def _starred(self, symbol: Symbol, rest: list[str], depth: int) -> Resolved | None:
        """Where a name leads that `import *` brought."""
        for module in self.summaries[symbol.module].stars:
            found = self.locate(".".join([module, symbol.name, *rest]), depth + 1) if symbol.name else None
            if found is not None and self.binding(found.symbol) is not None:
                return found
        return None

    def _changes_argument(self, use: Use) -> bool:
        """Whether a function of the system changes the content of what it is passed."""
        callee, _, argument = use.attribute.partition("#")
        place = self.locate(callee)
        binding = self.binding(place.symbol) if place is not None and not place.rest else None
        return binding is not None and argument in binding.changes

    def _declared(self, place: Resolved) -> Resolved:
        """The class, among a class and its bases, in which an attribute is declared."""
        # Two classes derived from one share what it declares: the base is what both reach.
        homes = (symbol for symbol, facts in self.family(place.symbol) if place.rest[0] in facts.mutable)
        return Resolved(next(homes, place.symbol), place.rest, place.instance)

    def family(self, symbol: Symbol) -> Iterator[tuple[Symbol, ClassFacts]]:
        """A class and the classes of the system from which it is derived; nothing for what is no class."""
        waiting, seen = [symbol], set()
        while waiting:
            each = waiting.pop(0)
            binding = self.binding(each)
            if binding is None or binding.cls is None or each in seen:
                continue
            seen.add(each)
            yield each, binding.cls
            waiting += [place.symbol for base in binding.cls.bases if (place := self.locate(base)) is not None]

    def derives(self, symbol: Symbol, names: frozenset[str]) -> bool:
        """Whether a class is derived from one of the framework's that is named."""
        bases = [base for _, facts in self.family(symbol) for base in facts.bases]
        return any(base.startswith("meristem.") and base.rpartition(".")[2] in names for base in bases)

    def package_of(self, symbol: Symbol) -> str:
        """The `package=` of a class, or of the first of its bases that gives one."""
        return next((facts.package for _, facts in self.family(symbol) if facts.package), "")

    # who owns what

    @cached_property
    def metadata(self) -> dict[Symbol, list[SystemPart]]:
        """The services to which a MetaData belongs, by `tables=` of their classes."""
        found: dict[Symbol, list[SystemPart]] = defaultdict(list)
        for part in self.parts.all:
            binding = self.binding(Symbol(part.module, part.attribute))
            tables = binding.cls.tables if binding is not None and binding.cls is not None else ""
            place = self.locate(tables)
            if place is not None:
                found[place.symbol].append(part)
        return dict(found)

    def owner(self, symbol: Symbol) -> SystemPart | None:
        """The part that a name belongs to: by its module, as its class, or as its table."""
        # Before its module: a service may stand in a module with others.
        for part in self.parts.all:
            if part.service and (part.module, part.attribute) == (symbol.module, symbol.name):
                return part
        binding = self.binding(symbol)
        if binding is not None and binding.kind in (ValueKind.TABLE, ValueKind.METADATA):
            place = self.locate(binding.metadata) if binding.metadata else Resolved(symbol)
            owners = self.metadata.get(place.symbol, []) if place is not None else []
            # Of two that claim it neither has it: that is a finding of its own.
            if len(owners) == 1:
                return owners[0]
        return self.parts.owner(symbol.module)

    @cached_property
    def tables(self) -> dict[str, set[str]]:
        """The names of the parts that have a table, by the table's name in the database."""
        found: dict[str, set[str]] = defaultdict(set)
        for module, summary in self.summaries.items():
            for binding in summary.bindings.values() if not summary.test else ():
                owner = self.owner(Symbol(module, binding.name))
                if binding.text and binding.kind in (ValueKind.TABLE, ValueKind.CLASS) and owner is not None:
                    found[binding.text.lower()].add(owner.name)
            # `CREATE TABLE` in a text or a migration makes a table as surely as a `Table` does.
            for each in summary.tables if not summary.test else ():
                owner = self.owner(Symbol(module, each.by))
                if each.created and owner is not None:
                    found[each.table.lower()].add(owner.name)
        return dict(found)

    # who reaches what

    def roots(self, part: SystemPart) -> Iterator[Symbol]:
        """What is a part's own: all in its modules, or its class alone where others stand beside it."""
        if not part.package:
            yield Symbol(part.module, part.attribute)
            yield from self._hung_on(part)
        for module, summary in self.summaries.items():
            if not summary.test and self.parts.owner(module) is part:
                yield from (Symbol(module, name) for name in ("", *summary.bindings))

    def _hung_on(self, part: SystemPart) -> Iterator[Symbol]:
        """The functions and classes that name an application beside them, as those do that it decorates."""
        path = f"{part.module}.{part.attribute}."
        summary = self.summaries.get(part.module)
        for use in summary.uses if summary is not None and not part.service else ():
            binding = self.binding(Symbol(part.module, use.by))
            made = binding is not None and binding.kind in (ValueKind.FUNCTION, ValueKind.CLASS)
            if made and f"{use.target}.".startswith(path):
                yield Symbol(part.module, use.by)

    def reached(self, part: SystemPart) -> Mapping[Symbol, Site]:
        """All that a part's code reaches by names, and where it begins to; what is another part's is not entered."""
        if part.name not in self._reached:
            self._reached[part.name] = self._walk(part)
        return self._reached[part.name]

    def _walk(self, part: SystemPart) -> dict[Symbol, Site]:
        found: dict[Symbol, Site] = {}
        # Breadth first, so that the entry which is told is one with few steps behind it.
        waiting: list[tuple[Symbol, Site | None]] = [(symbol, None) for symbol in self.roots(part)]
        entered = {symbol for symbol, _ in waiting}
        while waiting:
            symbol, entry = waiting.pop(0)
            for use in self.uses_by.get(symbol, ()):
                target = self.target(use)
                if target is None or target.symbol in entered:
                    continue
                entered.add(target.symbol)
                found[target.symbol] = entry or Site(symbol.module, use.line)
                # What is another's is a finding where it is touched; what it does in turn is its owner's affair.
                if self.owner(target.symbol) in (None, part):
                    waiting.append((target.symbol, found[target.symbol]))
            if entry is None:  # a root: nothing led to it
                found[symbol] = self.site(symbol)
        return found

    def site(self, symbol: Symbol) -> Site:
        """Where a name is bound; the first line of its module for one that the source does not show."""
        binding = self.binding(symbol)
        return Site(symbol.module, binding.line if binding is not None else 1)

    @cached_property
    def uses_by(self) -> dict[Symbol, list[Use]]:
        """What each definition uses."""
        found: dict[Symbol, list[Use]] = defaultdict(list)
        for module, summary in self.summaries.items():
            for use in summary.uses:
                found[Symbol(module, use.by)].append(use)
        return dict(found)

    @cached_property
    def writes(self) -> dict[Symbol, list[tuple[str, Use, Resolved]]]:
        """What is written, by whom: the module, the use, and where it leads."""
        found: dict[Symbol, list[tuple[str, Use, Resolved]]] = defaultdict(list)
        for module, summary in self.summaries.items():
            for use in summary.uses if not summary.test else ():
                # Most of what is passed on is only read there.
                if use.access is Access.READ or (use.access is Access.PASSED and not self._changes_argument(use)):
                    continue
                place = self.target(use)
                if place is not None:
                    found[place.symbol].append((module, use, place))
        return dict(found)
