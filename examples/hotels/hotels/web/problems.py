"""What a visitor reads when something is not there or does not work."""

from hotels.contracts.reservations import BookingUnknown, NotCancellable
from hotels.contracts.rooms import RoomUnknown

PROBLEMS = {
    400: ("This address is not complete", "Something in the address or in what was sent could not be read."),
    403: ("This form could not be accepted", ""),
    404: ("There is nothing here", "The page you asked for does not exist, or it belongs to somebody else."),
    405: ("That does not work here", "This address cannot be used in that way."),
    409: ("It is too late for that", "The stay has begun, so the booking cannot be cancelled any more."),
    413: ("That was too much", "What was sent is larger than any form of ours."),
    429: ("One moment, please", "There were many requests at once. Try again in a few seconds."),
    500: ("Something went wrong on our side", "It has been noted. Nothing that you confirmed is lost; try once more."),
    503: ("We cannot reach a part of our site", "This usually passes within a minute. Your bookings are safe."),
}
FAULTS = {
    RoomUnknown: (404, "This room is not on offer any more. Search again to see what is."),
    BookingUnknown: (404, "You have no such booking."),
    NotCancellable: (409, ""),
}
