"""The services that the site calls, in memory: enough behaviour to see every page, and failures on order."""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_DNS, UUID, uuid4, uuid5

import msgspec
from hotels.contracts import reservations, rooms, search, users
from hotels.contracts.money import Money
from hotels.contracts.payments import CardDeclined, CardInvalid
from hotels.contracts.reservations import Booking, BookingRequest, Milestone, Status, Track
from hotels.contracts.search import City, Offer, Offers, PartnerState, Source

from meristem import CallError, Code, Context, current
from meristem.contracts.call import CONNECTOR

PLACES = {"Lisbon": "Portugal", "Lille": "France", "Ljubljana": "Slovenia", "Kyoto": "Japan", "Reykjavík": "Iceland",
          "Porto": "Portugal", "Tartu": "Estonia", "Athens": "Greece", "Oslo": "Norway"}  # fmt: skip
NAMES = (
    "Casa do Rio",
    "Hotel da Luz",
    "The Lantern Rooms",
    "Pousada do Farol",
    "Solar das Andorinhas",
    "Hotel Miramar",
)
ROOMS = ("Small double room", "Double room", "Twin room with a view", "Family room", "Corner suite", "Studio")
TOLD = (
    (Milestone.RECEIPT_ISSUED, "2026-000001"),
    (Milestone.GUEST_TOLD, "recap to ada@example.org"),
    (Milestone.HOTEL_TOLD, "reservation to desk@hotel.example"),
)
TOLD_OF_CANCELLATION = (
    (Milestone.GUEST_TOLD, "cancellation to ada@example.org"),
    (Milestone.HOTEL_TOLD, "cancellation_hotel to desk@hotel.example"),
)


def euros(amount: float | str) -> Money:
    return Money(amount=Decimal(str(amount)).quantize(Decimal("0.01")))


class Catalogue(search.Search, rooms.Rooms):
    """One hotel of each name in every city."""

    def __init__(self) -> None:
        self.partner = PartnerState.ANSWERED
        self.extra: list[Offer] = []
        self.details = {found.room.room_id: found for city in PLACES for found in self._hotels(city)}

    def _hotels(self, city: str) -> list[rooms.RoomDetails]:
        return [self._details(city, at, name) for at, name in enumerate(NAMES)]

    def _details(self, city: str, at: int, name: str) -> rooms.RoomDetails:
        place = rooms.Place(name=city, country=PLACES[city], country_code="XX", latitude=0, longitude=0)
        hotel = rooms.Hotel(
            hotel_id=uuid5(NAMESPACE_DNS, city + name), name=name, stars=at % 4 + 2, address=f"Rua das Flores {at + 3}",
            place=place, latitude=0, longitude=0, email="desk@hotel.example",
            description="A quiet house two streets from the river, with breakfast in the courtyard and thick walls.",
            amenities=["breakfast", "wifi", "courtyard", "bicycle_rental", "lift"],
        )  # fmt: skip
        room = rooms.Room(
            room_id=uuid5(NAMESPACE_DNS, f"{city}{name}room"), name=ROOMS[at], capacity=2 + at % 3, count=4,
            nightly=euros(64 + at * 27.5),
        )  # fmt: skip
        return rooms.RoomDetails(room=room, hotel=hotel)

    async def find(
        self,
        city: str,
        arrival: date,
        nights: int = 1,
        guests: int = 2,
        max_price: Decimal | None = None,
        limit: int = 50,
    ) -> Offers:
        offers = [*self._own(city, nights, guests), *self._partners(city, nights), *self.extra]
        fit = [each for each in offers if max_price is None or each.nightly.amount <= max_price]
        fit.sort(key=lambda each: each.nightly.amount)
        return Offers(
            city=city, arrival=arrival, nights=nights, guests=guests, offers=fit[:limit], partner=self.partner
        )

    def _own(self, city: str, nights: int, guests: int) -> list[Offer]:
        found = [each for each in self.details.values() if each.hotel.place.name == city]
        return [
            Offer(
                source=Source.OWN, hotel=each.hotel.name, stars=each.hotel.stars, city=city, country=PLACES[city],
                room=each.room.name, capacity=each.room.capacity, nightly=each.room.nightly,
                total=euros(each.room.nightly.amount * nights), free=at + 1, room_id=each.room.room_id,
            )
            for at, each in enumerate(found)
            if each.room.capacity >= guests
        ]  # fmt: skip

    def _partners(self, city: str, nights: int) -> list[Offer]:
        if self.partner is not PartnerState.ANSWERED or city not in PLACES:
            return []
        return [
            Offer(
                source=Source.PARTNER, hotel="Harbour & Sons", stars=3, city=city, country=PLACES[city], room="Double",
                capacity=2, nightly=euros(88), total=euros(88 * nights), link="https://partner.example/offers/1",
            )
        ]  # fmt: skip

    async def cities(self, prefix: str = "", limit: int = 10) -> list[City]:
        found = [name for name in PLACES if name.casefold().startswith(prefix.casefold())]
        return [City(name=name, country=PLACES[name], hotels=24) for name in found[:limit]]

    async def room(self, room_id: UUID) -> rooms.RoomDetails:
        if room_id not in self.details:
            raise rooms.RoomUnknown(room_id=room_id)
        return self.details[room_id]


