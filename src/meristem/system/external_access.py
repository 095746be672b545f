"""Systems of other teams: where each that this one calls answers, and the token that says there who calls."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from meristem.config.secret import Secret
from meristem.config.setting_sources import Sources, variable
from meristem.config.settings import Settings, load
from meristem.discovery.environment import address_of, url_variable
from meristem.errors import ConfigurationError
from meristem.transports.adapters import CLIENTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.system.placement import Placement
    from meristem.system.plan import ExternalPlan, Plan


class ExternalSettings(Settings):
    """What is set of an external system: its `url`, several with commas between, and a `token` of its giving.

    `ca` is a file of who signs its certificate, where the machine does not know them; `certificate` and `key` are files
    of what it asks of its callers.
    """

    url: str = ""
    token: Secret = Secret("")
    ca: str = ""
    certificate: str = ""
    key: str = ""


class ExternalAccess:
    """How an external system is reached: its addresses, and what is sent to it with each call."""

    def __init__(self, name: str, addresses: tuple[str, ...], settings: ExternalSettings) -> None:
        self.addresses = addresses
        self._name = name
        self._settings = settings

    def headers(self) -> dict[str, str]:
        """The header fields of each call."""
        token = self._settings.token
        return {"authorization": f"Bearer {token.reveal()}"} if token else {}

    def tls(self) -> ssl.SSLContext | None:
        """The context of its connections, None for what the machine trusts; ConfigurationError for unreadable files."""
        settings = self._settings
        if not (settings.ca or settings.certificate):
            return None
        try:
            context = ssl.create_default_context(cafile=settings.ca or None)
            if settings.certificate:
                context.load_cert_chain(settings.certificate, settings.key or None)
        except OSError as error:  # ssl.SSLError is one
            named = ", ".join(filter(None, (settings.ca, settings.certificate, settings.key)))
            why = error.strerror or error
            raise ConfigurationError(f"the files of TLS to {self._name} ({named}) cannot be used: {why}") from None
        return context


def access_to(
    external: ExternalPlan,
    plan: Plan,
    placement: Placement,
    environment: Mapping[str, str],
    overrides: Mapping[str, Mapping[str, object]] | None = None,
) -> ExternalAccess:
    """How to reach a system of another team; raises ConfigurationError where nothing says where it is.

    A setting is the strongest, then `[external]` of the placement, then what the code says.
    """
    sources = sources_of(external.name, plan.system, placement, environment, overrides)
    found = load(ExternalSettings, system=plan.system, service=external.name, sources=sources)
    named = variable(plan.system, external.name, "url")
    written = found.url or placement.external.get(external.name, "") or external.address
    if not written:
        raise ConfigurationError(
            f"nothing says where {external.name} is, with {external.contract}: set {named}, or write it "
            f'into the placement, [external] {external.name} = "https://…", or into System(external=…)'
        )
    origin = f"the address of {external.name} ({named})"
    addresses = tuple(address_of(origin, each.strip(), CLIENTS.check) for each in written.split(",") if each.strip())
    return ExternalAccess(external.name, addresses, found)


def sources_of(
    name: str,
    system: str,
    placement: Placement,
    environment: Mapping[str, str],
    overrides: Mapping[str, Mapping[str, object]] | None = None,
) -> Sources:
    """Where the settings of an external system come from; its address may be in `BANK_URL`, as that of a service."""
    return Sources(
        overrides=overrides or {},
        environment=environment,
        aliases={variable(system, name, "url"): url_variable(name)},
        files=placement.settings_for_all(),
    )


def addresses_outside(plan: Plan, placement: Placement, environment: Mapping[str, str]) -> dict[str, str]:
    """Where each external system is, by name; "" for one of which that is not known here."""
    found = {}
    for each in plan.external:
        try:
            found[each.name] = ", ".join(access_to(each, plan, placement, environment).addresses)
        except ConfigurationError:
            found[each.name] = ""
    return found
