"""Puts the site together: `hotels.web.app:app` is an ASGI app that any server or system can host."""

from datetime import timedelta

from quart import Quart
from sitekit.pages.furnishing import furnish
from sitekit.pages.site import Site

from hotels.contracts.users import User, Users
from hotels.web import formats, pictures
from hotels.web.pages import account, bookings, paying, searching
from hotels.web.problems import FAULTS, PROBLEMS
from hotels.web.settings import WebSettings
from meristem import Identity


def create_app(settings: WebSettings | None = None) -> Quart:
    """Make the site; nothing is read or written before the first request."""
    settings = settings or WebSettings.read()
    app = Quart(__name__)
    app.config.update(SESSION_COOKIE_NAME="lamplight", PERMANENT_SESSION_LIFETIME=timedelta(days=14))
    furnish(
        app,
        Site(
            home="searching.home",
            sign_in="account.sign_in",
            secret=settings.signing_secret,
            identify=lambda token: Users.client().identify(token),
            identity=_identity,
            problems=PROBLEMS,
            faults=FAULTS,
            policy={"img-src": "'self' data:", "connect-src": "'self'"},
            proxies=settings.proxies,
        ),
    )
    for part in (formats, pictures):
        part.install(app)
    app.jinja_env.globals["demonstration"] = settings.demonstration
    for pages in (searching, paying, account, bookings):
        app.register_blueprint(pages.blueprint)
    return app


def _identity(user: User) -> Identity:
    return Identity(subject=str(user.user_id), name=user.name)


app = create_app()
