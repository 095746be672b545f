"""A hosted app loads typed settings by one line, from the places that a service's come from."""

from pathlib import Path
from typing import Protocol

import pytest
from fastapi import FastAPI

from meristem import App, ConfigurationError, Contract, MisuseError, Secret, Service, Settings, System, block_on, safe
from meristem.system.placement import Placement

APPLICATION = """
import flask
from meristem import Secret, Settings


class ShopSettings(Settings):
    currency: str = "EUR"
    key: Secret
    bank: str = "app://web"


class Later(Settings):
    greeting: str = "Hello"


settings = ShopSettings.load()
app = flask.Flask("shop")
app.secret_key = settings.key.reveal()


@app.get("/")
def page():
    told = [settings.currency, app.secret_key, str(settings.key), settings.bank, Later.load().greeting]
    return told + [ShopSettings.load() is settings]
"""


class WebSettings(Settings):
    name: str = "nobody"
    key: Secret = Secret("development")


class Asks(Contract, Protocol, package="tests.appsettings.v1"):
    @safe(http="GET /asks")
    async def asks(self) -> str: ...


class AsksService(Asks, Service):
    async def asks(self) -> str:
        try:
            WebSettings.load()
        except MisuseError as error:
            return str(error)
        return "it was given an app's"


@pytest.fixture
def shop(tmp_path: Path, request: pytest.FixtureRequest) -> System:
    name = f"shop_of_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(APPLICATION)
    return System("lamps", services=[AsksService], apps=[App("web", f"{name}:app")])


async def test_an_app_loads_its_settings_as_it_is_imported_and_in_a_view(serving, shop, tmp_path):
    (tmp_path / "key").write_text("s3cret\n")
    placement = Placement(settings={"web": {"currency": "SEK", "greeting": "Hej"}})
    environment = {"LAMPS_WEB_KEY_FILE": str(tmp_path / "key"), "LAMPS_WEB_GREETING": "Hi"}
    async with serving(shop, placement=placement, environment=environment, apps={"web": "http://web.test"}) as browser:
        assert (await browser.get("/")).json() == ["SEK", "s3cret", "***", "http://web.test", "Hi", True]
        assert (await browser.get("/api/asks")).json().startswith("WebSettings.load(): no app of a system runs here")


async def test_what_is_missing_or_misspelt_is_told_at_the_start(serving, shop, caplog):
    with pytest.raises(ConfigurationError, match=r"the settings of 'web' cannot be used:\s+- key: .* LAMPS_WEB_KEY="):
        async with serving(shop):
            pass
    with pytest.raises(ConfigurationError, match=r"\[settings.wep\]: there is no service or app 'wep'.*'web'"):
        async with serving(shop, placement=Placement(settings={"wep": {}})):
            pass
    with pytest.raises(ConfigurationError, match=r"\[policies.web\]: there is no service 'web'"):
        async with serving(shop, placement=Placement(policies={"web": {}})):
            pass


async def test_a_key_that_the_app_did_not_ask_for_is_told_at_the_start(serving, shop, caplog):
    placement = Placement(settings={"web": {"curency": "SEK", "greeting": "Hej"}})
    async with serving(shop, placement=placement, environment={"LAMPS_WEB_KEY": "s3cret"}, apps={"web": "http://w"}):
        pass
    assert "app 'web' loaded no settings with this key as it started: [settings.web] in [settings]" in caplog.text
    assert "has an unknown key 'curency'; did you mean 'currency'?" in caplog.text


async def test_views_of_every_kind_load_them(serving):
    app = FastAPI()

    @app.get("/async")
    async def in_loop() -> str:
        return WebSettings.load().name

    @app.get("/sync")
    def in_thread() -> str:
        block_on(Asks.client().asks())
        return WebSettings.load().name

    system = System("lamps", services=[AsksService], apps=[App("web", app)])
    async with serving(system, overrides={"web": {"name": "Ada"}}) as browser:
        assert [(await browser.get(each)).json() for each in ("/async", "/sync")] == ["Ada", "Ada"]


def test_outside_of_a_system_the_environment_is_read_by_the_names_of_system_and_app(monkeypatch):
    monkeypatch.setenv("LAMPS_WEB_NAME", "Ada")
    assert WebSettings.load(standalone="lamps.web").name == "Ada"
    assert WebSettings.load(standalone="lamps.admin").name == "nobody"
    with pytest.raises(MisuseError, match=r'App\("web", "shop.web:app"\), to be imported where it lives'):
        WebSettings.load()
