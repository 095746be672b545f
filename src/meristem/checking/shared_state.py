"""The rules about what changes while the system runs and is reached by two parts: divided, each has its own."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from meristem.checking.codebase import Resolved, Site, Symbol
from meristem.checking.summary import BY_NATURE, Access, Binding, FileUse, Use, ValueKind

if TYPE_CHECKING:
    from meristem.checking.checked import Checked
    from meristem.checking.codebase import Codebase
    from meristem.checking.finding import Finding
    from meristem.checking.parts import SystemPart

KEEP: Final = "let one service keep it, in its database if it must last, and the others ask by its contract"
OWN: Final = {
    ValueKind.ENGINE: "let each service ask for `Database` in its constructor",
    ValueKind.SESSION: "make one in each service's constructor, or by `provides=`",
    ValueKind.CACHE: "make one in each service, and let none rely on what another put into it",
    ValueKind.CONTEXT: "pass the value in the request: a context variable ends at the process",
    ValueKind.LOCK: "it holds within one process: guard the thing by its owner's database, and ask by its contract",
}
OF_PROCESS: Final = frozenset(
    {"os.chdir", "os.umask", "os.putenv", "os.unsetenv", "time.tzset", "locale.setlocale", "random.seed"}
)
UNCACHED: Final = "let one service answer by its contract, or move the function into each; each process fills its own"


def state(checked: Checked) -> Iterator[Finding]:
    """Something that changes is reached by two parts."""
    codebase = checked.codebase
    for symbol, users in sorted(checked.reached_by.items()):
        binding = codebase.binding(symbol)
        if binding is None and symbol in codebase.writes:
            binding = Binding(symbol.name, 1, ValueKind.CONSTANT)  # a module is given a name by another
        if binding is None or not symbol.name or len(users) < 2 or codebase.summaries[symbol.module].test:
            continue
        # State of another part is found by the rules about boundaries, where it is taken.
        if codebase.owner(symbol) is not None:
            continue
        found = changes(checked, symbol, binding)
        if found is None:
            continue
        what, remedy = found
        first, second, *_ = users
        problem = (
            f"{symbol.name} {what}, and is reached in {_at(checked, users[first])} and {_at(checked, users[second])}"
        )
        names = (first, second)
        yield checked.finding("state", symbol.module, binding.line, names, str(symbol), problem, remedy)


def _at(checked: Checked, entry: Site) -> str:
    return f"{checked.file(entry.module)}:{entry.line}"


def changes(checked: Checked, symbol: Symbol, binding: Binding) -> tuple[str, str] | None:
    """Why something of a module is state, and what to do; None for what does not change as the system runs."""
    if binding.kind in BY_NATURE:
        article = "an" if binding.kind[0] in "aeiou" else "a"
        return f"is {article} {binding.kind}", OWN.get(binding.kind, KEEP)
    if binding.cached_by:
        return "keeps the results of its calls", UNCACHED
    if binding.default:
        return f"changes or hands out the default of {binding.default!r}, one collection for all calls", (
            f"write `{binding.default}=None` and make it in the function"
        )
    codebase = checked.codebase
    made_of = _class_of(codebase, binding)
    if made_of is not None and made_of[1]:
        return f"is one {made_of[0]}, which {made_of[1]}() changes", KEEP
    for module, use, place in codebase.writes.get(symbol, ()):
        own = use.by == "" or (use.by == symbol.name and binding.kind not in (ValueKind.CLASS, ValueKind.FUNCTION))
        if own and module == symbol.module:
            continue  # built as it is imported: alike in every process
        if _changes(codebase, binding, use, place, of_system=made_of is not None):
            return f"is changed in {checked.file(module)}:{use.line}", KEEP
    return None


def _class_of(codebase: Codebase, binding: Binding) -> tuple[str, str] | None:
    """The system's own class of an object, and its method that changes it."""
    if binding.kind is not ValueKind.INSTANCE:
        return None
    place = codebase.locate(binding.origin)
    family = list(codebase.family(place.symbol)) if place is not None and not place.rest else []
    if not family:
        return None
    return family[0][0].name, next((facts.changing for _, facts in family if facts.changing), "")


