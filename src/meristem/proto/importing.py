"""Contracts made of `.proto` files: a module for each, whose numbers are kept in the lock beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from meristem.contracts.protobuf.number_lock import FILE, Numbering, ProtoHome, ProtoLock
from meristem.errors import ConfigurationError
from meristem.proto.descriptor_tree import enums_of, messages_of
from meristem.proto.module_writer import ModuleWriter
from meristem.proto.protoc import descriptors_of
from meristem.proto.python_names import module_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GOOGLE = "google/protobuf/"


def import_proto(file: Path, include: Sequence[Path], module: Path, *, public: bool = False) -> list[Path]:
    """Write the module of a `.proto`, those of the files that it imports beside it, and their lock.

    The operations are `public` where that is asked for: no `.proto` says who may call. Returns what was written. Raises
    ConfigurationError for what has no form as a contract.
    """
    known = descriptors_of(file, include)
    own = _needed(known)
    relative = (module.parent / "__init__.py").exists()
    modules = {each.name: module_name(each.name, alone=not relative) for each in own}
    modules[own[-1].name] = module.stem
    twice = {name for name in modules.values() if list(modules.values()).count(name) > 1}
    if twice:
        raise ConfigurationError(f"several files would become the module {min(twice)}: import them one by one, with -o")
    lock_path = module.with_name(FILE)
    lock = ProtoLock.load(lock_path)
    texts = {}
    for each in own:
        path = module.with_name(f"{modules[each.name]}.py")
        texts[path] = ModuleWriter(each, known, modules, relative=relative, public=public).text()
        _keep(lock, modules[each.name], each)
    texts[lock_path] = lock.text()
    for path, text in texts.items():  # when all of them are known: what can't be imported leaves nothing behind
        path.write_text(text, encoding="utf-8")
    return list(texts)


def _needed(known: Sequence[Any]) -> list[Any]:
    """The files that become modules, what is imported first: not those that only bring options (`google.api.http`)."""
    files = {each.name: each for each in known}
    needed, open_ = set(), [known[-1]]
    while open_:
        file = open_.pop()
        needed.add(file.name)
        types = {*_types_named(file)}
        for name in file.dependency:
            other = files[name]
            brings_options = bool(other.extension or any(each.extension for each in other.message_type))
            is_used = any(f".{full}" in types for full, _ in (*messages_of(other), *enums_of(other)))
            if not name.startswith(GOOGLE) and name not in needed and (is_used or not brings_options):
                open_.append(other)
    for name in needed:
        if files[name].syntax != "proto3":
            raise ConfigurationError(f"{name} is {files[name].syntax or 'proto2'}: only proto3 can be imported")
    return [each for each in known if each.name in needed]


def _types_named(file: Any) -> Iterator[str]:
    """The messages and enums that fields and rpcs of a file name."""
    for _, message in messages_of(file):
        yield from (each.type_name for each in message.field)
    for service in file.service:
        for method in service.method:
            yield from (method.input_type, method.output_type)


def _keep(lock: ProtoLock, module: str, file: Any) -> None:
    options = tuple(
        sorted((field.name, value) for field, value in file.options.ListFields() if isinstance(value, str | bool))
    )
    lock.homes[module] = ProtoHome(file.name, file.package, options)
    for name, message in messages_of(file):
        if not message.options.map_entry:
            numbers = {each.name: each.number for each in message.field}
            lock.messages[name] = Numbering(numbers, _reserved(message, exclusive=1))
    for name, enum in enums_of(file):
        numbers = {each.name: each.number for each in enum.value}
        lock.enums[name] = Numbering(numbers, _reserved(enum, exclusive=0))


def _reserved(described: Any, exclusive: int) -> dict[str, int | tuple[int, int]]:
    found: dict[str, int | tuple[int, int]] = {}
    for each in described.reserved_range:
        end = each.end - exclusive  # which messages tell exclusively, and enums inclusively (descriptor.proto)
        if end == each.start:
            found[str(each.start)] = each.start
        else:
            found[f"{each.start}-{end}"] = (each.start, end)
    # A name without its number: which of the numbers was its own, the file does not tell.
    return found | dict.fromkeys(described.reserved_name, 0)