class People(users.Users):
    """Accounts and sessions."""

    def __init__(self) -> None:
        self.accounts: dict[str, tuple[users.User, str]] = {}
        self.sessions: dict[str, users.User] = {}
        self.asked: list[users.Credentials] = []

    async def sign_up(self, new: users.NewUser) -> users.User:
        if new.email in self.accounts:
            raise users.EmailTaken(email=new.email)
        user = users.User(user_id=uuid4(), name=new.name, email=new.email)
        self.accounts[new.email] = (user, new.password)
        return user

    async def enroll(self, new: users.NewUser) -> users.User:
        if new.email not in self.accounts:
            return await self.sign_up(new)
        return self._authenticated(new.email, new.password)

    async def sign_in(self, credentials: users.Credentials) -> users.Session:
        self.asked.append(credentials)
        user = self._authenticated(credentials.email, credentials.password)
        token = uuid4().hex
        self.sessions[token] = user
        return users.Session(
            token=token, user=user, expires=datetime.now(UTC) + timedelta(days=7), device=f"known to be {user.email}"
        )

    async def identify(self, token: str) -> users.User | None:
        return self.sessions.get(token)

    async def sign_out(self, token: str) -> None:
        self.sessions.pop(token, None)

    def _authenticated(self, email: str, password: str) -> users.User:
        user, known = self.accounts.get(email, (None, ""))
        if user is None or known != password:
            raise users.WrongCredentials
        return user


