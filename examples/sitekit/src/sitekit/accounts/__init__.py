"""Passwords, who guesses them, and what proves that somebody has signed in."""
