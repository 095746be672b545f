"""What fails is a calm page; what is behind it is in the log alone."""

from __future__ import annotations

import re
from typing import Any

import pytest

from meristem import CallError, Code, Fault


class Unexpected(Fault):
    """No page knows of it."""


async def test_a_missing_page_says_so(visitor: Any) -> None:
    page = await visitor.get("/nowhere")
    assert (page.status_code, "There is no such page." in page.html) == (404, True)


async def test_another_method_is_told_which_there_are(visitor: Any) -> None:
    await visitor.token()
    page = await visitor.post("/mine", {"form_token": await visitor.token()})
    assert (page.status_code, "GET" in page.headers["Allow"]) == (405, True)


@pytest.mark.parametrize("failing", [RuntimeError("secret detail"), Unexpected(), CallError(Code.INTERNAL, "secret")])
async def test_a_crash_is_a_calm_page_and_a_logged_traceback(
    visitor: Any, world: Any, caplog: pytest.LogCaptureFixture, failing: Exception
) -> None:
    world.failing = failing
    page = await visitor.get("/")
    assert page.status_code == 500
    assert "It has been noted." in page.html
    assert "secret" not in page.html
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(
    ("code", "status"),
    [(Code.UNAVAILABLE, 503), (Code.DEADLINE_EXCEEDED, 503), (Code.RESOURCE_EXHAUSTED, 429), (Code.NOT_FOUND, 404)],
)
async def test_a_failed_call_has_its_page(visitor: Any, world: Any, code: Code, status: int) -> None:
    world.failing = CallError(code, "internal detail", retry_after=7)
    page = await visitor.get("/")
    assert page.status_code == status
    assert "internal detail" not in page.html
    assert page.headers.get("Retry-After") == ("7" if status in (429, 503) else None)


async def test_a_fault_that_a_site_knows_has_its_sentence(visitor: Any, world: Any, app: Any) -> None:
    gone = next(iter(app.extensions["site"].faults))
    world.failing = gone()
    page = await visitor.get("/")
    assert (page.status_code, "It was there once." in page.html) == (404, True)


async def test_scripts_are_kept_by_browsers_until_they_change(visitor: Any) -> None:
    found = re.search(r'src="(/kit/forms.js[^"]+)"', (await visitor.get("/")).html)
    assert found is not None
    assert "immutable" in (await visitor.get(found[1])).headers["Cache-Control"]
    assert (await visitor.get("/kit/forms.js?v=old")).headers["Cache-Control"] == "no-cache"
