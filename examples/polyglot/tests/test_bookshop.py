"""A system of four languages: services call programs, which call services, and a page in PHP has a public path."""

from __future__ import annotations

import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.suites.served import PATIENCE, Served, copied, served

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parents[1]
PLACES = {"one process": None, "split": (FOLDER / "split.toml").read_text()}
NEEDED = {"node": "Node.js (Debian: nodejs)", "java": "a JDK of 17 or newer (Debian: default-jdk-headless)"}
WITHOUT_PHP = """
from bookshop import system as whole
from meristem import System

programs = [each for each in whole.programs if each.name != "shop"]
system = System("bookshop", services=whole.services, programs=programs)
"""
has_php = pytest.mark.skipif(shutil.which("php") is None, reason="PHP is not installed (Debian: php-cli)")
pytestmark = pytest.mark.xdist_group("bookshop")  # it is started once a place


@pytest.fixture(scope="module", params=PLACES)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The bookshop as it runs, without its page where PHP is missing."""
    if missing := [name for command, name in NEEDED.items() if shutil.which(command) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    folder = copied(FOLDER, tmp_path_factory.mktemp("polyglot") / "bookshop")
    (folder / "pageless.py").write_text(WITHOUT_PHP)
    with served(
        folder, "pageless.py:system" if shutil.which("php") is None else "bookshop.py", PLACES[request.param]
    ) as run:
        yield run


def got(run: Served, path: str, **headers: str) -> httpx.Response:
    return httpx.get(run.address + path, headers=headers, timeout=PATIENCE, trust_env=False)


def text_of(page: httpx.Response) -> str:
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    return re.sub(r"<[^>]*>", "", page.text)


def test_a_service_answers_with_what_programs_in_other_languages_know(shop: Served) -> None:
    """Node.js has the pages of a book, and Java its work, from a service in Python."""
    offer = got(shop, "/api/offers/1968")

    book = {"isbn": "1968", "title": "The Art of Programming", "work": "art", "pages": 634}
    assert (offer.status_code, offer.json()) == (200, {"book": book, "cents": 3170, "stars": 4.0})


@pytest.mark.parametrize("operation", ["prices.price", "reviews.stars"])
def test_a_fault_comes_through_a_program_and_back(shop: Served, operation: str) -> None:
    """The catalog refuses, by Connect or REST, the program says 404, and its service says which fault that is."""
    words = ["call", "--system", shop.system, operation, '{"isbn": "77"}']

    called = subprocess.run(
        [sys.executable, "-m", "meristem", *words],
        cwd=shop.folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert called.returncode != 0
    assert "NoSuchBook" in called.stdout + called.stderr


@pytest.mark.parametrize(
    "asked", ["POST /bookshop.catalog.v1.Catalog/Book 200", "GET /api/books/1843 200"], ids=["Node.js", "Java"]
)
def test_a_trace_goes_on_through_a_program(shop: Served, asked: str) -> None:
    trace = secrets.token_hex(16)

    got(shop, "/api/offers/1843", traceparent=f"00-{trace}-{secrets.token_hex(8)}-01")

    assert shop.shows(asked, trace)


@has_php
def test_a_page_in_php_is_reached_at_its_mount_and_its_links_lead_below_it(shop: Served) -> None:
    books = got(shop, "/shop/")
    link = re.findall(r'href="([^"]*)"', books.text)[1]

    book = got(shop, link)

    assert link == "/shop/books/1961"
    assert "Notes & Sketches <annotated>" not in books.text
    assert "<h1>Notes &amp; Sketches &lt;annotated&gt;</h1>" in book.text
    assert "5.50 €, 4.5 stars" in text_of(book)


@has_php
def test_a_form_of_the_page_is_answered(shop: Served) -> None:
    found = httpx.post(f"{shop.address}/shop/", data={"title": "ART"}, timeout=PATIENCE, trust_env=False)

    assert "The Art of Programming" in text_of(found)
    assert "Notes" not in text_of(found)


@has_php
@pytest.mark.parametrize(("path", "says"), [("books/77", "no such book"), ("elsewhere", "no such page")])
def test_what_the_page_does_not_have_is_404(shop: Served, path: str, says: str) -> None:
    page = got(shop, f"/shop/{path}")

    assert page.status_code == 404
    assert says in text_of(page)


@has_php
def test_a_trace_goes_on_through_the_page(shop: Served) -> None:
    trace = secrets.token_hex(16)

    got(shop, "/shop/books/1843", traceparent=f"00-{trace}-{secrets.token_hex(8)}-01")

    assert shop.shows("GET /api/offers/1843 200", trace)
    assert shop.shows("GET /shop/books/1843 200", trace)
