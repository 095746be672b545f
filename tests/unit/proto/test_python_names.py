"""Names of a `.proto` that mean something else in Python: each becomes one that works, or is refused with a reason."""

import importlib
import sys

import msgspec
import pytest

from meristem.contracts.codec import encode
from meristem.contracts.contract import operations
from meristem.contracts.protobuf.binary import ProtoCodec
from meristem.contracts.protobuf.json_replies import ProtoReplies
from meristem.contracts.protobuf.proto_descriptors import file_set
from meristem.contracts.protobuf.proto_text import proto_texts
from meristem.contracts.protojson import lenient
from meristem.contracts.wiretypes import fields_of
from meristem.errors import ConfigurationError

pytest.importorskip("grpc_tools")

from meristem.proto.importing import import_proto
from meristem.proto.protoc import descriptors_of
from meristem.proto.python_names import module_name

HEAD = 'syntax = "proto3";\npackage yard.v1;\n'
VALUES = 1000


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """Imports `yard.proto` of a text, beside files of other names; the module."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def load(text: str, **others: str):
        for name, other in {"yard": text, **others}.items():
            (tmp_path / f"{name}.proto").write_text(other, encoding="utf-8")
        import_proto(tmp_path / "yard.proto", [tmp_path], tmp_path / "yard_contracts.py")
        return importlib.import_module("yard_contracts")

    yield load
    for name in set(sys.modules) - before:
        del sys.modules[name]


def rpcs(contract):
    return {each.wire_name: name for name, each in operations(contract).items()}


def test_what_is_called_like_a_base_or_a_type_in_a_message_is_neither_for_what_follows(imported):
    yard = imported(
        HEAD
        + """
        message Chat {
          message Message { string text = 1; }
          message Member { string name = 1; }
          message str { bool is_set = 1; }
          message list {}
          repeated Message messages = 1;
          Member member = 2;
          str held = 3;
          map<string, string> notes = 4;
          repeated string words = 5;
        }
        """
    )

    assert [each.name for each in fields_of(yard.Chat.Member)] == ["name"]
    types = {each.name: each.type for each in fields_of(yard.Chat)}
    assert types["messages"] == list[yard.Chat.Message]
    assert (types["notes"], types["words"]) == (dict[str, str], list[str])


def test_no_rpc_is_lost_for_its_name(imported):
    yard = imported(
        HEAD
        + """
        message M {}
        message lower_m {}
        service Yard {
          rpc GetX(M) returns (M); rpc getX(M) returns (M); rpc get_x(M) returns (M);
          rpc _Hidden(M) returns (M); rpc Client(M) returns (M); rpc Import(M) returns (M);
          rpc Operation(M) returns (M); rpc Safe(M) returns (M) { option idempotency_level = NO_SIDE_EFFECTS; }
          rpc LowerM(lower_m) returns (lower_m); rpc List(M) returns (stream M); rpc Last(lower_m) returns (M);
        }
        """
    )

    found = rpcs(yard.Yard)
    assert sorted(found) == sorted(
        ["GetX", "getX", "get_x", "_Hidden", "Client", "Import", "Operation", "Safe", "LowerM", "List", "Last"]
    )
    assert found["get_x"] == "get_x"
    assert found["Client"] == "client_"
    assert callable(yard.Yard.client)
    assert operations(yard.Yard)["last"].request is yard.lower_m


def test_a_field_that_python_would_rename_keeps_its_name_and_number(imported):
    yard = imported(
        HEAD + "message M { string __hidden = 7; string Yard = 8; }\nservice Yard { rpc Get(M) returns (M); }"
    )

    codec = ProtoCodec(operations(yard.Yard).values())
    get = operations(yard.Yard)["get"]
    assert codec.read_request(get, b"\x3a\x01a\x42\x01b", VALUES) == yard.M(hidden="a", Yard_="b")


def test_two_files_may_have_a_message_of_one_name(imported):
    yard = imported(
        HEAD.replace("yard.v1;", 'yard.v1;\nimport "north.proto";\nimport "south.proto";')
        + "message M { north.Bed one = 1; south.Bed other = 2; }",
        north='syntax = "proto3"; package north; message Bed { string a = 1; }',
        south='syntax = "proto3"; package south; message Bed { string b = 1; }',
    )

    one, other = (each.type for each in fields_of(yard.M))
    assert fields_of(one.__args__[0])[0].name == "a"
    assert fields_of(other.__args__[0])[0].name == "b"


def test_text_of_a_proto_never_becomes_code(imported, tmp_path):
    yard = imported(
        HEAD
        + r"""
        option java_package = "a\"b\\c";
        // '"' and \
        message M {
          string a = 1 [json_name = "x\")]; raise SystemExit #"];  // "Quoted"
          string b = 2 [json_name = "e\\"];  // \N{no}
        }
        /* ''' and three of them: \"\"\" */
        service Yard { rpc Get(M) returns (M); }
        """
    )

    [text] = proto_texts(operations(yard.Yard).values()).values()
    again = tmp_path / "again.proto"
    again.write_text(text, encoding="utf-8")
    [file] = descriptors_of(again, [tmp_path])
    assert [each.json_name for each in file.message_type[0].field] == ['x")]; raise SystemExit #', "e\\"]
    assert file.options.java_package == 'a"b\\c'


def test_a_type_that_another_hides_is_exported_by_its_full_name(imported, tmp_path):
    yard = imported(
        HEAD
        + """
        message A {
          message B { message A { string x = 1; } A inner = 1; }
          message A { int64 y = 1; }
          A nested = 1;
          B b = 2;
        }
        message B { .yard.v1.A outer = 1; A.B other = 2; }
        service Yard { rpc Get(A) returns (B); }
        """
    )

    [text] = proto_texts(operations(yard.Yard).values()).values()
    (tmp_path / "again.proto").write_text(text)
    [file] = descriptors_of(tmp_path / "again.proto", [tmp_path])
    types = {each.name: [field.type_name for field in each.field] for each in file.message_type}
    assert types == {"A": [".yard.v1.A.A", ".yard.v1.A.B"], "B": [".yard.v1.A", ".yard.v1.A.B"]}
    assert file_set(operations(yard.Yard).values())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("message None {}", "None can't be the name of a class in Python: rename it"),
        ("message M { message class {} }", "class can't be the name of a class in Python"),
        ("message M {} service True { rpc Get(M) returns (M); }", "True can't be the name of a class"),
        ("enum Mood { OK = 0; _missing_ = 1; }", "rename it, as in MOOD_MISSING;"),
        ("enum Mood { OK = 0; __x = 1; }", "rename it, as in MOOD_X;"),
    ],
)
def test_what_can_have_no_name_in_python_is_refused(imported, tmp_path, text, told):
    with pytest.raises(ConfigurationError, match=told.replace("(", r"\(")):
        imported(HEAD + text)
    assert not (tmp_path / "yard_contracts.py").exists()


def test_files_that_bring_options_alone_become_no_modules(imported, tmp_path):
    options = """
    import "google/protobuf/descriptor.proto";
    import "http.proto";
    extend google.protobuf.MethodOptions { optional http.Rule route = 72295728; }
    """
    yard = imported(
        HEAD.replace("yard.v1;", 'yard.v1;\nimport "annotations.proto";')
        + 'message M {}\nservice Yard { rpc Get(M) returns (M) { option (http.route) = { get: "/m" }; } }',
        annotations=f'syntax = "proto2"; package http; {options}',
        http='syntax = "proto3"; package http; message Rule { string get = 1; }',
    )

    assert rpcs(yard.Yard) == {"Get": "get"}
    assert {each.name for each in tmp_path.glob("*.py")} == {"yard_contracts.py"}


def test_a_file_that_brings_options_and_an_enum_that_is_used_becomes_a_module(imported, tmp_path):
    yard = imported(
        HEAD.replace("yard.v1;", 'yard.v1;\nimport "kinds.proto";') + "message M { kinds.Kind kind = 1; }",
        kinds='syntax = "proto3"; package kinds; import "google/protobuf/descriptor.proto";'
        "extend google.protobuf.FieldOptions { string about = 72295728; } enum Kind { NONE = 0; SHED = 1; }",
    )

    assert yard.M().kind.name == "NONE"
    assert {each.name for each in tmp_path.glob("*.py")} == {"yard_contracts.py", "kinds.py"}


def test_a_module_never_stands_in_for_one_of_pythons():
    assert module_name("google/api/http.proto", alone=True) == "http_"
    assert module_name("google/api/http.proto", alone=False) == "http"
    assert module_name("import.proto", alone=False) == "import_"
    assert module_name("1st-try of.it.proto", alone=True) == "_1st_try_of_it"


def test_a_value_that_python_has_a_name_for_has_its_own_on_every_wire(imported, tmp_path):
    yard = imported(
        HEAD
        + """
        enum Mood {
          option allow_alias = true;
          // Nothing is known.
          None = 0;
          name = 1;
          Glad = 2;
          Merry = 2;
        }
        message M { Mood mood = 1; repeated Mood others = 2; }
        service Yard { rpc Get(M) returns (M); }
        """
    )

    get = operations(yard.Yard)["get"]
    assert list(yard.Mood.__members__) == ["None_", "name_", "Glad", "Merry"]
    assert yard.M().mood is yard.Mood.None_
    read = lenient(get.request)(b'{"mood": "name", "others": ["None", "Merry", "None_", "Glad", 2]}')
    assert read == yard.M(mood=yard.Mood.name_, others=[0, 2, 0, 2, 2])
    written = msgspec.json.decode(ProtoReplies(get).json(encode(read)))
    assert written == {"mood": "name", "others": ["None", "Glad", "None", "Glad", "Glad"]}
    [text] = proto_texts([get]).values()
    (tmp_path / "again.proto").write_text(text)
    [file] = descriptors_of(tmp_path / "again.proto", [tmp_path])
    assert [each.name for each in file.enum_type[0].value] == ["None", "name", "Glad", "Merry"]
    assert "// Nothing is known." in text


@pytest.mark.parametrize("key", ["uint64", "fixed64"])
def test_keys_without_a_sign_may_lead_to_anything(imported, key):
    yard = imported(HEAD + f"message M {{ map<{key}, bytes> held = 1; }}\nservice Yard {{ rpc Get(M) returns (M); }}")

    get = operations(yard.Yard)["get"]
    codec = ProtoCodec([get])
    message = yard.M(held={2**64 - 1: b"x"})
    assert codec.read_request(get, codec.write_request(get, message), VALUES) == message
