"""REST from the contracts, and the pages that describe it."""
