"""The documentation is whole: its links lead somewhere, and every public name is explained."""

from __future__ import annotations

import inspect
import itertools
import re
import tomllib
from typing import Any

import pytest

import meristem

from .pages import ROOT, pages

LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)
OTHER_PAGES = ("CONTRIBUTING.md", "CHANGELOG.md")


def anchor(heading: str) -> str:
    """The fragment by which a heading is reached."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", [*pages(), *OTHER_PAGES])
def test_a_relative_link_leads_somewhere(page: str) -> None:
    text = CODE.sub("", (ROOT / page).read_text())
    for match in LINK.finditer(text):
        path, _, fragment = match["target"].partition("#")
        if "://" in path or path.startswith("mailto:"):
            continue
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page} links to {path}"
        if fragment:
            headings = {anchor(each["text"]) for each in HEADING.finditer(target.read_text())}
            assert fragment in headings, f"{page} links to {match['target']}"


@pytest.mark.parametrize("page", [each for each in pages() if each not in {"README.md", "docs/index.md"}])
def test_a_page_is_on_the_map(page: str) -> None:
    assert f"({page.removeprefix('docs/')})" in (ROOT / "docs/index.md").read_text()


@pytest.mark.parametrize("name", meristem.__all__)
def test_a_public_name_is_explained(name: str) -> None:
    """In the documentation, and by the first sentence of its own docstring."""
    text = "\n".join((ROOT / page).read_text() for page in pages())
    assert re.search(rf"\b{name}\b", text), f"no page mentions {name}"

    first = _first_sentence(getattr(meristem, name))

    assert first.endswith("."), f"{name}: {first!r} is no sentence"


def _first_sentence(thing: Any) -> str:
    """What stands before the first empty line, up to a full stop; an alias of a type has no docstring of its own."""
    if not (isinstance(thing, type) or inspect.isroutine(thing) or isinstance(thing, type(meristem.safe))):
        return "An alias."
    paragraph = " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())
    found = re.match(r".+?\.(?= |$)", paragraph)
    return found[0] if found else paragraph


@pytest.mark.parametrize("page", ["docs/design/dependencies.md", "docs/licences.md"])
def test_every_dependency_is_listed(page: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    for file in sorted((ROOT / "requirements").glob("*.in")):
        wanted += [line for line in file.read_text().splitlines() if line and not line.startswith("#")]

    text = (ROOT / page).read_text()

    names = {re.split(r"[^a-z0-9.-]", each.lower())[0].replace(".", "-") for each in wanted}
    missing = {name for name in names if f"| {name} |" not in text}
    assert not missing
