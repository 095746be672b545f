"""The certificate of a process to which the public comes: from files, or by ACME, as `[gateway.tls]` says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from meristem.config.setting_sources import Sources
from meristem.config.settings import Settings, load
from meristem.errors import ConfigurationError
from meristem.gateway.acme_challenges import AcmeChallenges
from meristem.gateway.certificate_folder import CertificateFolder
from meristem.gateway.certificate_renewal import CertificateRenewal
from meristem.gateway.certificate_view import CertificateView
from meristem.transports.http.server.certificate import CertificateFiles

if TYPE_CHECKING:
    from meristem.gateway.certificate_renewal import Orders
    from meristem.gateway.policy.gateway_table import GatewayTable
    from meristem.gateway.policy.tls_table import AcmeTable
    from meristem.runtime.options import Options

PART: Final = "gateway_tls_acme"  # by which settings name it


class AcmeSettings(Settings):
    """What is set of a certificate authority: a file of who signs the certificate of its own address (`ca`)."""

    ca: str = ""


class PublicCertificate:
    """What a `[gateway.tls]` table stands for in one process; `challenges` and `renewal` are None for files.

    Raises ConfigurationError where files are no certificate, or ACME lacks what it needs.
    """

    def __init__(self, table: GatewayTable, system: str, options: Options) -> None:
        assert table.tls is not None
        self._tls = table.tls
        self.challenges: AcmeChallenges | None = None
        self.renewal: CertificateRenewal | None = None
        self._hosts: tuple[str, ...] = ()
        if (files := table.tls.files()) is not None:
            self.files = CertificateFiles(*files, where="[gateway.tls]")
            return
        assert table.tls.acme is not None
        self._hosts = table.certified
        folder = _folder(options)
        self.files = CertificateFiles(folder.certificate, folder.certificate, where="[gateway.tls.acme]", awaited=True)
        self.challenges = AcmeChallenges(folder)
        self.renewal = _renewal(table.tls.acme, self._hosts, folder, _authority(system, options))

    def view(self) -> CertificateView:
        """What operators are told of it."""
        facts, acme = self.files.facts, self._tls.acme
        view = CertificateView(
            source=str(self._tls.certificate) if acme is None else acme.directory,
            hosts=list(self._hosts if facts is None else facts.hosts),
            until=None if facts is None else facts.until,
        )
        history = None if self.renewal is None else self.renewal.history
        if history is not None and history.failures:
            return replace(
                view,
                failures=history.failures,
                failure=history.failure,
                failed_at=history.failed_at,
                next_at=history.next_at,
            )
        return view


def _folder(options: Options) -> CertificateFolder:
    if options.state is None:
        raise ConfigurationError("[gateway.tls.acme]: there is no folder here in which a certificate could be kept")
    if importlib.util.find_spec("acme") is None:  # not imported before something is ordered, which is seldom
        raise ConfigurationError("[gateway.tls.acme] needs the library acme: pip install 'meristem[acme]'")
    folder = CertificateFolder(options.state)
    folder.prepare()
    return folder


def _authority(system: str, options: Options) -> str:
    sources = Sources(overrides=options.overrides, environment=options.environment)
    ca = load(AcmeSettings, system=system, service=PART, sources=sources).ca
    if ca and not Path(ca).is_file():
        raise ConfigurationError(f"[gateway.tls.acme]: the setting `ca` names {ca}, and there is no such file")
    return ca


def _renewal(table: AcmeTable, hosts: tuple[str, ...], folder: CertificateFolder, ca: str) -> CertificateRenewal:
    def orders() -> Orders:
        from meristem.gateway.certificate_order import CertificateOrders  # noqa: PLC0415 - needs the extra, and takes time

        return CertificateOrders(folder, table.directory, table.email, ca)

    return CertificateRenewal(folder, table.directory, hosts, orders)
