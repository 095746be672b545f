"""FastAPI's page `/docs` in a real browser: it finds its API at the public port, wherever the app lives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import Complaints, chromium
from playwright.sync_api import expect

from tests.interop.nodejs import installed
from tests.suites.served import PATIENCE, copied, served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page, Route

EXAMPLE = Path(__file__).parents[2] / "examples/quickstart"
CDN, ICON = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5/", "https://fastapi.tiangolo.com/img/favicon.png"
PLACES = {
    "one process": None,
    "two replicas": '[processes]\nedge = ["*"]\nfastapi = { services = ["fastapi"], replicas = 2 }\n',
}
pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(300),  # each wait inside has a bound of its own
    pytest.mark.xdist_group("swagger-ui"),  # it is installed once
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def swagger(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of swagger-ui; nothing is installed where there is no browser."""
    folder = installed(Path(__file__).parent / "swagger", tmp_path_factory.mktemp("swagger") / "ui", seconds=110)
    return folder / "node_modules/swagger-ui-dist"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own for a test."""
    with browser.new_context() as context:
        context.set_default_timeout(PATIENCE * 1000)
        yield context.new_page()


@pytest.fixture(params=PLACES)
def address(request: pytest.FixtureRequest, swagger: Path, tmp_path: Path) -> Iterator[str]:
    """Where the quickstart's hosted apps answer, by each placement in turn."""
    folder = copied(EXAMPLE, tmp_path / "quickstart")
    with served(folder, "hosted.py", PLACES[request.param]) as run:
        yield run.address


def answering(swagger: Path, address: str) -> Callable[[Route], None]:
    """Answers what the page asks of other hosts from a folder; whatever else it asks of them fails."""

    def answer(route: Route) -> None:
        url = route.request.url
        if url.startswith(f"{address}/"):
            route.continue_()
        elif url.startswith(CDN):
            route.fulfill(path=swagger / url.removeprefix(CDN))
        elif url == ICON:
            route.fulfill(path=swagger / "favicon-32x32.png")
        else:
            route.abort()

    return answer


def test_the_page_of_a_fastapi_app_shows_its_operations_and_calls_them(page: Page, swagger: Path, address: str) -> None:
    page.route("**/*", answering(swagger, address))
    complaints = Complaints(page)
    expect.set_options(timeout=PATIENCE * 1000)

    page.goto(f"{address}/fastapi/docs")
    expect(page.locator(".opblock")).to_have_count(2)
    add = page.locator("#operations-default-add_add_post")
    add.locator(".opblock-summary-control").click()
    add.get_by_role("button", name="Try it out").click()
    add.locator("textarea").fill('{"a": 2, "b": "3"}')
    with page.expect_response(f"{address}/fastapi/add") as answered:
        add.get_by_role("button", name="Execute").click()

    assert (answered.value.status, answered.value.json()) == (200, {"result": 5})
    shown = add.locator(".live-responses-table .response")
    expect(shown.locator(".response-col_status")).to_contain_text("200")
    assert json.loads(shown.locator(".response-col_description pre").first.inner_text()) == {"result": 5}
    assert complaints.heard == []
