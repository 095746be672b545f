"""Which names a request may call this machine by, so that no foreign site's page reads what its visitor may read."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final

from meristem.operators.application import OWN
from meristem.transports.http.responses import Response

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from meristem.asgi import Field
    from meristem.transports.http.request import Request

HOST_FIELD: Final = re.compile(r"(?:\[([^]]+)\]|([^:\[\]]+))(?::\d*)?")  # RFC 9110, section 7.2
TEXT: Final = b"text/plain; charset=utf-8"
ANOTHER_HOST: Final = Response(
    403, TEXT, b"this address answers to localhost and 127.0.0.1 alone; listen at another one for other names\n"
)
UNKNOWN_HOST: Final = Response(403, TEXT, b"the dashboard answers to the hosts of [operator.public] in the placement\n")
PLAIN_HTTP: Final = Response(
    403,
    TEXT,
    b"the dashboard speaks no plain HTTP beyond this machine: ask by https://, of a proxy that sets X-Forwarded-Proto, "
    b"or give [operator.public] a certificate and its key\n",
)


class HostGuard:
    """Lets in only requests that name this machine, at ports that only this machine reaches.

    Else a page of a foreign site, whose name is made to lead to 127.0.0.1 after it was loaded, could read what its
    visitor's operators read (DNS rebinding). The `names` are those by which others ask, over TLS only: by a proxy that
    says so, or by the port itself where that is `secure`.
    """

    def __init__(self, names: Collection[str] = (), *, local: bool = True, secure: bool = False) -> None:
        self._names = frozenset(each.lower() for each in names)
        self._local = local
        self._secure = secure

    def find(self, request: Request) -> Response | None:
        """The refusal of a request that names another host; None for all others."""
        host = _host(request.fields)
        if self._local and is_loopback(host):
            return None
        if not self._local and request.path.decode("latin-1") in OWN:
            return None  # health and figures, which monitors read by names that nobody can list
        if host not in self._names:
            return UNKNOWN_HOST if self._names else ANOTHER_HOST
        return None if self._secure or is_told_secure(request.fields) else PLAIN_HTTP


def is_told_secure(fields: Iterable[Field]) -> bool:
    """Whether a proxy says that its client asked it over TLS."""
    told = [value.strip().lower() for name, value in fields if name == b"x-forwarded-proto"]
    return told == [b"https"]


def _host(fields: Sequence[Field]) -> str:
    hosts = [value.decode("latin-1") for name, value in fields if name == b"host"]
    found = HOST_FIELD.fullmatch(hosts[0]) if len(hosts) == 1 else None
    return "" if found is None else (found[1] or found[2]).lower()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host: `localhost`, 127.0.0.0/8 and ::1."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
