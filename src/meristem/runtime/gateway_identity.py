"""What tells the gateway of this process who sends a request, as its placement says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.config.secret import Secret
from meristem.config.setting_sources import Sources, variable
from meristem.config.settings import Settings, load
from meristem.errors import ConfigurationError
from meristem.gateway.identity.key_ring import KeyRing
from meristem.gateway.identity.token_claims import Expected
from meristem.gateway.policy.authentication import Authenticator
from meristem.quantities import seconds_of
from meristem.runtime.public_certificate import PART, AcmeSettings
from meristem.security.tokens import check_secret
from meristem.system.state_directory import API_KEYS

if TYPE_CHECKING:
    from pathlib import Path

    from meristem.gateway.identity.issuers import Issuers
    from meristem.gateway.policy.browser_sign_in import SignIn
    from meristem.gateway.policy.gateway_table import GatewayTable
    from meristem.gateway.policy.identity_tables import IssuerTable, SignInTable
    from meristem.lifecycle import Component
    from meristem.runtime.options import Options

USED: Final = "api-keys-used.json"
LEEWAY: Final = 30.0  # seconds by which the clock of the provider may differ


class IssuerSettings(Settings):
    """What is set of an issuer: the `secret` of HS…, and a file of who signs its certificate (`ca`)."""

    secret: Secret = Secret("")
    ca: str = ""


class SignInSettings(Settings):
    """What is set of the provider at which people sign in: the `client_secret` that it gave, and `ca` as above."""

    client_secret: Secret = Secret("")
    ca: str = ""


def authenticator(table: GatewayTable, system: str, options: Options) -> Authenticator | None:
    """What tells who sends a request; None where nothing does. Raises ConfigurationError for unusable settings."""
    parts: list[Component] = []
    issuers = _issuers(table, system, options, parts) if table.issuers else None
    keys = None
    if table.keys is not None:
        used = None if options.state is None else options.state / USED
        keys = KeyRing(keys_file(table, options.directory, options.state), used)
        parts.append(keys)
    sign_in = None if table.sign_in is None else _sign_in(table.sign_in, system, options, parts)
    return Authenticator(issuers, keys, parts, sign_in) if parts or issuers is not None else None


def settings_classes(table: GatewayTable | None) -> dict[str, type[Settings]]:
    """What is set of those whom a gateway asks, by what each is called in settings."""
    if table is None:
        return {}
    acme: dict[str, type[Settings]] = {} if table.tls is None or table.tls.acme is None else {PART: AcmeSettings}
    issuers: dict[str, type[Settings]] = {part_of(name): IssuerSettings for name in table.issuers}
    return acme | issuers | ({} if table.sign_in is None else {part_of("sign_in"): SignInSettings})


def keys_file(table: GatewayTable | None, directory: Path, state: Path | None) -> Path:
    """Where the API keys of a system are: in the file that its placement names, else beside what it remembers."""
    named = "" if table is None or table.keys is None else table.keys.file
    return directory / named if named else (state or directory) / API_KEYS


def _issuers(table: GatewayTable, system: str, options: Options, parts: list[Component]) -> Issuers:
    # Here, for they need an extra that a gateway without issuers does not.
    from meristem.gateway.identity.fetching import HttpsFetch  # noqa: PLC0415
    from meristem.gateway.identity.issuer_keys import IssuerKeys  # noqa: PLC0415
    from meristem.gateway.identity.issuers import Issuers  # noqa: PLC0415
    from meristem.gateway.identity.signatures import secret_key  # noqa: PLC0415
    from meristem.gateway.identity.token_issuer import PublicProofs, SharedSecret, TokenIssuer  # noqa: PLC0415

    by_url: dict[str, TokenIssuer] = {}
    issuers = Issuers(by_url)
    for name, each in table.issuers.items():
        settings = _settings(name, system, options)
        proofs: SharedSecret | PublicProofs
        if each.is_symmetric:
            proofs = SharedSecret(secret_key(_secret(name, each, settings, system)))
        elif settings.secret:
            raise ConfigurationError(
                f"{variable(system, part_of(name), 'secret')} is set, and [gateway.issuers.{name}] has public keys: "
                'take it away, or write algorithms = ["HS256"]'
            )
        else:
            fetch = HttpsFetch(settings.ca)
            keys = IssuerKeys(name, each.issuer, each.jwks, fetch, changed=issuers.forget)
            parts.append(keys)
            proofs = PublicProofs(keys)
        expected = Expected(each.issuer, frozenset(each.audiences), seconds_of(each.leeway))
        by_url[each.issuer] = TokenIssuer(
            frozenset(each.algorithms), expected, each.claims, proofs, prefix=each.subject_prefix
        )
    return issuers


def _sign_in(table: SignInTable, system: str, options: Options, parts: list[Component]) -> SignIn:
    from meristem.gateway.identity.code_flow import CodeFlow  # noqa: PLC0415 - as above
    from meristem.gateway.identity.fetching import HttpsFetch  # noqa: PLC0415
    from meristem.gateway.identity.issuer_keys import IssuerKeys  # noqa: PLC0415
    from meristem.gateway.identity.sealing import Seal  # noqa: PLC0415
    from meristem.gateway.identity.sessions import Sessions  # noqa: PLC0415
    from meristem.gateway.identity.token_issuer import PublicProofs, TokenIssuer  # noqa: PLC0415
    from meristem.gateway.policy.browser_sign_in import SignIn  # noqa: PLC0415

    sources = Sources(overrides=options.overrides, environment=options.environment)
    settings = load(SignInSettings, system=system, service=part_of("sign_in"), sources=sources)
    fetch = HttpsFetch(settings.ca)
    keys = IssuerKeys("sign_in", table.issuer, "", fetch, changed=_nothing)
    parts.append(keys)
    expected = Expected(table.issuer, frozenset({table.client_id}), LEEWAY)
    issuer = TokenIssuer(
        frozenset(table.algorithms), expected, table.claims, PublicProofs(keys), prefix=table.subject_prefix
    )
    flow = CodeFlow(table.client_id, settings.client_secret.reveal(), table.scopes, keys, issuer, fetch)
    sessions = Sessions(Seal(options.secret, "session"), seconds_of(table.lifetime))
    on_the_way = Seal(options.secret, "sign-in")
    return SignIn(
        flow, sessions, on_the_way, callback=table.callback, sign_out=table.sign_out, after=table.after_sign_out
    )


def _nothing() -> None:
    """A session counts on when the provider takes another key: its token was verified as it began."""


def part_of(name: str) -> str:
    """What the settings of an issuer are called by: SHOP_GATEWAY_MAIN_SECRET is that of `main` in the system `shop`."""
    return f"gateway_{name}"


def _settings(name: str, system: str, options: Options) -> IssuerSettings:
    sources = Sources(overrides=options.overrides, environment=options.environment)
    return load(IssuerSettings, system=system, service=part_of(name), sources=sources)


def _secret(name: str, table: IssuerTable, settings: IssuerSettings, system: str) -> str:
    named = variable(system, part_of(name), "secret")
    secret = settings.secret.reveal()
    if not secret:
        raise ConfigurationError(
            f"[gateway.issuers.{name}]: {', '.join(table.algorithms)} needs the secret that the issuer signs with: "
            f"set {named}, or {named}_FILE to a file with it"
        )
    check_secret(secret.encode(), named)
    return secret
