"""E-mail addresses that any mail server takes (RFC 5321), each in one spelling."""

from __future__ import annotations

import re

import idna

ATOM = r"[!#$%&'*+/=?^_`{|}~0-9A-Za-z-]+"
PLAIN = re.compile(rf"(?=[^@]{{1,64}}@){ATOM}(?:\.{ATOM})*@[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*")
LONGEST = 254


def plain(address: str) -> str:
    """The address, if it can stand on an envelope and in a header as it is; raises ValueError if not."""
    if len(address) > LONGEST or PLAIN.fullmatch(address) is None:
        raise ValueError(f"no mail server is sure to take letters to this address: {address!r}")
    return address


def spelled(address: str) -> str:
    """The one spelling of an address, its domain as the name system knows it; raises ValueError for what is none.

    A domain beyond ASCII becomes A-labels (RFC 5891). A name before the `@` has no such form: a mail server that knows
    nothing of SMTPUTF8 (RFC 6531) takes no letter to it.
    """
    name, _, domain = address.strip().rpartition("@")
    return plain(f"{name}@{idna.encode(domain, uts46=True, std3_rules=True).decode('ascii')}").lower()
