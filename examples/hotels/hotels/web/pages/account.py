"""Opening an account, signing in and out."""

import msgspec
from quart import Blueprint, flash, g, render_template, request, session, url_for
from quart.wrappers import Response
from sitekit.pages.accounts import NEW, OLD
from sitekit.pages.attempts import admitted
from sitekit.pages.forms import Form, as_typed
from sitekit.pages.visitors import device, leads_to, local_path

from hotels.contracts.users import Credentials, NewUser, Users
from hotels.web.guest import welcome

blueprint = Blueprint("account", __name__)


@blueprint.route("/sign-in", methods=["GET", "POST"])
async def sign_in() -> Response | str | tuple[str, int]:
    """Open a session for somebody who has an account."""
    if request.method != "POST":
        return _onwards() if g.user is not None else await _page("sign_in.html", Form())
    form = Form(await request.form)
    credentials = form.build(Credentials, OLD, password=as_typed)
    if credentials is not None and await admitted(form, OLD, lambda: _enter(credentials)):
        return _onwards()
    return await _page("sign_in.html", form), form.status


@blueprint.route("/sign-up", methods=["GET", "POST"])
async def sign_up() -> Response | str | tuple[str, int]:
    """Open an account and a session for it."""
    if request.method != "POST":
        return _onwards() if g.user is not None else await _page("sign_up.html", Form())
    form = Form(await request.form)
    new = form.build(NewUser, NEW, password=as_typed)
    if new is not None and await admitted(form, NEW, lambda: _open(new)):
        await flash(f"Welcome, {new.name}.")
        return _onwards()
    return await _page("sign_up.html", form), form.status


@blueprint.post("/sign-out")
async def sign_out() -> Response:
    """Close the session, here and at the service."""
    token = session.get("token")
    session.clear()
    if token is not None:
        await Users.client().sign_out(token)
    return leads_to(url_for("searching.home"))


async def _open(new: NewUser) -> None:
    await Users.client().sign_up(new)
    await _enter(Credentials(email=new.email, password=new.password))


async def _enter(credentials: Credentials) -> None:
    welcome(await Users.client().sign_in(msgspec.structs.replace(credentials, device=device())))


def _next() -> str | None:
    return local_path(request.args.get("next"))


def _onwards() -> Response:
    return leads_to(_next() or url_for("bookings.mine"))


async def _page(template: str, form: Form) -> str:
    return await render_template(template, form=form, next=_next())
