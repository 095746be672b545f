"""Opening an account, signing in and out, and whether to be written to."""

from __future__ import annotations

from quart import Blueprint, flash, g, render_template, request, session, url_for
from quart.wrappers import Response

from bookshop.contracts.customers import (
    Credentials,
    Customers,
    EmailTaken,
    NewCustomer,
    TooManyAttempts,
    WrongCredentials,
)
from bookshop.web.carts import merge
from bookshop.web.forms import Form, as_typed
from bookshop.web.reader import acting, leads_to, local_path, signed_in, welcome
from meristem import CallError, Code

blueprint = Blueprint("account", __name__)

NAME = "Tell us your name."
EMAIL = "Write your e-mail address like name@example.org, without accents before the @."
NEW_PASSWORD = "Choose a password of at least 8 characters."  # noqa: S105 - the words beside the field
OLD_PASSWORD = "Write your password."  # noqa: S105
WRONG = "The e-mail address or the password is wrong."


@blueprint.route("/sign-in", methods=["GET", "POST"])
async def sign_in() -> Response | str | tuple[str, int]:
    """Open a session for somebody who has an account."""
    if request.method != "POST":
        return _onwards() if g.customer is not None else await _page("sign_in.html", Form())
    form = Form(await request.form)
    credentials = form.build(Credentials, {"email": EMAIL, "password": OLD_PASSWORD}, password=as_typed)
    if credentials is not None:
        try:
            await _enter(credentials)
            return _onwards()
        except WrongCredentials:
            form.errors["password"] = WRONG
        except TooManyAttempts as fault:
            form.errors["password"] = _waiting(fault)
            return await _page("sign_in.html", form), 429
        except CallError as error:
            _blame_or_raise(form, error, "email", "password")
    return await _page("sign_in.html", form), 422


@blueprint.route("/sign-up", methods=["GET", "POST"])
async def sign_up() -> Response | str | tuple[str, int]:
    """Open an account and a session for it."""
    if request.method != "POST":
        return _onwards() if g.customer is not None else await _page("sign_up.html", Form())
    form = Form(await request.form)
    problems = {"name": NAME, "email": EMAIL, "password": NEW_PASSWORD}
    form.sent["offers"] = "true" if "offers" in form.sent else "false"
    new = form.build(NewCustomer, {**problems, "offers": ""}, password=as_typed)
    if new is not None:
        try:
            await Customers.client().sign_up(new)
            await _enter(Credentials(email=new.email, password=new.password))
        except EmailTaken:
            form.errors["email"] = "There is an account with this address already. Sign in instead."
        except CallError as error:
            _blame_or_raise(form, error, *problems)
        else:
            await flash(f"Welcome, {new.name}.")
            return _onwards()
    return await _page("sign_up.html", form), 422


@blueprint.post("/sign-out")
async def sign_out() -> Response:
    """Close the session, here and at the service."""
    token = session.get("token")
    session.clear()
    if token is not None:
        await Customers.client().sign_out(token)
    return leads_to(url_for("browsing.home"))


@blueprint.route("/account", methods=["GET", "POST"])
@signed_in
async def mine() -> Response | str:
    """Whether we write when there is an offer; each letter about one leads here."""
    if request.method != "POST":
        return await render_template("account.html")
    wants = "offers" in await request.form
    with acting():
        await Customers.client().want_offers(wants)
    await flash("We write to you when there is an offer." if wants else "We write to you about your orders alone.")
    return leads_to(url_for("account.mine"))


async def _enter(credentials: Credentials) -> None:
    welcome(await Customers.client().sign_in(credentials))
    await merge()


def _waiting(fault: TooManyAttempts) -> str:
    minutes, seconds = -(-fault.wait // 60), fault.wait
    wait = f"{minutes} minutes" if minutes > 1 else "a minute" if seconds > 45 else f"{max(seconds, 2)} seconds"
    return f"There were several wrong passwords. Wait {wait}, then try again."


def _blame_or_raise(form: Form, error: CallError, *fields: str) -> None:
    if error.code is not Code.INVALID_ARGUMENT or not form.blame(error, fields):
        raise error


def _next() -> str | None:
    return local_path(request.args.get("next"))


def _onwards() -> Response:
    return leads_to(_next() or url_for("browsing.home"))


async def _page(template: str, form: Form) -> str:
    return await render_template(template, form=form, next=_next())
