"""A real browser for tests and screenshots: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, sync_playwright

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; where there is none the test is skipped, in CI it fails."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("CI must install Chromium: apt-get install chromium")
        pytest.skip("no Chromium is found; install it (Debian: apt-get install chromium) to run the browser's tests")
    with sync_playwright() as playwright:
        british = {**os.environ, "LANGUAGE": "en_GB"}  # a date field follows the browser's own language, not the page's
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS, env=british, timeout=60_000)
        try:
            yield browser
        finally:
            browser.close()


class Complaints:
    """What goes wrong on a page without anybody seeing it: the console's errors, and requests that fail."""

    def __init__(self, page: Page) -> None:
        self.heard: list[str] = []
        self._allowed: set[int] = set()
        page.on("console", self._spoke)
        page.on("pageerror", lambda error: self.heard.append(f"script: {error}"))
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)

    @contextmanager
    def allowing(self, status: int) -> Iterator[None]:
        """Within the block an answer of this status is part of the story."""
        self._allowed.add(status)
        try:
            yield
        finally:
            self._allowed.remove(status)

    def allow(self, statuses: set[int]) -> None:
        """From now on answers of these statuses are part of the story."""
        self._allowed |= statuses

    def _spoke(self, message: ConsoleMessage) -> None:
        refused = any(f"status of {status}" in message.text for status in self._allowed)
        if message.type in {"error", "warning"} and not refused:
            self.heard.append(f"console: {message.text} at {message.location}")

    def _failed(self, request: Request) -> None:
        if "ERR_ABORTED" not in (request.failure or ""):  # a download, or a question that the next page made needless
            self.heard.append(f"failed: {request.method} {request.url}: {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self._allowed:
            self.heard.append(f"answered {response.status}: {response.request.method} {response.url}")
