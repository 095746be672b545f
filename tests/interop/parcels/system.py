"""A shop that a carrier tells of its parcels: two services hear of it, and one tells who told and how often."""

from typing import Annotated, Protocol

import msgspec
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select

from meristem import (
    Contract,
    Database,
    Event,
    Identity,
    Message,
    Service,
    System,
    Travelling,
    current,
    on,
    once,
    safe,
)  # fmt: skip


class ParcelDelivered(Event, package="carrier.v1", key="parcel", accepts_from="carrier"):
    """A parcel is where it should be."""

    parcel: str
    number: Annotated[int, msgspec.Meta(ge=0)] = 0


class ParcelLost(Event, package="carrier.v1", accepts_from=("insurer", "carrier")):
    parcel: str


class ShopClosed(Event, package="shop.v1"):
    """Nobody outside may say so."""

    parcel: str = ""


class Ordered(Event, package="shop.counter.v1", key="customer"):
    """A customer has ordered; it is heard outside alone."""

    customer: str
    number: int


class Told(Message):
    parcel: str
    number: int
    user: str
    name: str
    caller: str
    trace: str
    tenant: str


Tenant = Travelling[str]("tenant", default="")


class Counter(Contract, Protocol, package="shop.counter.v1"):
    @once
    async def count(self, parcel: str) -> None: ...

    @once(http="POST /orders")
    async def order(self, customer: str, numbers: list[int]) -> None: ...

    @safe(http="GET /counted")
    async def counted(self) -> list[str]: ...


class Parcels(Contract, Protocol, package="shop.parcels.v1"):
    @safe(http="GET /parcels")
    async def told(self) -> list[Told]: ...


class Mail(Contract, Protocol, package="shop.mail.v1"):
    @safe(http="GET /mail")
    async def sent(self) -> list[str]: ...


counter, parcels, mail = MetaData(), MetaData(), MetaData()
COUNTED = Table("counted", counter, Column("id", Integer, primary_key=True), Column("parcel", String(900)))
TOLD = Table(
    "told", parcels, Column("id", Integer, primary_key=True), Column("parcel", String(900)), Column("number", Integer),
    Column("user", String(80)), Column("name", String(80)), Column("caller", String(80)), Column("trace", String(80)),
    Column("tenant", String(80)),
)  # fmt: skip
SENT = Table("sent", mail, Column("id", Integer, primary_key=True), Column("parcel", String(900)))


class CounterService(Counter, Service, tables=counter):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def count(self, parcel: str) -> None:
        await self.database.execute(insert(COUNTED), {"parcel": parcel})

    async def order(self, customer: str, numbers: list[int]) -> None:
        async with self.database.begin() as tx:
            for number in numbers:
                await tx.publish(Ordered(customer=customer, number=number))

    async def counted(self) -> list[str]:
        return [row["parcel"] for row in await self.database.fetch_all(select(COUNTED.c.parcel))]


class ParcelsService(Parcels, Service, tables=parcels):
    def __init__(self, database: Database, counter: Counter) -> None:
        self.database = database
        self.counter = counter

    @on(ParcelDelivered)
    async def note(self, event: ParcelDelivered) -> None:
        around = current()
        user = around.user or Identity("")
        told = Told(
            parcel=event.parcel,
            number=event.number,
            user=user.subject,
            name=user.name,
            caller=around.caller or "",
            trace="" if around.trace is None else around.trace.trace_id,
            tenant=Tenant.get(),
        )
        await self.counter.count(event.parcel)
        await self.database.execute(insert(TOLD), msgspec.to_builtins(told))

    async def told(self) -> list[Told]:
        return await self.database.fetch_all(
            select(*(each for each in TOLD.c if each.name != "id")).order_by(TOLD.c.id), into=Told
        )


class MailService(Mail, Service, tables=mail):
    def __init__(self, database: Database) -> None:
        self.database = database

    @on(ParcelDelivered)
    async def send(self, event: ParcelDelivered) -> None:
        await self.database.execute(insert(SENT), {"parcel": event.parcel})

    @on(ParcelLost)
    async def regret(self, event: ParcelLost) -> None:
        await self.database.execute(insert(SENT), {"parcel": f"{event.parcel} is lost"})

    @on(ShopClosed)
    async def close(self, event: ShopClosed) -> None:
        await self.database.execute(insert(SENT), {"parcel": "closed"})

    async def sent(self) -> list[str]:
        return [row["parcel"] for row in await self.database.fetch_all(select(SENT.c.parcel).order_by(SENT.c.id))]


PEOPLE = {
    "of-dhl": Identity("dhl", "DHL", roles=("carrier",)),
    "of-ups": Identity("ups", "UPS", roles=("carrier",)),
    "of-insurer": Identity("allianz", roles=("insurer",)),
    "of-ada": Identity("ada", roles=("guest",)),
}


async def authenticate(token: str) -> Identity | None:
    return PEOPLE.get(token)


system = System("shop", services=[CounterService, ParcelsService, MailService], authenticate=authenticate)
