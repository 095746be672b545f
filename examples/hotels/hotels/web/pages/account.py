"""Opening an account, signing in and out."""

import msgspec
from quart import Blueprint, flash, g, redirect, render_template, request, session, url_for
from quart.wrappers import Response

from hotels.contracts.users import Credentials, EmailTaken, NewUser, TooManyAttempts, Users, WrongCredentials
from hotels.web.attempts import attempts, visitor_address
from hotels.web.forms import Form, as_typed
from hotels.web.guest import device, local_path, welcome
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
    if g.user is not None and request.method != "POST":
        return _onwards()
    if request.method != "POST":
        return await _page("sign_in.html", Form())
    form = Form(await request.form)
    credentials = form.build(Credentials, {"email": EMAIL, "password": OLD_PASSWORD}, password=as_typed)
    if credentials is not None:
        address = visitor_address()
        try:
            attempts().admit(address)
            welcome(await Users.client().sign_in(msgspec.structs.replace(credentials, device=device())))
            return _onwards()
        except WrongCredentials:
            attempts().failed(address)
            form.errors["password"] = WRONG
        except TooManyAttempts as fault:
            form.errors["password"] = waiting(fault)
            return await _page("sign_in.html", form), 429
        except CallError as error:
            _blame_or_raise(form, error, "email", "password")
    return await _page("sign_in.html", form), 422


@blueprint.route("/sign-up", methods=["GET", "POST"])
async def sign_up() -> Response | str | tuple[str, int]:
    """Open an account and a session for it."""
    if request.method != "POST":
        return await _page("sign_up.html", Form())
    form = Form(await request.form)
    problems = {"name": NAME, "email": EMAIL, "password": NEW_PASSWORD}
    new = form.build(NewUser, problems, password=as_typed)
    if new is not None:
        try:
            await Users.client().sign_up(new)
            welcome(await Users.client().sign_in(Credentials(email=new.email, password=new.password, device=device())))
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
        await Users.client().sign_out(token)
    return redirect(url_for("searching.home"), 303)  # type: ignore[return-value]


def waiting(fault: TooManyAttempts) -> str:
    """What to tell somebody who has to wait."""
    minutes, seconds = -(-fault.wait // 60), fault.wait
    wait = f"{minutes} minutes" if minutes > 1 else "a minute" if seconds > 45 else f"{max(seconds, 2)} seconds"
    return f"There were several wrong passwords. Wait {wait}, then try again."


def _blame_or_raise(form: Form, error: CallError, *fields: str) -> None:
    if error.code is not Code.INVALID_ARGUMENT or not form.blame(error, fields):
        raise error


def _next() -> str | None:
    return local_path(request.args.get("next"))


def _onwards() -> Response:
    return redirect(_next() or url_for("bookings.mine"), 303)  # type: ignore[return-value]


async def _page(template: str, form: Form) -> str:
    return await render_template(template, form=form, next=_next())
