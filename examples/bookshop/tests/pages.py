"""The whole shop with its pages, as a reader meets it in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, TypeVar

from playwright.sync_api import Page
from served import CARD, Served, eventually

PASSWORD = "analytical engine"
HOME = {
    "Name at the door": "Ada Lovelace",
    "Street and number": "12 St James Square",
    "Postcode": "SW1Y 4JH",
    "Town or city": "London",
    "Country": "United Kingdom",
}
PAYMENT = {"Card number": CARD["number"], "Expiry (MM/YY)": CARD["expiry"], "Security code (CVC)": CARD["cvc"]}


class Bookshop(Served):
    """All services, the pages, the bank and the mailbox."""

    system = "bookshop.system:system"
    variables: ClassVar = {
        "BOOKSHOP_MAIL_SMTP_URL": "smtp://127.0.0.1:{mail_port}",
        "BOOKSHOP_CUSTOMERS_TIME_COST": "1",
        "BOOKSHOP_CUSTOMERS_MEMORY_KIB": "8",
        "BOOKSHOP_WEB_PATIENCE": "20",  # on a busy machine nothing is away
    }

    def has_stock(self) -> bool:
        """Whether the books that the catalogue told of have come to the stock."""
        return "In stock" in self.http.get("/books/60").text


ShopT = TypeVar("ShopT", bound=Bookshop)


@contextmanager
def ready_to_sell(shop: ShopT) -> Iterator[ShopT]:
    """Have a shop run that has its books."""
    try:
        shop.started()
        eventually(shop.has_stock, bool)
        yield shop
    finally:
        shop.stop()


def add(page: Page, book_id: int) -> None:
    """Put a book into the cart, from its page."""
    page.goto(f"/books/{book_id}")
    page.get_by_role("button", name="Add to cart").click()


def sign_up(page: Page, email: str) -> None:
    """Open an account."""
    page.goto("/sign-up")
    fill(page, {"Your name": "Ada Lovelace", "E-mail": email, "Password": PASSWORD})
    page.get_by_role("button", name="Open account").click()


def fill(page: Page, answers: dict[str, str]) -> None:
    """Type answers into the fields of these labels."""
    for label, text in answers.items():
        page.get_by_label(label).fill(text)
