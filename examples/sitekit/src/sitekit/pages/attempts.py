"""How often one address guesses: nobody tries a password at account after account, or asks who has one."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable

from quart import Quart, current_app, request

from meristem import CallError
from sitekit.accounts.faults import EmailTaken, TooManyAttempts, WrongCredentials
from sitekit.pages.forms import Form
from sitekit.pages.site import this_site

MOST = 20
WINDOW = 600.0  # seconds
REMEMBERED = 10_000  # addresses; the one that was longest quiet is forgotten first
WRONG = "The e-mail address or the password is wrong."
TAKEN = "There is an account with this address already. Sign in instead."


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


async def admitted(form: Form, fields: Iterable[str], enter: Callable[[], Awaitable[None]]) -> bool:
    """Sign somebody in or up by `enter`, unless their network guessed too often; says why not beside the `fields`."""
    address = visitor_address()
    try:
        attempts().admit(address)
        await enter()
    except WrongCredentials:
        attempts().failed(address)
        form.errors["password"] = WRONG
    except EmailTaken:
        attempts().failed(address)  # who is told so learns that somebody has an account
        form.errors["email"] = TAKEN
    except TooManyAttempts as fault:
        form.errors["password"] = waiting(fault)
        form.status = 429
    except CallError as error:
        form.blame_or_raise(error, fields)
    else:
        return True
    return False


def waiting(fault: TooManyAttempts) -> str:
    """What to tell somebody who has to wait."""
    minutes, seconds = -(-fault.wait // 60), fault.wait
    wait = f"{minutes} minutes" if minutes > 1 else "a minute" if seconds > 45 else f"{max(seconds, 2)} seconds"
    return f"There were too many attempts. Wait {wait}, then try again."


def attempts() -> Attempts:
    """Those of the running app."""
    found: Attempts = current_app.extensions["attempts"]
    return found


def visitor_address() -> str:
    """Where the request comes from: as its peer, or as the outermost of our own proxies says."""
    hops = this_site().proxies
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
