"""Money goes from one service to another, by events and by sagas; each keeps what it has sent or received."""

from typing import Any, Protocol
from uuid import uuid4

from sqlalchemy import Column, Integer, MetaData, String, Table, insert

from meristem import Contract, Database, Event, Flow, Service, System, on, once, saga

SENDING, RECEIVING = MetaData(), MetaData()


def entries(name: str, metadata: MetaData) -> Table:
    """Nothing is unique in it: what is done twice is seen twice."""
    return Table(
        name,
        metadata,
        Column("id", Integer, primary_key=True),
        Column("transfer", String(40), nullable=False, index=True),
        Column("cents", Integer, nullable=False),
    )


SENT, RECEIVED = entries("sent", SENDING), entries("received", RECEIVING)


class Sent(Event, package="bank.current.v1", key="transfer"):
    transfer: str
    cents: int


class Current(Contract, Protocol, package="bank.current.v1"):
    @once(http="POST /sent", timeout=60.0)
    async def send(self, cents: int) -> str: ...

    @once(http="POST /moved", timeout=60.0)
    async def move(self, cents: int) -> str: ...


class Savings(Contract, Protocol, package="bank.savings.v1"):
    @once(timeout=60.0)
    async def receive(self, transfer: str, cents: int) -> None: ...


class CurrentService(Current, Service, tables=SENDING):
    def __init__(self, database: Database, savings: Savings) -> None:
        self.database = database
        self.savings = savings

    async def send(self, cents: int) -> str:
        transfer = f"event {uuid4().hex}"
        async with self.database.begin() as tx:
            await tx.execute(insert(SENT).values(transfer=transfer, cents=cents))
            await tx.publish(Sent(transfer=transfer, cents=cents))
        return transfer

    @saga
    async def move(self, flow: Flow, cents: int) -> str:
        transfer = f"saga {flow.uuid().hex}"
        await flow.step(self.note, transfer, cents)
        await self.savings.receive(transfer, cents)
        return transfer

    async def note(self, transfer: str, cents: int) -> None:
        await self.database.execute(insert(SENT).values(transfer=transfer, cents=cents))


class SavingsService(Savings, Service, tables=RECEIVING):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def receive(self, transfer: str, cents: int) -> None:
        await self._take(transfer=transfer, cents=cents)

    @on(Sent)
    async def hear(self, event: Sent) -> None:
        await self._take(transfer=event.transfer, cents=event.cents)

    async def _take(self, **values: Any) -> None:
        await self.database.execute(insert(RECEIVED).values(**values))


system = System("bank", services=[CurrentService, SavingsService])
