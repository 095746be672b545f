# pyright: strict
"""Handlers of events: one that fits its event, one of any event, and one of another event, which is an error."""

from good import PaymentTaken

from meristem import Event, on


class Opened(Event, package="hotels.desk.v1"):
    desk: int


class Desk:
    @on(PaymentTaken, attempts=8)
    async def note(self, event: PaymentTaken) -> None:
        print(event.payment.amount)

    @on(PaymentTaken)
    async def wide(self, event: Event) -> None: ...


class Wrong:
    @on(PaymentTaken)  # expect-error
    async def note(self, event: Opened) -> None: ...


async def use(desk: Desk, taken: PaymentTaken) -> None:
    await desk.note(taken)
