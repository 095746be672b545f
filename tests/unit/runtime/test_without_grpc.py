"""grpcio costs memory and time: no process pays for it that has not been told of gRPC."""

import subprocess
import sys
from pathlib import Path

SYSTEM = """
import asyncio, sys
from pathlib import Path
from typing import Protocol

from meristem import Contract, Service, System, safe
from meristem.system.placement import Placement
from meristem.testing import running


class Greeter(Contract, Protocol, package="hello.v1"):
    @safe(http="GET /hello/{name}")
    async def hello(self, name: str) -> str: ...


class GreeterService(Greeter, Service):
    async def hello(self, name: str) -> str:
        return f"Hello, {name}!"


async def main() -> None:
    system = System("hello", services=[GreeterService])
    for name in sys.argv[1:]:
        async with running(system, where="wire", placement=Placement.read(Path(name))) as app:
            assert await app.client(Greeter).hello("Ada") == "Hello, Ada!"
        print("grpc" in sys.modules)


asyncio.run(main())
"""


def test_grpcio_is_loaded_where_a_placement_names_it_alone(tmp_path: Path):
    (tmp_path / "hello.py").write_text(SYSTEM)
    (tmp_path / "port.toml").write_text("server.grpc = 50051\n")  # of another process than those of a test
    (tmp_path / "called.toml").write_text('policies.greeter.transport = "grpc"\n')

    told = subprocess.run(
        [sys.executable, "hello.py", "port.toml", "called.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert told.stdout.split() == ["False", "True"], told.stderr
    assert told.stderr == ""
