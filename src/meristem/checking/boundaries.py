"""The rules about what is another part's: its modules, its class, its tables, its names in texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from meristem.checking.codebase import Symbol
from meristem.checking.import_graph import lines_of
from meristem.checking.summary import BY_NATURE, ValueKind

if TYPE_CHECKING:
    from meristem.checking.checked import Checked
    from meristem.checking.finding import Finding
    from meristem.checking.parts import SystemPart
    from meristem.checking.summary import Binding

PRIVATE: Final = BY_NATURE | {
    ValueKind.TABLE,
    ValueKind.METADATA,
    ValueKind.MUTABLE,
    ValueKind.INSTANCE,
    ValueKind.FUNCTION,
}
"""What nobody else may take from a module that holds a contract and more."""
CALL: Final = "ask for its contract in the constructor, or call it by `X.client()`"
TABLE: Final = "ask its owner by a contract, or hear its events and keep a table of your own"
MOVE: Final = "call its contract, or move what both need to a module that belongs to neither"


def imports(checked: Checked) -> Iterator[Finding]:
    """A part's module imports one of another part, itself or by a module that belongs to nobody."""
    for importer in sorted(checked.graph.modules):
        if importer not in checked.modules or checked.excepted(importer):
            continue
        for imported in sorted(checked.graph.find_modules_directly_imported_by(importer)):
            owner = checked.codebase.parts.owner(imported)
            if owner is None:
                continue
            users = _users(checked, importer, owner)
            # Each line that imports it: one remedy may be right for one and wrong for another.
            if users:
                for line in lines_of(checked.graph, importer, imported):
                    yield from _import(checked, users, owner, importer, imported, line)


def _users(checked: Checked, importer: str, owner: SystemPart) -> list[SystemPart]:
    """The other parts that a module's imports reach: its own, or those who import it where it is nobody's."""
    parts = checked.codebase.parts
    own = parts.owner(importer)
    if own is not None:
        return [own] if own is not owner else []
    return [part for part in parts.all if part is not owner and importer in checked.commons_of(part)]


def _import(
    checked: Checked, users: list[SystemPart], owner: SystemPart, importer: str, imported: str, line: int
) -> Iterator[Finding]:
    codebase = checked.codebase
    taken = [
        place.symbol
        for each in codebase.summaries[importer].imports
        if each.line == line and (place := codebase.locate(each.target)) is not None and place.symbol.name
    ]
    taken = [each for each in taken if each.module == imported or codebase.owner(each) is owner]
    # A module of contracts may hold a service or a table, too: these alone may not be taken from it.
    if imported in checked.public:
        taken = [each for each in taken if _is_own(checked, each)]
        if not taken:
            return
    rule, problem, remedy = _said(checked, taken, owner, imported)
    if codebase.parts.owner(importer) is None:
        problem += f", and {importer} is imported by {' and '.join(each.name for each in users)}"
    names = tuple(each.name for each in (*users[:1], owner))
    subject = " ".join(sorted(map(str, taken))) or imported
    yield checked.finding(rule, importer, line, names, subject, problem, remedy)


def _is_own(checked: Checked, symbol: Symbol) -> bool:
    binding = checked.codebase.binding(symbol)
    own_class = any(
        (each.module, each.attribute) == (symbol.module, symbol.name) for each in checked.codebase.parts.all
    )
    return own_class or (binding is not None and (binding.kind in PRIVATE or bool(binding.text and binding.cls)))


def _said(checked: Checked, taken: list[Symbol], owner: SystemPart, imported: str) -> tuple[str, str, str]:
    """The rule that an import breaks, what is wrong and what to do, by what is taken."""
    # The gravest first: a class or a table can't be had otherwise than by a contract, a function can be moved.
    for symbol in taken:
        if owner.service and (symbol.module, symbol.name) == (owner.module, owner.attribute):
            return "class", f"{symbol.name} is the class of the service {owner.name}", CALL
        binding = checked.codebase.binding(symbol)
        if binding is not None and _is_table(binding):
            return "table", f"{symbol.name} is a table of {owner.name}", TABLE
        if binding is not None and binding.kind in BY_NATURE | {ValueKind.MUTABLE}:
            said = f"{symbol.name}, a {binding.kind}, is state of {owner.name}, which another process does not see"
            return "state", said, CALL
    names = ", ".join(sorted({each.name for each in taken}))
    what = f"{imported} ({names})" if names else imported
    return "import", f"{what} belongs to {owner.name}", MOVE


def _is_table(binding: Binding) -> bool:
    return binding.kind in (ValueKind.TABLE, ValueKind.METADATA) or bool(binding.cls and binding.text)


def reaches(checked: Checked) -> Iterator[Finding]:
    """A part uses another's class or table that stands in a module with it, or in one of nobody's."""
    codebase = checked.codebase
    for part in codebase.parts.all:
        for symbol, entry in codebase.reached(part).items():
            owner = codebase.owner(symbol)
            if owner is None or owner is part or codebase.parts.owner(symbol.module) is owner:
                continue  # what is in a module of the owner's is found as an import
            binding = codebase.binding(symbol)
            table = binding is not None and binding.kind in (ValueKind.TABLE, ValueKind.METADATA)
            rule, what, remedy = ("table", "a table", TABLE) if table else ("class", "the class", CALL)
            problem = f"{symbol.name} is {what} of {owner.name}"
            yield checked.finding(rule, entry.module, entry.line, (part.name, owner.name), str(symbol), problem, remedy)
    for symbol, owners in codebase.metadata.items():
        if len(owners) > 1:
            names = tuple(each.name for each in owners)
            problem = f"{symbol.name} is `tables=` of both"
            line = codebase.site(symbol).line
            remedy = "give each a MetaData of its own"
            yield checked.finding("table", symbol.module, line, names, str(symbol), problem, remedy)


def statements(checked: Checked) -> Iterator[Finding]:
    """A text names a table that another service has and this one has not."""
    codebase = checked.codebase
    for module, summary in codebase.summaries.items():
        for each in summary.tables if not summary.test else ():
            owners = codebase.tables.get(each.table.lower(), set())
            # A table of one's own may have the same name as another's, in a database of one's own.
            for part in checked.users_of(Symbol(module, each.by)):
                if owners and part.name not in owners:
                    owner = min(owners)
                    problem = f"the text names {each.table}, a table of {owner}"
                    yield checked.finding("sql", module, each.line, (part.name, owner), each.table, problem, TABLE)
