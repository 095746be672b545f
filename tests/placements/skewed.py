"""The systems of the parity suite as releases before and after this one have them: their sources, edited.

The newer one has a field more in each message, event and fault, an operation more in each contract, a value more in
each enum, and another Python name for each field that only its messages' users know; the older one has an optional
field that this one has no more.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias

SYSTEMS: Final = Path(__file__).with_name("systems")
Release: TypeAlias = Literal["older", "newer"]
RELEASES: Final[tuple[Release, Release]] = ("older", "newer")
NEEDED: Final = "from meristem import safe as added_safe\nfrom msgspec import field as renamed_field\n"


def write_release(release: Release, folder: Path) -> None:
    """Write every system as a release has it."""
    folder.mkdir()
    for path in SYSTEMS.glob("*.py"):
        if path.name not in ("__init__.py", "named.py"):
            (folder / path.name).write_text(released(path.read_text(), release))


def released(source: str, release: Release) -> str:
    """A module as a release has it."""
    module = _Module(source)
    lines = source.splitlines(keepends=True)
    edits = sorted(module.older() if release == "older" else module.newer(), reverse=True)
    for first, last, text in edits:  # from the end, so that the numbers of the lines before stay what they are
        lines[first - 1 : last] = [text]
    return "".join(lines)


class _Module:
    """A source, and what its classes are; an edit replaces lines, from the first up to the last, by a text."""

    def __init__(self, source: str) -> None:
        self.tree = ast.parse(source)
        self.classes = [node for node in self.tree.body if isinstance(node, ast.ClassDef)]
        self.messages = self._of("Message", "Event", "Fault")
        self.contracts = self._of("Contract")
        walked = list(ast.walk(self.tree))
        self.used = {node.attr for node in walked if isinstance(node, ast.Attribute)}
        self.used |= {node.arg for node in walked if isinstance(node, ast.keyword) and node.arg is not None}
        self.used |= {node.value for node in walked if isinstance(node, ast.Constant) and isinstance(node.value, str)}

    def _of(self, *roots: str) -> dict[str, ast.ClassDef]:
        found: dict[str, ast.ClassDef] = {}
        for node in self.classes:
            if any(base in roots or base in found for base in _bases(node)):
                found[node.name] = node
        return found

    def older(self) -> Iterator[tuple[int, int, str]]:
        for node in self._open_messages():
            yield _after(node, '    spare: str = "spare"\n')

    def newer(self) -> Iterator[tuple[int, int, str]]:
        imports = [node for node in self.tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        yield _after(imports[-1], NEEDED)
        for node in self._open_messages():
            yield _after(node, '    added: str = "added"\n')
            yield from self._renamed(node)
        for node in self._of("Enum", "IntEnum").values():
            yield _after(node, "    ADDED = 1000\n" if "IntEnum" in _bases(node) else '    ADDED = "added"\n')
        for node in self.classes:
            if "Service" in _bases(node):
                for contract in (self.contracts[base] for base in _bases(node) if base in self.contracts):
                    method = f"    async def added_to_{contract.name.lower()}(self) -> str:\n"
                    yield _after(contract, f"    @added_safe\n{method}        ...\n")
                    yield _after(node, f'{method}        return "added"\n')

    def _open_messages(self) -> list[ast.ClassDef]:
        return [
            node for node in self.messages.values()
            if not any(each.arg == "forbid_unknown_fields" for each in node.keywords)
        ]  # fmt: skip

    def _renamed(self, node: ast.ClassDef) -> Iterator[tuple[int, int, str]]:
        """Fields that nothing in the module names: they keep their names in JSON alone."""
        for each in node.body:
            if not isinstance(each, ast.AnnAssign) or not isinstance(each.target, ast.Name):
                continue
            name, default = each.target.id, each.value
            if name in self.used or isinstance(default, ast.List | ast.Dict | ast.Set | ast.Call):
                continue
            given = "" if default is None else f", default={ast.unparse(default)}"
            text = f'    renamed_{name}: {ast.unparse(each.annotation)} = renamed_field(name="{name}"{given})\n'
            yield each.lineno, each.end_lineno or each.lineno, text


def _bases(node: ast.ClassDef) -> list[str]:
    plain = (base.value if isinstance(base, ast.Subscript) else base for base in node.bases)
    return [base.id for base in plain if isinstance(base, ast.Name)]


def _after(node: ast.ClassDef, text: str) -> tuple[int, int, str]:
    end = node.end_lineno or node.lineno
    return end + 1, end, text
