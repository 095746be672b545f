"""At which of the operators' addresses a browser shows the dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from meristem.operators.host_guard import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def browser_address(addresses: Iterable[str], hosts: Sequence[str]) -> str | None:
    """The address that this machine alone reaches, else the first of the `hosts` by which others ask over TLS.

    None where there is neither; `addresses` are all at which operators are answered.
    """
    found = [urlsplit(each) for each in addresses if each.startswith("http")]
    near = next((each for each in found if is_loopback(each.hostname or "")), None)
    if near is not None:
        return near.geturl()
    if not found or not hosts:
        return None
    # A proxy has the port of HTTPS, a certificate of the system's own its port.
    port = f":{found[0].port}" if found[0].scheme == "https" else ""
    return f"https://{hosts[0]}{port}"
