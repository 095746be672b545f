"""Pictures of pages for the documentation, small enough for a repository."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

IMAGES = Path(__file__).parents[2] / "docs" / "images"
COLOURS = 256


def take(page: Page, name: str) -> Path:
    """Keep what a visitor sees first of a page; gives the file."""
    page.evaluate("document.fonts.ready")
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    file = IMAGES / f"{name}.png"
    page.screenshot(path=file, animations="disabled")
    with Image.open(file) as taken:
        return keep(taken.convert("RGB"), file)


def keep(image: Image.Image, file: Path) -> Path:
    """Write a picture with as few colours as it needs."""
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    return file
