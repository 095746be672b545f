"""The hotel site as one system."""

from __future__ import annotations

from hotels.contracts.users import Users
from meristem import App, Identity, System


async def authenticate(token: str) -> Identity | None:
    """Whose session a bearer token stands for."""
    user = await Users.client().identify(token)
    return None if user is None else Identity(str(user.user_id), user.name)


system = System(
    "hotels",
    services=[  # each is imported in the process in which it lives, and in no other
        "hotels.rooms.service:RoomsService",
        "hotels.search.service:SearchService",
        "hotels.users.service:UsersService",
        "hotels.payments.service:PaymentsService",
        "hotels.documents.service:DocumentsService",
        "hotels.notifications.service:NotificationsService",
        "hotels.reservations.service:ReservationsService",
    ],
    apps=[
        App("web", "hotels.web.app:app", mount="/"),
        App("bank", "thirdparties.bank.app:app", mount="/bank"),
        App("partner", "thirdparties.partner.app:app", mount="/partner"),
        App("mailbox", "thirdparties.mail.app:app", mount="/mailbox"),
    ],
    authenticate=authenticate,
)
