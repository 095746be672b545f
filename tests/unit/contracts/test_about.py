"""What a system says of itself."""

from __future__ import annotations

import pytest

from meristem import About, ContractError


def test_a_system_that_says_nothing_has_its_name_as_title():
    assert About().info("shop") == {"title": "shop", "version": "1.0.0"}


@pytest.mark.parametrize(
    ("contact", "said"),
    [
        ("ada@shop.example", {"email": "ada@shop.example"}),
        ("https://shop.example/@ada", {"url": "https://shop.example/@ada"}),
    ],
)
def test_who_to_ask_is_an_address_of_mail_or_a_page(contact, said):
    about = About(title="The shop", version="2.1.0", description="Sells lamps.", contact=contact)

    assert about.info("shop") == {
        "title": "The shop", "version": "2.1.0", "description": "Sells lamps.", "contact": said
    }  # fmt: skip


def test_a_contact_that_is_neither_is_refused():
    with pytest.raises(ContractError, match=r"contact='Ada'\): give an e-mail address or a page"):
        About(contact="Ada")
