"""Secrets kept out of what people read: passwords in URLs of settings, logs, errors, traces, and values of messages."""

from __future__ import annotations

import re
from itertools import groupby
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
    r"""([?&;][\w.-]{0,64}(?:password|passwd|pwd|secret|token|credential|api[_-]?key|access[_-]?key)=)[^\s"'<>&;#]+""",
    re.IGNORECASE,
)
NAMES: Final = (
    "access[_-]?key", "api[_-]?key", "authorization", "cookie", "credential", "passphrase", "passwd", "password",
    "private[_-]?key", "pwd", "secret", "token",
    # Of cards, what their networks forbid to keep (PCI DSS 4.0, requirements 3.3 and 3.5): `cardNumber`, `card.number`.
    "card[._]?number", "cvc2?", "cvv2?", "security_?code",
)  # fmt: skip
# A field of a message whose value nobody needs to see; a field within a field is called `card.number`.
FIELD: Final = re.compile("|".join(f"{each}$" if each.startswith("cv") else each for each in NAMES), re.IGNORECASE)
JSON_BEGINS: Final = re.compile(r'[\s\ufeff]*[{["]')
# The same in what is meant as JSON and is none, such as a form that was sent too early: to its end, for nobody can tell
# where such a value ends. A name may be escaped, as one in a text of a text is.
BROKEN_FIELD: Final = re.compile(
    rf"""((?:{"|".join(NAMES)})[\w.-]{{0,64}}\\{{0,8}}["']\s{{0,64}}:).+""", re.IGNORECASE | re.DOTALL
)


def _named() -> str:
    """What finds a name in a text: by its first letter, which is looked for without the others."""
    by_letter = {letter: [each[1:] for each in names] for letter, names in groupby(sorted(NAMES), lambda name: name[0])}
    letters = "".join(f"{each}{each.upper()}" for each in by_letter)
    rest = "|".join(f"(?<=[{each}{each.upper()}])(?:{'|'.join(ends)})" for each, ends in by_letter.items())
    return rf"[{letters}](?i:{rest})[\w.-]{{0,64}}"


# The same in a text that people wrote: `password=…`, `{'token': '…'}`, `Authorization: Bearer …`. After a colon comes
# prose more often than a secret, so there it is taken for one if it is quoted, as its name is, or has a digit.
SAID: Final = re.compile(
    rf"""({_named()}(?:"""
    r"""(?:\\{0,8}["']\s{0,8}:\s{0,8}|\s{0,8}=\s{0,8})(?P<quote>\\{0,8}["'])(?=(?P<quoted>))"""
    r"""|(?<=[nN])\s{0,8}[:=]\s{0,8}(?=(?i:bearer|basic|digest)\s(?P<line>))"""
    r"""|(?<=[eE])\s{0,8}:\s{0,8}(?=[^\s=]{1,64}=(?P<cookies>))"""
    r"""|:\s{1,8}(?=[^\s\d]{0,64}\d)"""
    r"""|=(?![*]{3}|=)"""
    r"""))(?:(?(quoted)(?:(?!(?P=quote))[^\n]){1,1024}|(?(line)[^\r\n"'\\]{1,8192}|(?(cookies)[^\r\n"'\\]{1,8192}"""
    r"""|[^\s"'<>&\\]{1,1024}))))"""
)
HINTS: Final = tuple(re.split(r"[^a-z]", each)[0] for each in NAMES)  # a text without any of these is not searched


def redact(text: str) -> str:
    """The text with `***` for each secret in it.

    That is a password of a URL, before the host or as a parameter of the query, and what is said to be the value of
    something that is called like a secret: `password=…`.
    """
    if "://" in text or "%2F%2F" in text or "%2f%2f" in text:
        text = WITHIN.sub(rf"\1{SHOWN}%40", PASSWORD.sub(rf"\1{SHOWN}@", text))
        text = PARAMETER.sub(rf"\1{SHOWN}", text)
    lower = text.lower()
    return SAID.sub(rf"\1{SHOWN}", text) if any(each in lower for each in HINTS) else text


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