def _changes(codebase: Codebase, binding: Binding, use: Use, place: Resolved, *, of_system: bool) -> bool:
    """Whether a write changes what a name stands for."""
    if use.access is Access.REBIND:
        return True
    if binding.cls is not None:
        # What each instance sets for itself is its own, though the class gives a default for it.
        if place.instance:
            return bool(place.rest) and place.rest[0] in binding.cls.mutable and not _set_on_instance(codebase, place)
        return bool(place.rest) or use.access is Access.ATTRIBUTE
    # An attribute of a function is a global with another name.
    if binding.kind is ValueKind.FUNCTION:
        return True
    if binding.kind is ValueKind.INSTANCE and not of_system:
        # An object of a framework: `app.x = …` is its way of being configured.
        return use.access is Access.ITEM and not place.rest
    return binding.kind in (ValueKind.MUTABLE, ValueKind.INSTANCE) or (
        use.access is Access.ATTRIBUTE and not place.rest
    )


def _set_on_instance(codebase: Codebase, place: Resolved) -> bool:
    return any(place.rest[0] in facts.own for _, facts in codebase.family(place.symbol))


def files(checked: Checked) -> Iterator[Finding]:
    """One part writes a file that another opens."""
    found: dict[str, list[tuple[str, FileUse, SystemPart]]] = defaultdict(list)
    for module, summary in checked.codebase.summaries.items():
        for each in summary.files if not summary.test else ():
            # By what is written alone: a path that is put together as the system runs has no name here.
            path = _path(checked.codebase, each)
            for part in checked.users_of(Symbol(module, each.by)) if path else ():
                found[path].append((module, each, part))
    for path, uses in sorted(found.items()):
        writes = next(((module, use, part) for module, use, part in uses if use.writes), None)
        if writes is None:
            continue
        module, use, part = writes
        for other_module, other, other_part in uses:
            if other_part is not part:
                where = f"{checked.file(other_module)}:{other.line}"
                problem = f"{path} is written here and opened by {other_part.name} in {where}"
                names = (part.name, other_part.name)
                yield checked.finding("file", module, use.line, names, path, problem, KEEP_FILE)
                # One other user is enough to tell: with it mended, the next run tells of the next.
                break


KEEP_FILE: Final = "let one service keep the file, and the other ask by its contract: they may live on two hosts"


def _path(codebase: Codebase, use: FileUse) -> str:
    """By what a file is known: its path, or the constant that holds it."""
    if not use.name:
        return use.path
    place = codebase.locate(use.name)
    binding = codebase.binding(place.symbol) if place is not None else None
    if place is None or binding is None or place.instance:
        return ""
    return os.path.normpath("/".join(filter(None, [binding.text or str(place.symbol), use.below])))


def patches(checked: Checked) -> Iterator[Finding]:
    """A part sets an attribute of a module or class from outside of the system, or changes its process as it runs."""
    for module, summary in checked.codebase.summaries.items():
        for use in summary.uses if not summary.test else ():
            if (what := _patched(checked.codebase, module, use)) is None:
                continue
            for part in checked.users_of(Symbol(module, use.by)):
                problem = f"{what}, for all that lives in the same process and for nobody else"
                remedy = "pass what differs to whatever uses it, or wrap it in a function of your own"
                subject = what.partition(" ")[0]
                yield checked.finding("patch", module, use.line, (part.name,), subject, problem, remedy)


def _patched(codebase: Codebase, module: str, use: Use) -> str | None:
    """What a use changes that is nobody's own, None for any other."""
    # In a function alone: what a module says as it is imported (`DJANGO_SETTINGS_MODULE`) begins the process.
    if use.by and use.target in OF_PROCESS:
        return f"{use.target} changes the process"
    if use.by and use.target == "os.environ" and use.access in (Access.ITEM, Access.METHOD):
        return "os.environ is changed"
    if use.access is not Access.ATTRIBUTE or codebase.module_of(use.target):
        return None
    if not (_is_module(codebase, module, use.target) or use.target.rpartition(".")[2][:1].isupper()):
        return None  # `g.x = …`, `app.x = …`: an object of a framework
    return f"{use.target}.{use.attribute} is replaced"


def _is_module(codebase: Codebase, module: str, target: str) -> bool:
    """Whether a path from outside is surely a module: it was imported by `import`."""
    return any(
        each.whole and (each.target == target or each.target.startswith(f"{target}."))
        for each in codebase.summaries[module].imports
    )
