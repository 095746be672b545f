"""From the cart to the order, as a reader does it: nothing typed is lost, and nothing is paid twice."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from bookshop.conftest import PASSWORD, give_away
from bookshop.contracts.customers import Credentials, Customers
from bookshop.contracts.items import PricedItem
from bookshop.contracts.transactions import Address, NewOrder, Transactions
from bookshop.web.pages.orders import PER_PAGE
from bookshop.web.reader import presume
from bookshop.web.tests.conftest import CARD, DECLINED, HOME, OWNER
from quart import g, session

from meristem import CallError, Code, Identity, using
from meristem.testing import RunningSystem

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("bookshop pages")]

MOONSTONE, HOUND, FALCON = 10, 3, 1  # 11.99, 9.99 and 12.99


async def test_of_three_books_the_cart_says_which_is_free(reader: Any) -> None:
    page = await reader.add(MOONSTONE, HOUND)
    assert "and the cheapest of the three is free" in page.text
    page = await reader.add(FALCON)
    assert "Your free book is in the cart" in page.text
    assert re.search(r"The Hound of the Baskervilles.{,80}Free with your three books", page.text)
    assert page.text.count("Free with your three books") == 1
    for words in ("€34.97", "One book free − €9.99", "€24.98", "Would go well with these"):  # noqa: RUF001 - a minus
        assert words in page.text


async def test_copies_are_changed_and_books_taken_out(reader: Any) -> None:
    page = await reader.add(MOONSTONE)
    token = page.hidden()["form_token"]
    page = await reader.follow(await reader.post(f"/cart/{MOONSTONE}", {"form_token": token, "copies": "4"}))
    assert "One copy is free with your three books" in page.text
    assert "€35.97" in page.text
    page = await reader.follow(await reader.post(f"/cart/{MOONSTONE}", {"form_token": token, "copies": "0"}))
    assert "Nothing in it yet" in page.text


async def test_a_form_that_is_sent_twice_adds_once(reader: Any) -> None:
    form = {**(await reader.get(f"/books/{HOUND}")).hidden(), "copies": "2"}
    for _ in range(2):
        page = await reader.follow(await reader.post("/cart/add", form))
    assert "€19.98" in page.text


async def test_a_form_of_another_site_is_refused(reader: Any) -> None:
    form = {**(await reader.get(f"/books/{HOUND}")).hidden(), "copies": "2"}
    page = await reader.post("/cart/add", form, headers={"Origin": "https://evil.example"})
    assert page.status == 403
    form["form_token"] = "guessed"
    assert (await reader.post("/cart/add", form)).status == 303
    assert "Nothing in it yet" in (await reader.get("/cart")).text


async def test_the_cart_comes_along_when_its_reader_signs_up_and_in(new_reader: Any) -> None:
    reader, other = new_reader(), new_reader()
    await reader.add(MOONSTONE)
    email = await reader.sign_up()
    assert "The Moonstone" in (await reader.get("/cart")).text
    await other.add(HOUND)
    page = await other.send("/sign-in", email=email, password="analytical engine")
    page = await other.get("/cart")
    assert "The Moonstone" in page.text
    assert "The Hound of the Baskervilles" in page.text


@pytest.mark.parametrize("away", ["Promotions", "Checkout", "Inventory"])
async def test_without_the_offer_the_cart_shows_full_prices_and_sells_nothing(
    reader: Any, outages: Any, away: str
) -> None:
    await reader.add(MOONSTONE, HOUND, FALCON)
    outages.of.add(away)
    page = await reader.get("/cart")
    assert page.status == 200
    assert "Whether a book is free for you cannot be known for a moment" in page.text
    assert "€34.97" in page.text
    assert "€24.98" not in page.text
    assert "Check out" not in page.text


async def test_a_cart_is_shown_where_customers_cannot_be_asked_and_changed_later(reader: Any, outages: Any) -> None:
    await reader.sign_up()
    page = await reader.add(MOONSTONE, HOUND)
    form = {"form_token": page.hidden()["form_token"], "copies": "0"}
    outages.of.add("Customers")
    page = await reader.get("/cart")
    assert page.status == 200
    assert "The Moonstone" in page.text
    assert "€21.98" in page.text
    assert (await reader.post(f"/cart/{MOONSTONE}", form)).status == 503
    assert (await reader.get("/checkout")).status == 503
    assert (await reader.get("/orders")).status == 503
    outages.of.clear()
    assert "The Moonstone" in (await reader.get("/cart")).text


@pytest.mark.parametrize("presumed", [[7, 0.0], None])
async def test_a_session_that_is_over_is_presumed_to_be_nobody_s(site: Any, presumed: Any) -> None:
    away = CallError(Code.UNAVAILABLE, "away")
    async with site.test_request_context("/cart"):
        g.user, g.unrecognised = None, away
        if presumed:
            session["presumed"] = presumed
        await presume()
        assert g.user is None
        session["presumed"] = [7, datetime.now(UTC).timestamp() + 60]
        g.unrecognised = away
        await presume()
        assert g.user.customer_id == 7


async def test_what_costs_nothing_is_ordered_without_a_card(reader: Any, shop: RunningSystem) -> None:
    await give_away(shop, 40)
    await reader.add(40)
    await reader.sign_up()
    form = await reader.get("/checkout")
    assert "no card is asked for" in form.text
    assert 'name="cvc"' not in form.html
    page = await reader.follow(await reader.post("/checkout", {**form.hidden(), **HOME}))
    assert page.heading == "Thank you, Ada Lovelace"
    assert "Your books are ordered. A mail" in page.text
    assert "ordered and paid" not in page.text
    address = re.search(r'action="(/orders/[^"]+/refund)"', page.html)
    assert address is not None
    page = await reader.follow(await reader.post(address[1], page.hidden()))
    assert "Your order is on its way back." in page.text


async def test_a_cart_that_could_not_be_merged_is_merged_later(reader: Any, outages: Any) -> None:
    await reader.add(MOONSTONE)
    outages.of.add("Carts")
    await reader.sign_up()
    assert (await reader.get("/cart")).status == 503
    outages.of.clear()
    assert "The Moonstone" in (await reader.get("/cart")).text


async def test_an_order_is_made_once_and_uses_the_promotion(reader: Any) -> None:
    await reader.add(MOONSTONE, HOUND, FALCON)
    email = await reader.sign_up()
    form = {**(await reader.get("/checkout")).hidden(), **HOME, **CARD}
    answers = await asyncio.gather(*(reader.post("/checkout", form) for _ in range(3)))
    answers.append(await reader.post("/checkout", form))
    assert {each.status for each in answers} == {303}
    assert len({each.headers["Location"] for each in answers}) == 1
    page = await reader.follow(answers[0])
    assert page.heading == "Thank you, Ada Lovelace"
    for words in (email, "€24.98", "One book free", "card ending in 4242", "ordered and paid", "12 St James Square"):
        assert words in page.text
    assert "ours to give" not in (await reader.get("/")).text  # the banner is for who hasn't used it
    orders = await reader.get("/orders")
    assert orders.html.count("order-line") == 1
    assert "one of them free" in orders.text
    again = await reader.follow(await reader.get("/checkout"))
    assert "There is nothing in your cart to pay for" in again.text


async def test_after_the_promotion_three_books_cost_what_they_cost(reader: Any) -> None:
    await reader.add(MOONSTONE, HOUND, FALCON)
    await reader.sign_up()
    await reader.check_out()
    page = await reader.add(MOONSTONE, HOUND, FALCON)
    assert "free" not in page.text.partition("Summary")[0].partition("Your cart")[2]
    assert "€34.97" in page.text
    assert 'value="SW1Y 4JH"' in (await reader.get("/checkout")).html  # where the last order went


async def test_a_declined_card_costs_nothing_and_the_address_stays(reader: Any) -> None:
    await reader.add(MOONSTONE)
    await reader.sign_up()
    page = await reader.check_out(**DECLINED)
    assert page.status == 402
    assert "Your bank declined the card. Nothing was charged. Try another card." in page.text
    assert 'value="SW1Y 4JH"' in page.html
    assert "4000000000000002" not in page.html
    page = await reader.post("/checkout", {**page.hidden(), **HOME, **CARD})
    assert (await reader.follow(page)).heading == "Thank you, Ada Lovelace"


@pytest.mark.parametrize(
    ("field", "typed", "words"),
    [
        ("country", "United\x1bKingdom", "Write the country."),
        ("street", " ", "Write the street and the number of the house."),
        ("number", "4242", "Write the card number: 12 to 19 digits."),
        ("number", "4242424242424241", "not a valid card number"),
        ("expiry", "soon", "Write the expiry as month and year"),
    ],
)
async def test_a_wrong_field_is_explained_beside_itself(reader: Any, field: str, typed: str, words: str) -> None:
    await reader.add(MOONSTONE)
    await reader.sign_up()
    page = await reader.send("/checkout", **{**HOME, **CARD, field: typed})
    assert page.status == 422
    assert re.search(rf'id="{field}-error">[^<]*{words}', page.html)
    assert 'value="London"' in page.html


async def test_what_the_cart_holds_by_now_is_shown_before_it_is_charged(reader: Any) -> None:
    await reader.add(MOONSTONE)
    await reader.sign_up()
    form = {**(await reader.get("/checkout")).hidden(), **HOME, **CARD}
    await reader.add(HOUND)
    page = await reader.post("/checkout", form)
    assert page.status == 409
    assert "Your cart has changed since you saw it. Nothing was charged." in page.text
    assert "Order and pay €21.98" in page.text
    assert 'value="SW1Y 4JH"' in page.html
    assert "We still know your card ending in 4242" in page.text
    page = await reader.post("/checkout", {**page.hidden(), **HOME, "number": "", "expiry": "", "cvc": ""})
    assert "€21.98" in (await reader.follow(page)).text


async def test_another_price_than_the_one_shown_is_told_and_not_charged(reader: Any) -> None:
    await reader.add(MOONSTONE)
    await reader.sign_up()
    form = {**(await reader.get("/checkout")).hidden(), **HOME, **CARD, "total": "100"}
    page = await reader.post("/checkout", form)
    assert page.status == 409
    assert "A price has changed since you saw it. Nothing was charged." in page.text
    assert "Order and pay €11.99" in page.text


async def test_a_form_that_was_sent_in_vain_leads_to_the_cart_that_there_is(reader: Any) -> None:
    await reader.add(MOONSTONE)
    await reader.sign_up()
    form = {**(await reader.get("/checkout")).hidden(), **HOME, **CARD}
    assert (await reader.post("/checkout", {**form, "total": "100"})).status == 409
    page = await reader.post("/checkout", form)  # under the same key, and says something else
    assert page.status == 409
    assert "That order is not among your orders yet" in page.text
    page = await reader.post("/checkout", {**page.hidden(), **HOME, "number": "", "expiry": "", "cvc": ""})
    assert (await reader.follow(page)).heading == "Thank you, Ada Lovelace"


async def test_what_others_have_bought_meanwhile_is_told_and_not_charged(new_reader: Any) -> None:
    first, second = new_reader(), new_reader()
    for reader in (first, second):
        page = await reader.add(30)
        await reader.sign_up()
        page = await reader.get("/cart")
        await reader.post("/cart/30", {"form_token": page.hidden()["form_token"], "copies": "12"})
    form = {**(await second.get("/checkout")).hidden(), **HOME, **CARD}
    assert (await first.check_out()).status == 303
    page = await second.post("/checkout", form)
    assert page.status == 409
    assert re.search(r"Of “.+” there are 8 copies left. Nothing was charged.", page.text)
    page = await second.follow(await second.get("/checkout"))
    assert "Only 8 left: take 4 out to order the rest." in page.text


@pytest.mark.parametrize(
    ("away", "again"),
    [("Payments.tokenize", "Write your card again"), ("Checkout.check_out", "Send the form again as it is")],
)
async def test_where_nothing_can_be_ordered_the_form_says_so_and_can_be_sent_again(
    reader: Any, outages: Any, away: str, again: str
) -> None:
    """As it is only where the bank has given its token for the card: numbers are kept nowhere."""
    await reader.add(MOONSTONE)
    await reader.sign_up()
    form = {**(await reader.get("/checkout")).hidden(), **HOME, **CARD}
    outages.of.add(away)
    page = await reader.post("/checkout", form)
    assert page.status == 503
    assert f"this time nothing was ordered or charged. {again}" in page.text
    assert ("We still know your card" in page.text) is (again == "Send the form again as it is")
    assert 'value="SW1Y 4JH"' in page.html
    outages.of.clear()
    if "We still know your card" in page.text:
        form |= dict.fromkeys(CARD, "")
    assert (await reader.follow(await reader.post("/checkout", form))).heading == "Thank you, Ada Lovelace"


async def test_a_form_of_which_nobody_can_tell_who_sends_it_is_sent_once_more(reader: Any, outages: Any) -> None:
    """The page says how; the order is one."""
    await reader.add(MOONSTONE)
    await reader.sign_up()
    form = {**(await reader.get("/checkout")).hidden(), **HOME, **CARD}
    outages.of.add("Customers")
    page = await reader.post("/checkout", form)
    assert (page.status, page.heading) == (503, "A part of our shop is closed for a moment")
    assert "Load this page again in a minute, and it is sent once more; nothing is paid twice" in page.text
    outages.of.clear()
    for _ in range(2):
        assert (await reader.follow(await reader.post("/checkout", form))).heading == "Thank you, Ada Lovelace"
    assert (await reader.get("/orders")).html.count("order-line") == 1


async def test_orders_are_listed_by_the_page(reader: Any, shop: RunningSystem) -> None:
    """None is out of reach, however many there are."""
    email = await reader.sign_up()
    customer = (await shop.client(Customers).sign_in(Credentials(email=email, password=PASSWORD))).customer
    for number in range(PER_PAGE + 1):
        new = NewOrder(
            order_id=uuid4(),
            customer_id=customer.customer_id,
            name=customer.name,
            email=email,
            address=Address(**HOME),
            items=[PricedItem(book_id=FALCON, title=f"number {number}", author="", price=100, copies=1)],
            discount=0,
            total=100,
            buy_two_get_one_free_promo=False,
        )
        await shop.client(Transactions).open(new)
    page = await reader.get("/orders")
    assert (page.html.count("order-line"), f"number {PER_PAGE}" in page.text) == (PER_PAGE, True)
    (older,) = re.findall(r'rel="next" href="([^"]+)"', page.html)
    page = await reader.get(older)
    assert (page.html.count("order-line"), "number 0 " in page.text) == (1, True)
    assert 'rel="next"' not in page.html
    (newer,) = re.findall(r'rel="prev" href="([^"]+)"', page.html)
    assert (await reader.get(newer)).html.count("order-line") == PER_PAGE
    assert "There are no older orders" in (await reader.get("/orders?page=3")).text
    assert (await reader.get("/orders?page=0")).status == 400


async def test_an_order_is_sent_back(reader: Any) -> None:
    await reader.add(MOONSTONE)
    await reader.sign_up()
    page = await reader.follow(await reader.check_out())
    address = re.search(r'action="(/orders/[^"]+/refund)"', page.html)
    assert address is not None
    page = await reader.follow(await reader.post(address[1], {"form_token": page.hidden()["form_token"]}))
    assert "Your order is on its way back, and so is your money." in page.text
    assert "sent back" in page.text


async def test_a_refund_that_came_to_nothing_can_be_asked_for_again(reader: Any, shop: RunningSystem) -> None:
    await reader.add(MOONSTONE)
    email = await reader.sign_up()
    page = await reader.follow(await reader.check_out())
    address = re.search(r'action="(/orders/([^"]+)/refund)"', page.html)
    assert address is not None
    form = {"form_token": page.hidden()["form_token"]}
    transactions = shop.client(Transactions)
    session = await shop.client(Customers).sign_in(Credentials(email=email, password=PASSWORD))
    with using(user=Identity(str(session.customer.customer_id))):
        begun = await transactions.begin_refund(UUID(address[2]))
    assert "Your order is on its way back" in (await reader.follow(await reader.post(address[1], form))).text
    await transactions.keep(begun)
    assert "Your order is on its way back" in (await reader.follow(await reader.post(address[1], form))).text


async def test_who_wants_no_offers_says_so_where_each_letter_leads(reader: Any) -> None:
    await reader.sign_up()
    page = await reader.follow(await reader.send("/account", offers="1"))
    assert "We write to you when there is an offer." in page.text
    assert 'name="offers" value="1" checked' in page.html
    page = await reader.get("/account")
    page = await reader.follow(await reader.post("/account", {"form_token": page.hidden()["form_token"]}))
    assert "We write to you about your orders alone." in page.text
    assert 'name="offers" value="1" checked' not in page.html


async def test_an_order_is_shown_to_its_customer_alone(new_reader: Any) -> None:
    ada, eve = new_reader(), new_reader()
    await ada.add(MOONSTONE)
    await ada.sign_up()
    address = (await ada.check_out()).headers["Location"]
    assert (await eve.get(address)).headers["Location"].startswith("/sign-in?next=/orders/")
    await eve.sign_up()
    page = await eve.get(address)
    assert (page.status, "You have no such order." in page.text) == (404, True)


async def test_the_owner_reads_what_the_promotion_is_worth(new_reader: Any) -> None:
    reader, owner = new_reader(), new_reader()
    await reader.add(MOONSTONE, HOUND, FALCON)
    await reader.sign_up()
    await reader.check_out()
    assert (await reader.get("/report")).status == 404
    await owner.sign_up(OWNER)
    page = await owner.get("/report")
    assert page.heading == "Sales and the promotion"
    assert '<svg class="chart"' in page.html
    assert re.search(r'<title id="chart-title">Sales of the last 30 days</title><desc id="chart-desc">A bar', page.html)
    assert "With the promotion" in page.text
    page = await owner.follow(await owner.post("/report/campaign", {"form_token": page.hidden()["form_token"]}))
    assert "The campaign is under way" in page.text
