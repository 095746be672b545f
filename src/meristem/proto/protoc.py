"""Reads `.proto` files by the compiler of protobuf, which the package grpcio-tools brings."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meristem.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

MISSING = "reading .proto files needs the compiler of protobuf: pip install grpcio-tools"


def descriptors_of(file: Path, include: Sequence[Path]) -> list[Any]:
    """The descriptors of a file and of all that it imports, what is imported first; comments are in them.

    Raises ConfigurationError with what the compiler says.
    """
    if importlib.util.find_spec("grpc_tools") is None:
        raise ConfigurationError(MISSING)
    from google.protobuf import descriptor_pb2  # type: ignore[import-untyped]  # noqa: PLC0415 - grpcio-tools has it

    paths = [*include] or [file.parent]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "descriptors"
        options = [f"--descriptor_set_out={out}", "--include_imports", "--include_source_info"]
        # A process of its own: the compiler ends its process where it finds a fault.
        command = [sys.executable, "-m", "grpc_tools.protoc", *(f"-I{each}" for each in paths), *options, str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
        if done.returncode:
            told = "\n".join(each for each in done.stderr.splitlines() if ": warning: " not in each)
            if "File not found." in told:
                looked = ", ".join(str(each) for each in paths)
                told += f"\nimports are looked for in {looked}: give the folder that their paths begin at, `-I FOLDER`"
            raise ConfigurationError(f"{file} cannot be read:\n{told}")
        return list(descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file)
