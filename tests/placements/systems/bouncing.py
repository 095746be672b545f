"""Two services between which events go back and forth, and sagas that take their time."""

from typing import Protocol

from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select

from meristem import Contract, Database, Event, Flow, Service, System, on, once, operation, safe, saga

metadata = MetaData()
SEEN = Table("seen", metadata, Column("id", Integer, primary_key=True), Column("number", Integer))


class Ball(Event, package="bouncing.v1", key="name"):
    """A ball goes from one service to the other, `left` times."""

    name: str
    left: int


class Thrown(Event, package="bouncing.v1", key="name"):
    """On its way back."""

    name: str
    left: int


class Released(Event, package="bouncing.v1", key="name"):
    name: str


class Left(Contract, Protocol, package="bouncing.v1"):
    @operation(timeout=20.0)
    async def throw(self, name: str, left: int) -> None: ...

    @operation
    async def release(self, name: str) -> None: ...


class Right(Contract, Protocol, package="bouncing.v1"):
    @safe(timeout=20.0)
    async def caught(self) -> int: ...

    @once(timeout=0.2)
    async def hold(self, name: str) -> None: ...

    @once(timeout=0.2)
    async def trickle(self, name: str) -> None: ...


class LeftService(Left, Service):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def throw(self, name: str, left: int) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Ball(name=name, left=left))

    async def release(self, name: str) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Released(name=name))

    @on(Thrown)
    async def back(self, ball: Thrown) -> None:
        await self.throw(ball.name, ball.left)


class RightService(Right, Service, tables=metadata):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def caught(self) -> int:
        return int(await self.database.fetch_value(select(func.count()).select_from(SEEN)))

    @on(Ball, base=5.0, cap=5.0)
    async def catch(self, ball: Ball) -> None:
        if ball.name == "butterfingers":
            raise RuntimeError("dropped")
        async with self.database.begin() as tx:
            await tx.execute(insert(SEEN), {"number": ball.left})
            if ball.left:
                await tx.publish(Thrown(name=ball.name, left=ball.left - 1))

    @saga(waits=[Released])
    async def hold(self, flow: Flow, name: str) -> None:
        await flow.wait_for(Released, key=name, timeout=None)
        await flow.step(self.note, 1)

    @saga
    async def trickle(self, flow: Flow, name: str) -> None:
        for number in range(10):
            await flow.sleep(0.1)
            await flow.step(self.note, number)

    async def note(self, number: int) -> None:
        await self.database.execute(insert(SEEN), {"number": number})


system = System("bouncing", services=[LeftService, RightService])
