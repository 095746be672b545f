"""The shop runs beside the hotel site: each has a mailbox of its own."""

from bookshop.mail.settings import MailSettings
from bookshop.mail.smtp import options_of
from thirdparties.mail.app import BESIDE, create_app


def test_the_shop_writes_to_a_mailbox_of_its_own_beside_that_of_the_hotel_site() -> None:
    assert options_of(MailSettings().smtp_url)["port"] == BESIDE != create_app().state.smtp_port
