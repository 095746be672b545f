"""Signing guests in."""

from quart import current_app
from sitekit.pages import visitors

from hotels.contracts.users import Credentials, NewUser, Session, TooManyAttempts, Users, WrongCredentials
from meristem import CallError


def welcome(opened: Session) -> None:
    """Keep a new session in the cookie."""
    visitors.welcome(opened.user, opened.token, opened.device)


async def enter(new: NewUser) -> bool:
    """Sign in somebody whose account a booking has opened; False if that does not work just now."""
    known = visitors.device()
    try:
        welcome(await Users.client().sign_in(Credentials(email=new.email, password=new.password, device=known)))
    except (CallError, WrongCredentials, TooManyAttempts) as error:
        current_app.logger.warning("an account was opened, but not signed in: %s", error)
        return False
    return True
