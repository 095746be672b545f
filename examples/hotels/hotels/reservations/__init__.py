"""Booking a room from the wish to the tracking record."""
