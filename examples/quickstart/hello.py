from typing import Protocol

from meristem import Contract, Service, safe


class Greeter(Contract, Protocol, package="hello.v1"):
    @safe(http="GET /hello/{name}")
    async def hello(self, name: str) -> str: ...


class GreeterService(Greeter, Service):
    async def hello(self, name: str) -> str:
        return f"Hello, {name}!"
