"""Contracts that were imported from a `.proto`, and stubs of grpcio-tools: one and the same on the wire."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meristem.contracts.contract import Contract, operations
from meristem.contracts.operation import Operation
from meristem.contracts.protobuf.binary import ProtoCodec
from meristem.contracts.protobuf.proto_descriptors import file_set
from meristem.contracts.protobuf.proto_text import proto_texts
from meristem.errors import ConfigurationError
from meristem.proto.importing import import_proto
from tests.suites.importing import importable
from tests.suites.type_checkers import mypy, runs_mypy

PROTOS = Path(__file__).parent / "protos"
FILES = ("boutique.proto", "inn/inn.proto")
VALUES = 100_000


def module_name(file: str) -> str:
    return f"{Path(file).stem}_contracts.py"


def compiled(file: str, include: Path, *options: str) -> None:
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{include}", *options, file]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def descriptors(file: str, include: Path, folder: Path) -> dict[str, Any]:
    """The files as the compiler reads them, messages and enums by name: in which order they stand says nothing."""
    out = folder / "out.descriptors"
    compiled(file, include, f"--descriptor_set_out={out}", "--include_imports")
    found = {}
    for each in descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file:
        if not each.name.startswith("google/"):
            each.ClearField("dependency")
            for method in [method for service in each.service for method in service.method]:
                if method.options == descriptor_pb2.MethodOptions():  # `{}` behind a method
                    method.ClearField("options")
            sort(each)
            found[each.name] = each
    return found


def sort(holder: Any) -> None:
    for name in ("message_type", "nested_type", "enum_type", "service", "reserved_name"):
        if (items := getattr(holder, name, None)) is not None:
            items.sort(key=lambda each: each if isinstance(each, str) else each.name)
    for each in (*getattr(holder, "message_type", ()), *getattr(holder, "nested_type", ())):
        sort(each)


class Imported:
    """The module of a `.proto`, its contracts, and the stubs of the same file."""

    def __init__(self, file: str, include: Path, folder: Path) -> None:
        self.file, self.include, self.folder = file, include, folder
        self.module_path = folder / module_name(file)
        self.written = import_proto(include / file, [include], self.module_path)
        compiled(file, include, f"--python_out={folder}", f"--grpc_python_out={folder}")
        for each in descriptors(file, include, folder):
            compiled(each, include, f"--python_out={folder}")
        self.module = importlib.import_module(self.module_path.stem)
        self.stubs = importlib.import_module(f"{file.removesuffix('.proto').replace('/', '.')}_pb2")
        own = [each for each in vars(self.module).values() if getattr(each, "contract_name", "")]
        self.contracts: list[type[Contract]] = own
        self.operations: list[Operation] = [op for each in self.contracts for op in operations(each).values()]


@pytest.fixture(scope="module", params=FILES)
def imported(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported")
    with importable(folder):
        yield Imported(request.param, PROTOS, folder)


def test_all_nine_services_are_there(imported):
    assert len(imported.contracts) == 9


def test_what_is_exported_is_what_was_imported(imported, tmp_path):
    for path, text in proto_texts(imported.operations).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)

    assert descriptors(imported.file, tmp_path, tmp_path) == descriptors(imported.file, PROTOS, tmp_path)


def test_an_import_of_what_was_exported_is_the_same_module_and_lock(imported, tmp_path):
    for path, text in proto_texts(imported.operations).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    again = tmp_path / "again" / imported.module_path.name
    again.parent.mkdir()

    for path in import_proto(tmp_path / imported.file, [tmp_path], again):
        before = imported.folder / path.name
        # a file's own order of messages and services is not kept, so lines are compared
        assert sorted(path.read_text().splitlines()) == sorted(before.read_text().splitlines())


def test_the_operations_of_an_import_are_public_where_that_is_asked_for(imported, tmp_path):
    for public in (False, True):
        module = tmp_path / f"{imported.module_path.stem}_{public}.py".lower()
        import_proto(imported.include / imported.file, [imported.include], module, public=public)
        text = module.read_text()

        rpcs = len(imported.operations)
        assert len(re.findall(r"^    @\w+\((name=\"\w+\", )?public=True\)$", text, re.MULTILINE)) == public * rpcs


def test_an_import_that_is_not_found_is_told_where_it_was_looked_for(tmp_path):
    (tmp_path / "below").mkdir()
    file = tmp_path / "below" / "one.proto"
    file.write_text('syntax = "proto3";\nimport "below/other.proto";\n')

    with pytest.raises(ConfigurationError, match=r"looked for in .*/below: give the folder .* `-I FOLDER`"):
        import_proto(file, [], tmp_path / "one.py")


def test_exports_are_byte_stable(imported):
    assert proto_texts(imported.operations) == proto_texts(list(reversed(imported.operations))[::-1])
    assert file_set(imported.operations) == file_set(imported.operations)


def test_reflection_shows_the_numbers_and_types_of_the_file(imported):
    found = descriptor_pb2.FileDescriptorSet.FromString(file_set(imported.operations))

    [own] = [each for each in found.file if each.name == imported.file]
    messages = {
        each.name: {field.name: (field.number, field.type) for field in each.field} for each in own.message_type
    }
    for name, message in imported.stubs.DESCRIPTOR.message_types_by_name.items():
        assert messages[name] == {each.name: (each.number, each.type) for each in message.fields}


@pytest.fixture(scope="module")
def modules(tmp_path_factory) -> tuple[Path, list[str]]:
    """The modules of all files in one folder: a type checker that starts reads the whole package first."""
    folder = tmp_path_factory.mktemp("modules")
    written = [path for file in FILES for path in import_proto(PROTOS / file, [PROTOS], folder / module_name(file))]
    return folder, [str(each) for each in written if each.suffix == ".py"]


@runs_mypy
def test_the_modules_are_readable_by_mypy(modules):
    folder, paths = modules
    done = mypy(folder, *paths)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_modules_are_readable_by_ruff_and_pyright(modules):
    folder, paths = modules
    tools = Path(sys.executable).parent
    for command in (
        ["ruff", "check", "--isolated"],
        ["ruff", "format", "--isolated", "--check"],
        ["pyright", "--pythonpath", sys.executable],
    ):
        tool = tools / command[0]
        done = subprocess.run(
            [str(tool), *command[1:], *paths], capture_output=True, text=True, check=False, cwd=folder
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_buf_builds_what_is_exported(imported, tmp_path):
    for path, text in proto_texts(imported.operations).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    buf = Path(sys.executable).parent / "buf"

    done = subprocess.run([str(buf), "build", str(tmp_path)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


BOUNDS = {"32": (-(2**31), 2**31 - 1), "64": (-(2**63), 2**63 - 1)}
NARROW = {"sint32", "int32", "sfixed32"}
Kind = descriptor_pb2.FieldDescriptorProto.Type


def scalars(field: Any) -> st.SearchStrategy[Any]:
    kind = Kind.Name(field.type).removeprefix("TYPE_").lower()
    if kind in ("double", "float"):
        return st.floats(width=64 if kind == "double" else 32, allow_nan=False, allow_infinity=False)
    if kind == "bool":
        return st.booleans()
    if kind == "string":
        return st.text(st.characters(codec="utf-8"), max_size=4)
    if kind == "bytes":
        return st.binary(max_size=4)
    if kind == "enum":
        return st.sampled_from([*field.enum_type.values_by_number, 99])
    low, high = BOUNDS[kind[-2:]]
    return st.integers(0, 2 * high + 1) if kind.startswith(("u", "fixed")) else st.integers(low, high)


def fill(draw: Any, message: Any, depth: int = 3) -> None:
    """Set fields of a message of stubs, whatever they are."""
    if message.DESCRIPTOR.full_name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
        # what Python has no room for is cut: other years, and what is finer than a microsecond
        message.seconds = draw(st.integers(0, 2**33))
        message.nanos = draw(st.integers(0, 999_999)) * 1000
        return
    if message.DESCRIPTOR.full_name in ("google.protobuf.Struct", "google.protobuf.ListValue"):
        given = [draw(st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2))]
        message.update({"a": given}) if message.DESCRIPTOR.name == "Struct" else message.extend(given)
        return
    for field in message.DESCRIPTOR.fields:
        held = getattr(message, field.name)
        if not draw(st.booleans()):
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            fill_map(draw, held, *field.message_type.fields, depth)
        elif field.message_type is None and field.is_repeated:
            held.extend(draw(st.lists(scalars(field), max_size=3)))
        elif field.message_type is None:
            setattr(message, field.name, draw(scalars(field)))
        elif depth:
            for each in [held.add() for _ in range(draw(st.integers(0, 2)))] if field.is_repeated else [held]:
                each.SetInParent()
                fill(draw, each, depth - 1)


def fill_map(draw: Any, held: Any, key: Any, value: Any, depth: int) -> None:
    for each in draw(st.lists(scalars(key), max_size=2)):
        if value.message_type is None:
            held[each] = draw(scalars(value))
        else:
            fill(draw, held[each], depth - 1)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_bytes_of_the_stubs_are_read_and_written_again_as_they_were(imported, data):
    """Of every request and reply: bytes of a stub, our value, bytes of ours that are the same."""
    for contract in imported.contracts:
        known = operations(contract)
        codec = ProtoCodec(known.values())
        methods = imported.stubs.DESCRIPTOR.services_by_name[contract.__name__].methods_by_name
        for operation in known.values():
            method = methods[operation.wire_name]
            for described, trip in (
                (method.input_type, lambda body, c=codec, op=operation: there_and_back_request(c, op, body)),
                (method.output_type, lambda body, c=codec, op=operation: there_and_back_reply(c, op, body)),
            ):
                sent = described._concrete_class()
                fill(data.draw, sent)
                body = sent.SerializeToString(deterministic=True)

                written = trip(body)

                assert described._concrete_class.FromString(written).SerializeToString(deterministic=True) == body
                assert len(written) == len(body)


def there_and_back_request(codec: ProtoCodec, operation: Operation, body: bytes) -> bytes:
    return codec.write_request(operation, codec.read_request(operation, body, VALUES))


def there_and_back_reply(codec: ProtoCodec, operation: Operation, body: bytes) -> bytes:
    return codec.write_reply(operation, codec.read_reply(operation, body))
