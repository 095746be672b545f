"""The hotel site as one system."""

from __future__ import annotations

from hotels.contracts.users import Users
from hotels.documents.service import DocumentsService
from hotels.notifications.service import NotificationsService
from hotels.payments.service import PaymentsService
from hotels.reservations.service import ReservationsService
from hotels.rooms.service import RoomsService
from hotels.search.service import SearchService
from hotels.users.service import UsersService
from meristem import App, Identity, System


async def authenticate(token: str) -> Identity | None:
    """Whose session a bearer token stands for."""
    user = await Users.client().identify(token)
    return None if user is None else Identity(str(user.user_id), user.name)


system = System(
    "hotels",
    services=[
        RoomsService,
        SearchService,
        UsersService,
        PaymentsService,
        DocumentsService,
        NotificationsService,
        ReservationsService,
    ],
    apps=[
        App("web", "hotels.web.app:app", mount="/"),
        App("bank", "thirdparties.bank.app:app", mount="/bank"),
        App("partner", "thirdparties.partner.app:app", mount="/partner"),
        App("mailbox", "thirdparties.mail.app:app", mount="/mailbox"),
    ],
    authenticate=authenticate,
)
