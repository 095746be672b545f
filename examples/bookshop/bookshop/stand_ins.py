"""What stands in for third parties, as this shop has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thirdparties.mail.app import create_app
from thirdparties.nearby import nearby

if TYPE_CHECKING:
    from thirdparties.nearby import AsgiApp

SMTP_PORT: Final = 8026  # where `MailSettings.smtp_url` looks for it; that of the hotel site is 8025


def mailbox() -> AsgiApp:
    """A mailbox at a port of its own, so that the hotel site may run beside the shop."""
    return nearby(create_app(SMTP_PORT))
