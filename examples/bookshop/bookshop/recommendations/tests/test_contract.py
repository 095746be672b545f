"""The contract is what the file says: nobody has written it by hand since."""

from __future__ import annotations

import ast
from pathlib import Path

from bookshop.contracts import recommendations

from meristem.proto.importing import import_proto

FOLDER = Path(__file__).parents[3]


def test_an_import_of_the_file_gives_the_module_that_is_there(tmp_path: Path) -> None:
    import_proto(FOLDER / "recommendations.proto", [FOLDER], tmp_path / "recommendations.py", public=True)
    made = (tmp_path / "recommendations.py").read_text()
    assert ast.dump(ast.parse(made)) == ast.dump(ast.parse(Path(recommendations.__file__).read_text()))
    # The lock holds other contracts of the folder, too, after the file's own part.
    kept = (FOLDER / "bookshop" / "contracts" / "contracts.lock").read_text()
    assert (tmp_path / "contracts.lock").read_text().partition("\n\n[message.")[0] in kept
