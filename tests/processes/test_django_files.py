"""A Django project's static files and media: the same URLs and bytes in one process and behind the edge."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.suites.served import PATIENCE, copied, served

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.xdist_group("django-files")  # they share systems
PROJECT = Path(__file__).parent / "gallery"
PLACES = {
    "one process": None,
    "two replicas": '[processes]\nedge = []\npictures = { services = ["pictures"], replicas = 2 }\n',
}
PAPER = os.urandom(300_000)  # more than an answer runs ahead of its client
LARGE = os.urandom(4_000_000)  # Django keeps what is larger than 2.5 MiB in a file
HREF, TOKEN = re.compile(r'href="(.*?)"'), re.compile(r'name="csrfmiddlewaretoken" value="(.*?)"')


@pytest.fixture(scope="module", params=["by_wsgi", "by_asgi"])
def system(request: pytest.FixtureRequest) -> str:
    """The system that hosts the project by one of its two applications."""
    return f"hosted.py:{request.param}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with its static files collected."""
    folder = copied(PROJECT, tmp_path_factory.mktemp("gallery") / "project")
    (folder / "gallery/static/gallery/paper.bin").write_bytes(PAPER)
    command = [sys.executable, "-m", "django", "collectstatic", "--no-input", "--settings", "gallery.settings"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=PATIENCE)
    return folder


@pytest.fixture(scope="module", params=PLACES)
def address(request: pytest.FixtureRequest, system: str, project: Path) -> Iterator[str]:
    """The public port of the system, in each placement in turn."""
    with served(project, system, PLACES[request.param]) as run:
        yield run.address


@pytest.fixture
def browser(address: str, project: Path) -> Iterator[httpx.Client]:
    """A client of the system, which has no picture yet."""
    shutil.rmtree(project / "media", ignore_errors=True)
    with httpx.Client(base_url=address, timeout=PATIENCE, trust_env=False, follow_redirects=True) as client:
        yield client


def page(browser: httpx.Client) -> str:
    shown = browser.get("/pictures/")
    assert shown.status_code == 200, shown.text
    return shown.text


def links(browser: httpx.Client) -> list[str]:
    """The stylesheet, then of each picture where it is shown and where it is downloaded."""
    return HREF.findall(page(browser))


def upload(browser: httpx.Client, name: str, content: bytes, **fields: Any) -> httpx.Response:
    token = {"csrfmiddlewaretoken": TOKEN.findall(page(browser))[0]}
    return browser.post("/pictures/", data=token | fields, files={"picture": (name, content)})


def test_collected_static_files_are_served_at_their_urls(browser: httpx.Client, project: Path) -> None:
    collected = json.loads((project / "collected/staticfiles.json").read_text())["paths"]
    style, paper = f"/pictures/static/{collected['gallery/style.css']}", collected["gallery/paper.bin"]

    assert links(browser) == [style]
    got = browser.get(style)
    assert (got.status_code, got.headers["content-type"]) == (200, "text/css")
    assert got.content == (project / "collected" / collected["gallery/style.css"]).read_bytes()
    named = re.findall(r'url\("(.*?)"\)', got.text)
    assert named == [paper.removeprefix("gallery/")]
    assert browser.get(got.url.join(named[0])).content == PAPER
    unchanged = browser.get(style, headers={"if-modified-since": got.headers["last-modified"]})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    asked = browser.head(style)
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["content-length"] == str(len(got.content))
    assert browser.get("/pictures/static/gallery/none.css").status_code == 404


@pytest.mark.parametrize(
    ("name", "content"), [("small.txt", b"a\r\n\x00b"), ("large.bin", LARGE), ("Zürich.txt", b"a town")]
)
def test_what_a_form_uploads_is_downloaded_again(
    browser: httpx.Client, project: Path, name: str, content: bytes
) -> None:
    stored = upload(browser, name, content)

    assert (stored.status_code, str(stored.url.path)) == (200, "/pictures/")
    assert [each.status_code for each in stored.history] == [302]
    _, shown, attached = links(browser)
    quoted = httpx.URL(f"/{name}").raw_path.decode()
    assert (shown, attached) == (f"/pictures/media{quoted}", f"/pictures/download{quoted}")
    for got in [browser.get(shown), browser.get(attached)]:
        assert (got.status_code, got.headers["content-length"]) == (200, str(len(content)))
        assert got.content == content
    assert browser.get(attached).headers["content-disposition"].startswith("attachment; filename")
    assert (project / "media" / name).read_bytes() == content


def test_an_upload_without_the_forms_token_is_refused(browser: httpx.Client, project: Path) -> None:
    refused = upload(browser, "small.txt", b"a", csrfmiddlewaretoken="x" * 64)

    assert refused.status_code == 403
    assert not (project / "media").exists()
