"""Which module imports which, and where: packages by grimp, and by their source the files that grimp does not see."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import TYPE_CHECKING

from meristem.errors import ConfigurationError

if TYPE_CHECKING:
    from grimp import ImportGraph

    from meristem.checking.codebase import Codebase
    from meristem.checking.modules import Module


def import_graph(codebase: Codebase, modules: Mapping[str, Module]) -> ImportGraph:
    """The imports of a system's modules, without those for types alone; raises ConfigurationError without grimp."""
    try:
        import grimp  # noqa: PLC0415 - an extra
    except ImportError:
        raise ConfigurationError("check reads imports by grimp: pip install 'meristem[check]'") from None
    packages = sorted(
        name for name, module in modules.items() if "." not in name and module.package and not module.test
    )
    graph = (
        grimp.build_graph(*packages, exclude_type_checking_imports=True, cache_dir=None)
        if packages
        else grimp.ImportGraph()
    )
    seen = set(graph.modules)
    for name in modules:
        graph.add_module(name)
    for name, summary in codebase.summaries.items():
        for each in summary.imports:
            target = codebase.module_of(each.target)
            if target and target != name and (each.dynamic or name not in seen or target not in seen):
                graph.add_import(
                    importer=name, imported=target, line_number=each.line, line_contents=f"import {each.target}"
                )
    return graph


def lines_of(graph: ImportGraph, importer: str, imported: str) -> list[int]:
    """The lines in which one module imports another."""
    return sorted({each["line_number"] for each in graph.get_import_details(importer=importer, imported=imported)})


def reachable(graph: ImportGraph, first: Iterable[str], through: Container[str]) -> set[str]:
    """The modules of `through` that are imported by the `first` ones, by others of `through` too."""
    found: set[str] = set()
    waiting = [each for each in first if each in graph.modules]
    while waiting:
        fresh = {each for each in graph.find_modules_directly_imported_by(waiting.pop()) if each in through} - found
        found |= fresh
        waiting += fresh
    return found
