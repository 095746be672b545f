"""Deadlines, retries, breakers, balancing and limits: what keeps one failure from becoming many."""
