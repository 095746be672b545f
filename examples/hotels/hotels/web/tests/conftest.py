"""The site within reach of services in memory, and a visitor who reads its pages."""

import re
from html import unescape
from typing import Any

import pytest
from hotels.web.app import create_app
from hotels.web.settings import WebSettings
from hotels.web.tests.fakes import World, connected
from quart import Quart

LISBON = {"city": "Lisbon", "arrival": "2027-05-01", "nights": "2", "guests": "2"}


class Page:
    """An answer, read to its end."""

    def __init__(self, response: Any, body: bytes) -> None:
        self.status: int = response.status_code
        self.headers = response.headers
        self.body = body
        self.html = body.decode(errors="replace")
        self.text = re.sub(
            r"\s+", " ", unescape(re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", self.html, flags=re.DOTALL))
        )

    def hidden(self, name: str) -> str:
        """The value of a hidden field."""
        found = re.search(rf'name="{name}" value="([^"]+)"', self.html)
        assert found is not None, f"no field {name} in the page"
        return found[1]

    @property
    def heading(self) -> str:
        found = re.search(r"<h1>(.*?)</h1>", self.html, re.DOTALL)
        return unescape(found[1]) if found else ""


class Visitor:
    """A browser without scripts: it keeps cookies and sends the forms it was given."""

    def __init__(self, app: Quart) -> None:
        self.client = app.test_client()

    async def get(self, address: str, **options: Any) -> Page:
        response = await self.client.get(address, **options)
        return Page(response, await response.get_data(as_text=False))

    async def post(self, address: str, form: dict[str, str], **options: Any) -> Page:
        response = await self.client.post(address, form=form, **options)
        return Page(response, await response.get_data(as_text=False))

    async def send(self, address: str, **fields: str) -> Page:
        """Open the page with a form, fill it in and send it."""
        page = await self.get(address)
        hidden = {name: page.hidden(name) for name in ("form_token", "key") if f'name="{name}"' in page.html}
        return await self.post(address, {**hidden, **fields})

    async def follow(self, page: Page) -> Page:
        assert page.status == 303, page.text
        return await self.get(page.headers["Location"])

    async def sign_up(self, email: str = "ada@example.org") -> None:
        page = await self.send("/sign-up", name="Ada Lovelace", email=email, password="correct horse")
        assert page.status == 303, page.text


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def app(world: World) -> Quart:
    made = create_app(WebSettings(secret="only for tests"))
    made.asgi_app = connected(made.asgi_app, world)  # type: ignore[method-assign]
    return made


@pytest.fixture
def visitor(app: Quart) -> Visitor:
    return Visitor(app)
