"""What a reader is told when something is not there or does not work."""

from __future__ import annotations

from bookshop.contracts.catalogue import BookUnknown
from bookshop.contracts.transactions import OrderUnknown

PROBLEMS = {
    400: ("This page could not be read", "Something in the address or in what was sent is not complete."),
    403: ("This form could not be accepted", ""),
    404: ("This page is missing from our copy", "What you asked for does not exist, or it belongs to somebody else."),
    405: ("That does not work here", "This address cannot be used in that way."),
    413: ("That was too much", "What was sent is larger than any form of ours."),
    429: ("One moment, please", "There were many requests at once. Try again in a few seconds."),
    500: ("Something went wrong on our side", "It has been noted. Nothing that you ordered is lost; try once more."),
    503: (
        "A part of our shop is closed for a moment",
        "This usually passes within a minute. Your cart and your orders are safe.",
    ),
}
FAULTS = {
    BookUnknown: (404, "We have no such book, or no longer."),
    OrderUnknown: (404, "You have no such order."),
}
