"""How many wrong passwords come from one address: nobody tries one password at account after account."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable

from quart import Quart, current_app, request

from hotels.contracts.users import TooManyAttempts

MOST = 20
WINDOW = 600.0  # seconds
REMEMBERED = 10_000  # addresses; the one that was longest quiet is forgotten first


class Attempts:
    """The failures of each address within a window that begins with the first of them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def admit(self, address: str) -> None:
        """Raises TooManyAttempts for an address with too many failures."""
        count, began = self._failures.get(address, (0, 0.0))
        left = began + WINDOW - self._clock()
        if count >= MOST and left > 0:
            raise TooManyAttempts(wait=int(left) + 1)

    def failed(self, address: str) -> None:
        """Count a failure."""
        now = self._clock()
        count, began = self._failures.pop(address, (0, now))
        self._failures[address] = (count + 1, began) if now < began + WINDOW else (1, now)
        if len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)


def attempts() -> Attempts:
    """Those of the running app."""
    found: Attempts = current_app.extensions["attempts"]
    return found


def visitor_address() -> str:
    """Where the request comes from: as its peer, or as the outermost of our own proxies says."""
    hops = current_app.config["WEB_SETTINGS"].proxies
    passed = [each.strip() for each in request.headers.get("X-Forwarded-For", "").split(",") if each.strip()]
    return network_of(passed[-hops] if 0 < hops <= len(passed) else request.remote_addr or "")


def network_of(address: str) -> str:
    """An IPv4 address, or the network of an IPv6 address that one household or machine has for itself."""
    try:
        read = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(read, ipaddress.IPv4Address):
        return str(read)
    return str(read.ipv4_mapped or ipaddress.ip_network((read, 64), strict=False))


def install(app: Quart) -> None:
    """Begin to count."""
    app.extensions["attempts"] = Attempts()
