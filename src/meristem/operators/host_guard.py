"""Which names a request may call this machine by, so that no foreign site's page reads what its visitor may read."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

from meristem.transports.http.responses import Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.asgi import Field
    from meristem.transports.http.request import Request

HOST_FIELD: Final = re.compile(r"(?:\[([^]]+)\]|([^:\[\]]+))(?::\d*)?")  # RFC 9110, section 7.2
ANOTHER_HOST: Final = Response(
    403,
    b"text/plain; charset=utf-8",
    b"this address answers to localhost and 127.0.0.1 alone; listen at another one for other names\n",
)


class HostGuard:
    """Lets in only requests that name this machine, at ports that only this machine reaches.

    Else a page of a foreign site, whose name is made to lead to 127.0.0.1 after it was loaded, could read what its
    visitor's operators read (DNS rebinding).
    """

    def find(self, request: Request) -> Response | None:
        """The refusal of a request that names another host; None for all others."""
        return None if _names_this_machine(request.fields) else ANOTHER_HOST


def _names_this_machine(fields: Sequence[Field]) -> bool:
    hosts = [value.decode("latin-1") for name, value in fields if name == b"host"]
    found = HOST_FIELD.fullmatch(hosts[0]) if len(hosts) == 1 else None
    return found is not None and is_loopback(found[1] or found[2])


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host: `localhost`, 127.0.0.0/8 and ::1."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
