"""Server reflection (`grpc.reflection.v1` and `v1alpha`): clients that know no `.proto` ask here what is served."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from meristem.transports.grpc.library import descriptor_pb2, grpc, health_pb2, reflection_pb2

SERVICES: Final = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
"""Two names of one service: their messages are the same on the wire."""

Response: Final = reflection_pb2.ServerReflectionResponse


class Descriptors:
    """The files of several contracts, one for each package: `symbols` names the file of each service and message."""

    def __init__(self, contracts: Mapping[str, Callable[[], bytes]]) -> None:
        self.files: dict[str, Any] = {}
        self.symbols: dict[str, str] = {}
        for contract in sorted(contracts):
            for file in descriptor_pb2.FileDescriptorSet.FromString(contracts[contract]()).file:
                self._add(file, contract.rpartition(".")[2])
        own = descriptor_pb2.FileDescriptorProto()
        health_pb2.DESCRIPTOR.CopyToProto(own)
        self._add(own, "")
        for name, file in self.files.items():
            self.symbols |= dict.fromkeys(_symbols(file), name)

    def with_imports(self, name: str) -> list[bytes]:
        """A file and all that it imports; raises KeyError for one that there is not."""
        wanted, found = [name], {}
        while wanted:
            each = wanted.pop()
            if each not in found:
                found[each] = self.files[each].SerializeToString()
                wanted += self.files[each].dependency
        return list(found.values())

    def _add(self, file: Any, contract: str) -> None:
        known = self.files.get(file.name)
        if known is None:
            self.files[file.name] = file
        elif file.service:
            _merge(known, file, contract)


def _merge(known: Any, file: Any, contract: str) -> None:
    """Put the messages and services of one more contract of a package into its file.

    A message that both have is one message. Where two different ones have one name, the later takes its contract's
    name before its own: names of messages are not on the wire.
    """
    own = {each.name: each for each in known.message_type}
    renamed = {}
    for each in file.message_type:
        if each.name in own and own[each.name] != each:
            renamed[f".{file.package}.{each.name}"] = f".{file.package}.{contract}{each.name}"
    for each in file.message_type:
        if f".{file.package}.{each.name}" in renamed:
            each.name = f"{contract}{each.name}"
        elif each.name in own:
            continue
        _refer(each, renamed)
        known.message_type.add().CopyFrom(each)
    enums = {each.name for each in known.enum_type}
    known.enum_type.extend(each for each in file.enum_type if each.name not in enums)
    for service in file.service:
        for method in service.method:
            method.input_type = renamed.get(method.input_type, method.input_type)
            method.output_type = renamed.get(method.output_type, method.output_type)
        known.service.add().CopyFrom(service)
    known.dependency.extend(each for each in file.dependency if each not in known.dependency)


def _refer(described: Any, renamed: Mapping[str, str]) -> None:
    for field in described.field:
        for old, new in renamed.items():
            if f"{field.type_name}.".startswith(f"{old}."):  # itself, or the entry of a map, which stands in it
                field.type_name = new + field.type_name.removeprefix(old)
                break
    for nested in described.nested_type:
        _refer(nested, renamed)


def _symbols(file: Any) -> Iterator[str]:
    scope = f"{file.package}." if file.package else ""
    for each in file.message_type:
        yield from _in_message(scope + each.name, each)
    for each in file.enum_type:
        yield scope + each.name
    for each in file.service:
        yield scope + each.name
        yield from (f"{scope}{each.name}.{method.name}" for method in each.method)


def _in_message(name: str, message: Any) -> Iterator[str]:
    yield name
    yield from (f"{name}.{each.name}" for each in message.enum_type)
    for each in message.nested_type:
        yield from _in_message(f"{name}.{each.name}", each)


class Reflection:
    """Answers what a client asks of `contracts`: each name and what gives its serialized FileDescriptorSet."""

    def __init__(self, contracts: Mapping[str, Callable[[], bytes]], others: Iterable[str] = ()) -> None:
        self._contracts = contracts
        self._names = sorted({*contracts, *others, *SERVICES})
        self._read: Descriptors | None = None

    def handlers(self) -> list[Any]:
        """What a server is given."""
        read = reflection_pb2.ServerReflectionRequest.FromString
        method = grpc.stream_stream_rpc_method_handler(self.answers, read, Response.SerializeToString)
        return [grpc.method_handlers_generic_handler(each, {"ServerReflectionInfo": method}) for each in SERVICES]

    async def answers(self, requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
        """One answer to each question."""
        async for request in requests:
            answer = Response(valid_host=request.host, original_request=request)
            self._fill(answer, request)
            yield answer

    def _fill(self, answer: Any, request: Any) -> None:
        asked = request.WhichOneof("message_request")
        if asked == "list_services":
            answer.list_services_response.service.extend(
                reflection_pb2.ServiceResponse(name=each) for each in self._names
            )
            return
        try:
            found = self._file(asked, request)
        except KeyError:
            answer.error_response.error_code = grpc.StatusCode.NOT_FOUND.value[0]
            answer.error_response.error_message = f"nothing here is called {getattr(request, asked or 'host')!r}"
        else:
            answer.file_descriptor_response.file_descriptor_proto.extend(found)

    def _file(self, asked: str | None, request: Any) -> list[bytes]:
        # Made when somebody asks: most processes are never asked.
        descriptors = self._read = self._read or Descriptors(self._contracts)
        if asked == "file_by_filename":
            return descriptors.with_imports(request.file_by_filename)
        if asked == "file_containing_symbol":
            return descriptors.with_imports(descriptors.symbols[request.file_containing_symbol])
        raise KeyError(asked)  # extensions: proto3 has none
