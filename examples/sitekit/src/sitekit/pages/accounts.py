"""What signing in and up ask for, and what to say where a field is wrong."""

from __future__ import annotations

EMAIL = "Write your e-mail address like name@example.org, without accents before the @."
NEW = {"name": "Tell us your name.", "email": EMAIL, "password": "Choose a password of at least 8 characters."}
OLD = {"email": EMAIL, "password": "Write your password."}
