"""Carts: of customers, and of visitors who haven't signed in."""
