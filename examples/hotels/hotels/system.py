"""The hotel site as one system, and beside it what stands in for third parties: for the developer's own host.

`production` is the site alone. Its placement names the real bank, partner and mail server
(`placements/production.toml`); what stands in for them isn't part of it and so is served by nothing.
"""

from __future__ import annotations

from hotels.contracts.users import Users
from meristem import About, App, Identity, System


async def authenticate(token: str) -> Identity | None:
    """Whose session a bearer token stands for."""
    user = await Users.client().identify(token)
    return None if user is None else Identity(str(user.user_id), user.name)


SERVICES = [  # each is imported in the process in which it lives, and in no other
    "hotels.rooms.service:RoomsService",
    "hotels.search.service:SearchService",
    "hotels.users.service:UsersService",
    "hotels.payments.service:PaymentsService",
    "hotels.documents.service:DocumentsService",
    "hotels.notifications.service:NotificationsService",
    "hotels.reservations.service:ReservationsService",
]
STAND_INS = [
    App("bank", "thirdparties.bank.app:app", mount="/bank"),
    App("partner", "thirdparties.partner.app:app", mount="/partner"),
    App("mailbox", "thirdparties.mail.app:app", mount="/mailbox"),
]

ABOUT = About(
    title="Hotels",
    description="Find a room that is free, book it and pay, and get the receipt.",
    contact="desk@hotels.example",
)

system = System(
    "hotels",
    services=SERVICES,
    apps=[App("web", "hotels.web.app:app", mount="/"), *STAND_INS],
    authenticate=authenticate,
    about=ABOUT,
)

production = System(
    "hotels",
    services=SERVICES,
    apps=[App("web", "hotels.web.production:app", mount="/")],
    authenticate=authenticate,
    about=ABOUT,
)
