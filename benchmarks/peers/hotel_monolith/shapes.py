"""What goes over the wire, as pydantic models; the same fields as the hotel example's REST interface."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

Nights = Annotated[int, Field(ge=1, le=30)]
Guests = Annotated[int, Field(ge=1, le=8)]


class Money(BaseModel):
    amount: Decimal
    currency: str = "EUR"


class Offer(BaseModel):
    source: Literal["own", "partner"]
    hotel: str
    stars: int
    city: str
    country: str
    room: str
    capacity: int
    nightly: Money
    total: Money
    free: int | None = None
    room_id: UUID | None = None
    link: str | None = None


class Offers(BaseModel):
    city: str
    arrival: date
    nights: int
    guests: int
    offers: list[Offer]
    partner: Literal["answered", "slow", "down"]


class PartnerOffer(BaseModel):
    hotel: Annotated[str, Field(max_length=200)]
    room: Annotated[str, Field(max_length=200)]
    stars: Annotated[int, Field(ge=0, le=7)]
    price_per_night: Decimal
    currency: str
    url: str


class PartnerAnswer(BaseModel):
    offers: list[PartnerOffer]


class NewUser(BaseModel):
    name: str
    email: str
    password: Annotated[str, Field(min_length=8)]


class Credentials(BaseModel):
    email: str
    password: str


class UserShape(BaseModel):
    user_id: UUID
    name: str
    email: str


class SessionShape(BaseModel):
    token: str
    user: UserShape


class Card(BaseModel):
    number: Annotated[str, Field(min_length=12, max_length=30)]
    expiry: Annotated[str, Field(pattern=r"^(0[1-9]|1[0-2])/\d\d$")]
    cvc: Annotated[str, Field(pattern=r"^\d{3,4}$")]


class BookingRequest(BaseModel):
    room_id: UUID
    arrival: date
    nights: Nights
    guests: Guests
    card: Card


class TrackShape(BaseModel):
    milestone: str
    at: str
    note: str = ""


class BookingShape(BaseModel):
    booking_id: UUID
    status: str
    hotel: str
    hotel_address: str
    hotel_email: str
    city: str
    room: str
    room_id: UUID
    arrival: date
    nights: int
    guests: int
    price: Money
    guest_name: str
    guest_email: str
    card_last4: str
    tracking: list[TrackShape] = []
