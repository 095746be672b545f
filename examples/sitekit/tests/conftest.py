"""A site of three pages with all that is furnished, and a visitor who reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from html import unescape
from typing import Any

import pytest
from jinja2 import DictLoader
from quart import Quart, flash, g, get_flashed_messages, request
from sitekit.accounts.faults import WrongCredentials
from sitekit.pages.attempts import admitted
from sitekit.pages.forms import Form
from sitekit.pages.furnishing import furnish
from sitekit.pages.site import Site
from sitekit.pages.visitors import device, leads_to, signed_in, welcome

from meristem import Fault, Identity

PAGE = """{% import "fields.html" as fields with context %}
<h1>{{ heading }}</h1>{% for each in messages %}<p>{{ each }}</p>{% endfor %}
<form method="post">{{ fields.token() }}{{ fields.summary(form) }}
{% call fields.field(form, "password", "Password", value="") %} maxlength="200"{% endcall %}</form>
<script type="module" src="{{ asset('forms.js') }}"></script>"""
PROBLEM = '<h1>{{ heading }}</h1><p>{{ text }}</p>{% if onwards %}<a href="{{ onwards }}">Open it</a>{% endif %}'
PROBLEMS = {
    403: ("Not accepted", ""),
    404: ("Nothing here", "There is no such page."),
    413: ("Too much", ""),
    429: ("Wait", ""),
    500: ("Broken", "It has been noted."),
    503: ("Away", ""),
}


class Gone(Fault):
    """It was there."""


class Visitor:
    """A browser that keeps its cookies."""

    def __init__(self, app: Quart) -> None:
        self.client = app.test_client()

    async def get(self, path: str, **how: Any) -> Any:
        return await self._read(await self.client.get(path, **how))

    async def post(self, path: str, form: Mapping[str, str], **how: Any) -> Any:
        return await self._read(await self.client.post(path, form=form, **how))

    async def token(self, path: str = "/sign-in") -> str:
        found = re.search(r'name="form_token" value="([^"]+)"', (await self.get(path)).html)
        assert found is not None
        return found[1]

    async def send(self, path: str, **fields: str) -> Any:
        return await self.post(path, {"form_token": await self.token(), **fields})

    @staticmethod
    async def _read(response: Any) -> Any:
        response.html = unescape(await response.get_data(as_text=True))
        return response


class World:
    """What the site's pages do: whose session a token is, what fails, and how often somebody signed in."""

    def __init__(self) -> None:
        self.failing: Exception | None = None
        self.entered: list[str] = []  # the device of each sign-in

    async def identify(self, token: str) -> str | None:
        return "ada" if token == "ada's" else None

    async def sign_in(self, password: str) -> None:
        if self.failing is not None:
            raise self.failing
        if password != "right":
            raise WrongCredentials
        self.entered.append(device())
        welcome("ada", "ada's", "a device of ada's")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def make_app(world: World) -> Callable[..., Quart]:
    """Gives a site of which something may differ."""

    def made(**changes: Any) -> Quart:
        app = Quart(__name__, template_folder=None)
        app.config.update(SESSION_COOKIE_NAME="kit")
        app.jinja_loader = DictLoader({"page.html": PAGE, "problem.html": PROBLEM})
        usual: dict[str, Any] = {
            "home": "home",
            "sign_in": "sign_in",
            "secret": lambda: "only for tests",
            "identify": world.identify,
            "identity": Identity,
            "problems": PROBLEMS,
            "faults": {Gone: (404, "It was there once.")},
        }
        furnish(app, Site(**{**usual, **changes}))
        _add_pages(app, world)
        return app

    return made


def _add_pages(app: Quart, world: World) -> None:
    async def page(heading: str, form: Form | None = None) -> str:
        template = app.jinja_env.get_template("page.html")
        return await template.render_async(heading=heading, form=form or Form(), messages=get_flashed_messages())

    @app.get("/")
    async def home() -> str:
        if world.failing is not None:
            raise world.failing
        return await page("Home")

    @app.route("/sign-in", methods=["GET", "POST"])
    async def sign_in() -> Any:
        if request.method != "POST":
            return await page("Sign in")
        form = Form(await request.form)
        if await admitted(form, ["password"], lambda: world.sign_in(form.shown("password"))):
            await flash("Welcome.")
            return leads_to("/mine")
        return await page("Sign in", form), form.status

    @app.post("/sign-out")
    async def sign_out() -> Any:
        return leads_to("/")

    @app.get("/mine")
    @signed_in
    async def mine() -> str:
        return await page(f"Of {g.user}")


@pytest.fixture
def app(make_app: Callable[..., Quart]) -> Quart:
    return make_app()


@pytest.fixture
def visitor(app: Quart) -> Visitor:
    return Visitor(app)