class Desk(reservations.Reservations):
    """Books once per key; receipt and mails follow, one each time somebody looks."""

    def __init__(self, catalogue: Catalogue, people: People) -> None:
        self.catalogue, self.people = catalogue, people
        self.bookings: dict[UUID, tuple[str, Booking]] = {}
        self.answers: dict[str, Booking] = {}
        self.intents: dict[tuple[str, UUID | None], UUID] = {}
        self.taken = False

    async def book(self, request: BookingRequest) -> Booking:
        key = current().key
        assert key is not None, "the site books under a key"
        if key not in self.answers:
            self.answers[key] = await self._book(request)
        return self.answers[key]

    async def _book(self, request: BookingRequest) -> Booking:
        user = current().user
        owner = user.subject if user else str((await self.people.enroll(request.guest)).user_id)  # type: ignore[arg-type]
        if self.taken:
            raise rooms.RoomTaken(room_id=request.room_id)
        if request.card.number == "4000000000000002":
            raise CardDeclined(reason="card_declined")
        if request.card.number == "4242424242424241":
            raise CardInvalid(field="number", reason="This is not a valid card number. Check the digits.")
        if (owner, request.intent) in self.intents:
            raise reservations.AlreadyBooked(booking_id=self.intents[owner, request.intent])
        booking = self._booking(request, owner)
        self.bookings[booking.booking_id] = (owner, booking)
        self.intents[owner, request.intent] = booking.booking_id
        return booking

    def _booking(self, request: BookingRequest, owner: str) -> Booking:
        found = self.catalogue.details[request.room_id]
        person = next(user for user, _ in self.people.accounts.values() if str(user.user_id) == owner)
        made = (Milestone.REQUESTED, Milestone.HELD, Milestone.PAID, Milestone.CONFIRMED)
        return Booking(
            booking_id=uuid4(), status=Status.CONFIRMED, hotel=found.hotel.name, hotel_address=found.hotel.address,
            hotel_email=found.hotel.email, city=found.hotel.place.name, room=found.room.name,
            room_id=request.room_id, arrival=request.arrival, nights=request.nights, guests=request.guests,
            price=euros(found.room.nightly.amount * request.nights), guest_name=person.name, guest_email=person.email,
            card_last4=request.card.number[-4:], tracking=[_track(milestone) for milestone in made],
        )  # fmt: skip

    async def intended(self, intent: UUID) -> Booking | None:
        booking_id = self.intents.get((_me(), intent))
        return None if booking_id is None else await self.booking(booking_id)

    async def mine(self) -> list[Booking]:
        return [booking for owner, booking in reversed(self.bookings.values()) if owner == _me()]

    async def booking(self, booking_id: UUID) -> Booking:
        owner, booking = self.bookings.get(booking_id, ("", None))
        if booking is None or owner != _me():
            raise reservations.BookingUnknown(booking_id=booking_id)
        follows = self._follows(booking)
        if follows:
            after = msgspec.structs.replace(booking, tracking=[*booking.tracking, follows[0]])
            self.bookings[booking_id] = (owner, after)
        return booking

    def _follows(self, booking: Booking) -> list[Track]:
        cancelled = booking.status is Status.CANCELLED
        awaited = TOLD_OF_CANCELLATION if cancelled else TOLD
        reached = {(track.milestone, track.note) for track in booking.tracking}
        return [_track(milestone, note) for milestone, note in awaited if (milestone, note) not in reached]

    async def receipt(self, booking_id: UUID) -> bytes:
        booking = await self.booking(booking_id)
        if not any(track.milestone is Milestone.RECEIPT_ISSUED for track in booking.tracking):
            raise reservations.ReceiptPending(booking_id=booking_id)
        return b"%PDF-1.7 a receipt"

    async def cancel(self, booking_id: UUID) -> Booking:
        assert current().key is not None, "the site cancels under a key"
        booking = await self.booking(booking_id)
        if booking.arrival < datetime.now(UTC).date():
            raise reservations.NotCancellable(booking_id=booking_id)
        undone = (Milestone.REFUNDED, Milestone.RELEASED, Milestone.CANCELLED)
        tracking = [*booking.tracking, *map(_track, undone)]
        cancelled = msgspec.structs.replace(booking, status=Status.CANCELLED, tracking=tracking)
        self.bookings[booking_id] = (_me(), cancelled)
        return cancelled


class World:
    """Every service, what was called in whose context, and what is to fail."""

    def __init__(self) -> None:
        self.catalogue = Catalogue()
        self.people = People()
        self.desk = Desk(self.catalogue, self.people)
        self.calls: list[tuple[str, Context]] = []
        self.broken: dict[str, Exception] = {}
        self.late: set[str] = set()  # what is not answered in a moment
        self.used: set[str] = set()  # idempotency keys that other requests were sent under

    def client(self, contract: type) -> Any:
        """The connector's one method."""
        found = {search.Search: self.catalogue, rooms.Rooms: self.catalogue, users.Users: self.people}
        return _Watched(found.get(contract, self.desk), contract.__name__, self)


class _Watched:
    """A client that notes each call, and fails where the world is broken."""

    def __init__(self, service: Any, name: str, world: World) -> None:
        self._service, self._name, self._world = service, name, world

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        operation = f"{self._name}.{method}"

        async def call(*args: Any, **kwargs: Any) -> Any:
            self._world.calls.append((operation, msgspec.structs.replace(current())))
            if current().key in self._world.used:
                raise CallError(Code.ALREADY_EXISTS, "this idempotency key was used for another request")
            if operation in self._world.late and current().remaining() is not None:
                raise CallError(Code.DEADLINE_EXCEEDED, f"{operation} did not answer in time")
            if operation in self._world.broken:
                raise self._world.broken[operation]
            return await getattr(self._service, method)(*args, **kwargs)

        return call


def connected(app: Any, world: World) -> Any:
    """An ASGI app within reach of `world`, as a system would host it."""

    async def hosted(scope: Any, receive: Any, send: Any) -> None:
        token = CONNECTOR.set(world)
        try:
            await app(scope, receive, send)
        finally:
            CONNECTOR.reset(token)

    return hosted


def _me() -> str:
    user = current().user
    assert user is not None, "the site acts in the guest's name"
    return user.subject


def _track(milestone: Milestone, note: str = "") -> Track:
    return Track(milestone=milestone, at=datetime.now(UTC), note=note)
