"""Addresses of services from variables: `SEARCH_URL=http://10.0.0.7:8000,http://10.0.0.8:8000`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from meristem.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

NOT_ALNUM: Final = re.compile(r"[^A-Z0-9]+")
FORMS: Final = (
    "write http://host:port, https://host, tcp://host:port, unix:/run/shop.sock or grpc://host:port, several with "
    "commas between"
)


def url_variable(*names: str) -> str:
    """The variable that holds the address of a part: `SEARCH_URL`, or `HOTELS_SEARCH_URL` with its system."""
    return "_".join(NOT_ALNUM.sub("_", name.upper()) for name in names) + "_URL"


def replicas_variable(*names: str) -> str:
    """The variable that holds where the processes of an app listen for the system: `WEB_REPLICAS`.

    Not `WEB_URL`, which is where the public finds the app.
    """
    return url_variable(*names).removesuffix("URL") + "REPLICAS"


def read_environment(
    environment: Mapping[str, str],
    system: str,
    services: Iterable[str],
    *,
    check: Callable[[str], None],
    taken: Collection[str] = (),
    named: Callable[..., str] = url_variable,
) -> dict[str, tuple[str, ...]]:
    """The addresses that variables give, by service; a variable that names the system is stronger.

    `taken` are variables that mean something else here: the setting `url` of the service `search` is called
    `HOTELS_SEARCH_URL` too. `check` raises ConfigurationError for an address that no client here can reach; what is
    raised names the variable.
    """
    found = {}
    for service in services:
        for variable in (named(system, service), named(service)):
            if variable not in taken and environment.get(variable, "").strip():
                urls = [url.strip() for url in environment[variable].split(",")]
                found[service] = tuple(address_of(variable, url, check) for url in urls if url)
                break
    return found


def address_of(variable: str, url: str, check: Callable[[str], None]) -> str:
    """The address that a URL means; ConfigurationError, which begins with `variable`, for one that can't be meant."""
    try:
        # First: it knows which packages bring other schemes, whose addresses are passed on as they are.
        check(url)
    except ConfigurationError as error:
        raise ConfigurationError(f"{variable}: {error}; {FORMS}") from None
    if url.startswith("unix:") and len(url) > len("unix:"):
        return url
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "tcp", "unix"):
        return url  # of a package's own form
    try:
        port = parts.port
    except ValueError:
        raise ConfigurationError(f"{variable}: {url!r} has no usable port; {FORMS}") from None
    if parts.scheme == "unix" or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ConfigurationError(f"{variable}: {url!r} is no address of a service; {FORMS}")
    if port is None and parts.scheme == "tcp":
        raise ConfigurationError(f"{variable}: {url!r} has no port; {FORMS}")
    if port == 0:
        raise ConfigurationError(f"{variable}: {url!r} has port 0, at which nobody can be reached; {FORMS}")
    if parts.scheme == "https":
        return url  # by its name its certificate is verified
    return tcp_address(parts.hostname, 80 if port is None else port)


def tcp_address(host: str, port: int) -> str:
    """`tcp://10.0.0.7:8000`, or `tcp://[fd00::7]:8000`."""
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
