"""The shop as its customers' programs meet it: over HTTP, in one process or several."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import httpx
from served import CARD, Served, in_time
from supervised_system import Supervised

HOME = {"name": "Ada", "street": "12 St James's Square", "postcode": "SW1Y 4JH", "city": "London", "country": "UK"}
PASSWORD = "analytical engine"
HERE = Path(__file__).parent
SPLIT = HERE / "split_alone.toml"


class Shop(Served):
    """The services that sell, with the bank and the mailbox."""

    system = "shop_alone:system"
    variables: ClassVar = {
        "PYTHONPATH": str(HERE),
        "BOOKSHOP_MAIL_SMTP_URL": "smtp://127.0.0.1:{mail_port}",
        "BOOKSHOP_CUSTOMERS_TIME_COST": "1",
        "BOOKSHOP_CUSTOMERS_MEMORY_KIB": "8",
        "BOOKSHOP_INVENTORY_FIRST_DELIVERY": "100000",
    }
    numbers = count(1)

    def new_customer(self) -> Customer:
        """Somebody who has signed up, and is signed in."""
        return Customer.new(self, f"reader{next(self.numbers):04}@books.example")

    def database(self, service: str) -> Path:
        """Where a service keeps its data unless a placement says otherwise."""
        return self.home / ".meristem" / "bookshop" / f"{service}.db"

    def stock(self) -> dict[int, int]:
        """How many copies are left of each book, as the database of the inventory says."""
        return dict(self.rows("inventory", 'SELECT book_id, "left" FROM stock'))

    def reservation(self, order_id: str) -> list[str]:
        """The state of an order's reservation, if it has one."""
        found = self.rows("inventory", "SELECT state FROM reservations WHERE order_id = ?", UUID(order_id).hex)
        return [state for (state,) in found]

    def rows(self, service: str, statement: str, *values: Any) -> list[Any]:
        with closing(sqlite3.connect(f"file:{self.database(service)}?mode=ro", uri=True)) as database:
            return database.execute(statement, values).fetchall()


class SplitShop(Supervised, Shop):
    """The services that sell, each in a process of its own."""

    name = "bookshop"

    def __init__(self, home: Path, **environment: str) -> None:
        super().__init__(home, placement=SPLIT, **environment)

    def who_has_open(self, file: Path) -> set[str]:
        """The processes that hold a file open, as the kernel says."""
        wanted = file.stat()
        return {
            label
            for label, replica in self.replicas().items()
            for each in Path(f"/proc/{replica.pid}/fd").iterdir()
            if each.exists() and os.path.samestat(wanted, each.stat())
        }


class Customer:
    """A customer's program."""

    def __init__(self, shop: Shop, email: str) -> None:
        self.shop = shop
        self.email = email
        self.headers: dict[str, str] = {}

    @classmethod
    def new(cls, shop: Shop, email: str) -> Customer:
        """Somebody who signs up."""
        customer = cls(shop, email)
        opened = customer.ask("POST", "customers", {"name": "Ada Lovelace", "email": email, "password": PASSWORD})
        assert opened.status_code == 201, opened.text
        return cls.signed_in(shop, email)

    @classmethod
    def signed_in(cls, shop: Shop, email: str) -> Customer:
        """Somebody who has an account."""
        customer = cls(shop, email)
        session = customer.ask("POST", "sessions", {"email": email, "password": PASSWORD})
        customer.headers = {"Authorization": f"Bearer {session.json()['token']}"}
        return customer

    def ask(self, verb: str, path: str, body: Any = None, key: str = "") -> httpx.Response:
        """What the REST interface answers."""
        headers = {**self.headers, **({"Idempotency-Key": key} if key else {})}
        return in_time(lambda: self.shop.http.request(verb, f"/api/{path}", json=body, headers=headers))

    def read(self, path: str) -> Any:
        answer = self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wish(self, *book_ids: int, card: dict[str, str] = CARD) -> dict[str, Any]:
        """Fill the cart; what it takes to buy it as it is shown."""
        for book_id in book_ids:
            assert self.ask("POST", "cart", {"book_id": book_id}).status_code == 200
        quote = self.read("quote")
        return {
            "cart_version": quote["cart_version"],
            "total": quote["total"],
            "buy_two_get_one_free_promo": quote["offer"]["applies"],
            "card": self.ask("POST", "cards", card).json(),
            "address": HOME,
        }

    def check_out(self, wish: dict[str, Any], key: str) -> httpx.Response:
        return self.ask("POST", "orders", wish, key)

    def refund(self, order_id: str, key: str) -> httpx.Response:
        return self.ask("DELETE", f"orders/{order_id}", None, key)

    def orders(self) -> list[dict[str, Any]]:
        return self.read("orders")

    def cart(self) -> dict[int, int]:
        return {item["book_id"]: item["copies"] for item in self.read("cart")["items"]}

    def letters(self) -> list[str]:
        """The subjects of the mails that have come, the oldest first."""
        return [each["subject"] for each in self.shop.mails(self.email)][::-1]
