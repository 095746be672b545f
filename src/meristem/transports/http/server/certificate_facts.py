"""What a certificate says of itself, as far as operators want to know: for whom, and from when to when."""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
SEQUENCE: Final = 0x30
VERSION: Final = 0xA0
EXTENSIONS: Final = 0xA3
UTC_TIME: Final = 0x17  # two digits of a year
OTHER_NAMES: Final = b"\x55\x1d\x11"  # 2.5.29.17, the subject's alternative names (RFC 5280, 4.2.1.6)
DNS_NAME: Final = 0x82
ADDRESS: Final = 0x87


class CertificateFacts(NamedTuple):
    """The hosts of a certificate, and the seconds since 1970 between which it holds."""

    hosts: tuple[str, ...]
    since: float
    until: float


def facts_of(pem: str) -> CertificateFacts:
    """Those of the first certificate of a file; raises ValueError for one that is none (RFC 5280, 4.1)."""
    found = PEM.search(pem)
    if found is None:
        raise ValueError("there is no certificate")
    try:
        whole = next(_parts(ssl.PEM_cert_to_DER_cert(found[0])))[1]
        fields = [*_parts(next(_parts(whole))[1])]
        fields = fields[1:] if fields[0][0] == VERSION else fields
        since, until = (_time(*each) for each in _parts(fields[3][1]))
        listed = next((content for tag, content in fields if tag == EXTENSIONS), None)
        return CertificateFacts(() if listed is None else tuple(_hosts(next(_parts(listed))[1])), since, until)
    except (IndexError, StopIteration, ValueError) as error:
        raise ValueError(f"the certificate cannot be read: {error}") from None


def _parts(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each value in DER (X.690, 8.1)."""
    at = 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            more = length & 0x7F
            length, at = int.from_bytes(der[at : at + more], "big"), at + more
        if at + length > len(der):
            raise ValueError("it ends too early")
        yield tag, der[at : at + length]
        at += length


def _time(tag: int, content: bytes) -> float:
    text = content.decode("ascii")
    if tag == UTC_TIME:  # 50 is 1950, 49 is 2049 (RFC 5280, 4.1.2.5.1)
        text = ("19" if text >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _hosts(extensions: bytes) -> Iterator[str]:
    for _, extension in _parts(extensions):
        parts = [content for _, content in _parts(extension)]
        if parts[0] == OTHER_NAMES:
            for tag, name in _parts(next(_parts(parts[-1]))[1]):
                if tag == DNS_NAME:
                    yield name.decode("ascii")
                elif tag == ADDRESS:
                    yield str(ip_address(name))
