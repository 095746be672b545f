"""The services of a system as its source lists them, and that source with one more."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import msgspec


class ServiceList(msgspec.Struct, frozen=True):
    """A system's services as its source has them: in the call of `System`, or in a variable that is given there.

    `variable` is the system's. `listed` is None where they are put together in another way than by one list.
    """

    source: str
    variable: str
    listed: ast.List | None

    @property
    def holds_classes(self) -> bool:
        """Whether each of them is a name, as that of a class is."""
        elements = self.listed.elts if self.listed is not None else []
        return bool(elements) and all(isinstance(each, ast.Name | ast.Attribute) for each in elements)

    def with_service(self, target: str) -> str | None:
        """The source with one more service, `"shop.stock.service:StockService"`.

        None where this is no list of texts: what is put together in another way is changed by who wrote it.
        """
        if self.listed is None or not self.listed.elts:
            return None
        known = [each.value for each in self.listed.elts if isinstance(each, ast.Constant)]
        if len(known) != len(self.listed.elts) or not all(isinstance(each, str) for each in known):
            return None
        changed = _with_element(self.source, self.listed, f'"{target}"')
        # The text is changed and not the tree, so that comments stay; what the change means is looked at afterwards.
        after = service_list(changed, self.variable)
        if after is None or after.listed is None or ast.literal_eval(after.listed) != [*known, target]:
            return None
        return changed


def service_list(source: str, variable: str | None) -> ServiceList | None:
    """The services of the system in a variable, or of the only one in the source; None where there is none."""
    values = dict(_assignments(ast.parse(source)))
    systems = {name: value for name, value in values.items() if isinstance(value, ast.Call) and _makes_system(value)}
    if variable is None and len(systems) == 1:
        variable = next(iter(systems))
    if variable is None or variable not in systems:
        return None
    given = next((each.value for each in systems[variable].keywords if each.arg == "services"), None)
    listed = values.get(given.id) if isinstance(given, ast.Name) else given
    return ServiceList(source, variable, listed if isinstance(listed, ast.List) else None)


def _makes_system(call: ast.Call) -> bool:
    return ast.unparse(call.func).rpartition(".")[2] == "System"


def _assignments(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """The module's variables and what they are given."""
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            yield from ((each.id, statement.value) for each in statement.targets if isinstance(each, ast.Name))
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
            yield statement.target.id, statement.value


def _with_element(source: str, listed: ast.List, element: str) -> str:
    """The source with one more element at the end of a list: on a line of its own where each has one."""
    lines = source.encode().splitlines(keepends=True)  # the tree's columns count bytes
    last = listed.elts[-1]
    row, end = (last.end_lineno or 0) - 1, last.end_col_offset or 0
    before, after = lines[row][:end], lines[row][end:]
    if listed.lineno == last.lineno or listed.end_lineno == last.end_lineno:
        lines[row] = before + b", " + element.encode() + after
    else:
        comma = b"" if after.lstrip().startswith(b",") else b","
        newline = b"\r\n" if after.endswith(b"\r\n") else b"\n"
        own_line = b" " * last.col_offset + element.encode() + b"," + newline
        lines[row] = before + comma + after + own_line
    return b"".join(lines).decode()
