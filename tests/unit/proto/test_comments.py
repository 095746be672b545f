"""Comments of a `.proto` become docstrings, whatever stands in them."""

import ast

import pytest

pytest.importorskip("grpc_tools")

from meristem.proto.importing import import_proto

HEAD = b'syntax = "proto3";\npackage yard.v1;\n'


def module_of(body: bytes, folder) -> ast.Module:
    (folder / "yard.proto").write_bytes(body)
    import_proto(folder / "yard.proto", [folder], folder / "yard.py")
    return ast.parse((folder / "yard.py").read_text(encoding="utf-8"))


def test_bytes_of_another_encoding_are_no_reason_to_stop(tmp_path):
    opening = b"// Caf\xe9\n\n" + HEAD
    module = module_of(opening + b"// Stra\xdfe\nmessage M { string a = 1; // na\xefve\n }", tmp_path)

    assert ast.get_docstring(module) == "Caf\ufffd"
    message = next(each for each in module.body if isinstance(each, ast.ClassDef))
    assert ast.get_docstring(message) == "Stra\ufffde"


@pytest.mark.parametrize(
    "comment",
    ['"', '"""', 'say "it"', "back\\slash \\", "\\N{no} \\x", "'''", '"a" and "b"', "a\r", "tab\there", "100 % {x}"],
)
def test_what_means_something_in_python_means_nothing_in_a_docstring(comment, tmp_path):
    module = module_of(HEAD + b"// " + comment.encode() + b"\nmessage M { string a = 1; }\n", tmp_path)

    message = next(each for each in module.body if isinstance(each, ast.ClassDef))
    assert ast.get_docstring(message).strip() == comment.replace('"""', "'''").strip().expandtabs()
