"""One process of a system: its services, what they are given, what they keep, and the server in front of them."""
