"""What programs of others have: stubs that grpcio-tools makes of the file, and addresses to reach servers at."""

from __future__ import annotations

import importlib
import random
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
from grpc_tools import protoc

FOLDER = Path(__file__).parents[2]


class Stubs(NamedTuple):
    """The two modules of stubs."""

    pb2: ModuleType
    grpc: ModuleType


@pytest.fixture(scope="session")
def stubs(tmp_path_factory: pytest.TempPathFactory) -> Stubs:
    """Stubs of `recommendations.proto`, made as anybody makes them."""
    folder = tmp_path_factory.mktemp("stubs")
    options = [f"-I{FOLDER}", f"--python_out={folder}", f"--grpc_python_out={folder}", "recommendations.proto"]
    assert protoc.main(["protoc", *options]) == 0
    sys.path.insert(0, str(folder))
    try:
        names = ("recommendations_pb2", "recommendations_pb2_grpc")
        return Stubs(*[importlib.import_module(each) for each in names])
    finally:
        sys.path.remove(str(folder))


@pytest.fixture(scope="session")
def own_address() -> str:
    """An address of this machine at which nobody else listens, so that the ports can be the usual ones."""
    made = random.SystemRandom()
    return f"127.{made.randint(1, 254)}.{made.randint(0, 254)}.{made.randint(1, 254)}"
