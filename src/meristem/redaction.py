"""Secrets kept out of what people read: passwords in URLs of settings, logs, errors, traces, and values of messages."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

SHOWN: Final = "***"
# A number before the end of the authority is a port. What follows a user is a password up to the last `@`: one that
# nobody encoded may hold `/`, `:` and `@` itself. Bounded, as a line of a log may be long and of one word.
PASSWORD: Final = re.compile(r"""(://[^\s"'<>/?#:@\[]{0,256}:)(?!\d{1,5}(?:[\s"'<>/?#]|$))[^\s"'<>]{0,1024}@""")
# A URL in the query of another one: some of its signs are percent-encoded, the `@` is.
WITHIN: Final = re.compile(
    r"""((?::|%3A)(?:/|%2F){2}(?:(?!%3A|%2F|%40)[^\s"'<>/?#:@\[&]){0,256}(?::|%3A))"""
    r"""(?!\d{1,5}(?:[\s"'<>/?#&]|%2F|$))[^\s"'<>@&]{0,1024}?%40""",
    re.IGNORECASE,
)
PARAMETER: Final = re.compile(
    r"""([?&;][\w.-]{0,64}(?:password|passwd|pwd|secret|token|credential|api_?key|access_?key)=)[^\s"'<>&;#]+""",
    re.IGNORECASE,
)
SECRETS: Final = (
    r"password|passwd|pwd|passphrase|secret|token|credential|api_?key|access_?key|private_?key|authorization|cookie"
    # Of cards, what their networks forbid to keep (PCI DSS 4.0, requirements 3.3 and 3.5): `cardNumber`, `card.number`.
    r"|card[._]?number|cvc2?$|cvv2?$|security_?code"
)
# A field of a message whose value nobody needs to see; a field within a field is called `card.number`.
FIELD: Final = re.compile(SECRETS, re.IGNORECASE)
JSON_BEGINS: Final = re.compile(r'[\s\ufeff]*[{["]')
# The same in what is meant as JSON and is none, such as a form that was sent too early: to its end, for nobody can tell
# where such a value ends. A name may be escaped, as one in a text of a text is.
BROKEN_FIELD: Final = re.compile(
    rf"""((?:{SECRETS.replace("$", "")})[\w.-]{{0,64}}\\{{0,8}}["']\s{{0,64}}:).+""", re.IGNORECASE | re.DOTALL
)


def redact(text: str) -> str:
    """The text with `***` for each password of a URL in it, be it before the host or a parameter of the query."""
    if "://" not in text and "%2F%2F" not in text and "%2f%2f" not in text:
        return text
    found = WITHIN.sub(rf"\1{SHOWN}%40", PASSWORD.sub(rf"\1{SHOWN}@", text))
    return PARAMETER.sub(rf"\1{SHOWN}", found)


def mask_values(text: str) -> str:
    """JSON with `***` for each value, so that its shape alone is seen; for what is no JSON `***` alone."""
    try:
        return msgspec.json.encode(_masked(msgspec.json.decode(text))).decode()
    except (msgspec.DecodeError, RecursionError):
        return SHOWN


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _masked(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_masked(each) for each in value]
    return SHOWN if value not in (None, "") else value


def redact_fields(json: str | None) -> str | None:
    """JSON with `***` for what stands in fields that are called like secrets, and for passwords of URLs.

    A text in it that is JSON itself is looked into, too; what is no JSON is told as `redact` does, and from such a
    field on not at all.
    """
    if json is None:
        return None
    try:
        return msgspec.json.encode(_without_secrets(msgspec.json.decode(json))).decode()
    except (msgspec.DecodeError, RecursionError):
        return BROKEN_FIELD.sub(rf"\1{SHOWN}", redact(json))


def _without_secrets(value: Any, within: str = "") -> Any:
    if isinstance(value, dict):
        return {
            name: SHOWN if FIELD.search(f"{within}.{name}") and each else _without_secrets(each, str(name))
            for name, each in value.items()
        }
    if isinstance(value, list):
        return [_without_secrets(each, within) for each in value]
    if isinstance(value, str):
        return redact_fields(value) if JSON_BEGINS.match(value) else redact(value)
    return value
