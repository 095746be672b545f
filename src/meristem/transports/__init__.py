"""The ways a call takes from a caller to a service."""
