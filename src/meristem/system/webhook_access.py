"""Subscribers outside of the system: how each is reached, and the secrets by which it knows who sends."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from meristem.config.secret import Secret
from meristem.config.setting_sources import variable
from meristem.config.settings import load
from meristem.errors import ConfigurationError
from meristem.events.policy import DeliveryPolicy
from meristem.system.external_access import ExternalAccess, ExternalSettings, sources_of
from meristem.webhooks.posting import Poster, wrong_url
from meristem.webhooks.webhook import Webhook
from meristem.webhooks.webhook_bus import WebhookBus, WebhookTerms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.events.bus import Bus
    from meristem.system.placement import Placement
    from meristem.system.placement_tables import EventSubscriber

_MARGIN: Final = 10.0  # seconds in which a webhook says itself that no answer came
_PREFIX: Final = "whsec_"
_LEAST: Final = 24  # bytes of a secret (Standard Webhooks 1.0.0)


class WebhookSettings(ExternalSettings):
    """What is set of a subscriber outside: as of an external system, and the `secret` with which it is signed."""

    secret: Secret = Secret("")


def terms_of(placement: Placement) -> dict[str, WebhookTerms]:
    """What each subscriber outside hears, by its name."""
    return {
        name: WebhookTerms(each.types, DeliveryPolicy(attempts=each.attempts, timeout=each.timeout + _MARGIN))
        for name, each in placement.events.subscribers.items()
    }


def with_webhooks(
    bus: Bus,
    system: str,
    placement: Placement,
    environment: Mapping[str, str],
    overrides: Mapping[str, Mapping[str, object]] | None = None,
) -> Bus:
    """The bus, with the subscribers outside that a placement names; raises ConfigurationError for unusable settings."""
    subscribers = placement.events.subscribers
    if not subscribers:
        return bus
    made: dict[str, Webhook] = {}
    for name, each in subscribers.items():
        sources = sources_of(name, system, placement, environment, overrides)
        found = load(WebhookSettings, system=system, service=name, sources=sources)
        made[name] = _webhook(name, each, found, variable(system, name, "secret"))
    return WebhookBus(bus, terms_of(placement), made)


def _webhook(name: str, table: EventSubscriber, settings: WebhookSettings, named: str) -> Webhook:
    url = settings.url or table.url
    where = f"the subscriber {name} ([events.subscribers.{name}])"
    if (problem := wrong_url(url)) is not None:
        raise ConfigurationError(f"{where}: {problem}")
    is_secure = url.startswith("https:")
    if settings.token and not is_secure and not _is_near(url):
        raise ConfigurationError(f"{where}: its token would go unencrypted over http://; write https://")
    if settings.secret and table.mode == "binary":
        raise ConfigurationError(
            f"{where}: a signature is of the body alone, and in binary mode the attributes stand beside it; "
            'write mode = "structured"'
        )
    access = ExternalAccess(name, (), settings)
    tls = (access.tls() or ssl.create_default_context()) if is_secure else None
    secret = _bytes_of(settings.secret.reveal(), named) if settings.secret else b""
    token = settings.token.reveal()
    if token and not (token.isascii() and token.isprintable()):
        raise ConfigurationError(f"{where}: its token has what no header can carry")
    binary = table.mode == "binary"
    return Webhook(name, Poster(url, tls), binary=binary, timeout=table.timeout, token=token, secret=secret)


def _is_near(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bytes_of(secret: str, named: str) -> bytes:
    try:
        found = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        found = b""
    if len(found) < _LEAST:
        raise ConfigurationError(
            f"{named}: the secret of a webhook is {_PREFIX} and at least {_LEAST} bytes in base64; make one by "
            "python3 -c 'import base64, os; print(\"whsec_\" + base64.b64encode(os.urandom(32)).decode())'"
        )
    return found
