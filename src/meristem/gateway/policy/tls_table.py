"""The `[gateway.tls]` of a placement: what public addresses prove themselves by."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

FilePath: TypeAlias = Annotated[str, Meta(min_length=1, description="the path of a file")]
DirectoryUrl: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^https://[^\s/?#@]+(?:/[^\s#]*)?$(?!\n)",
        description="an https:// URL, such as https://acme-v02.api.letsencrypt.org/directory",
    ),
]
DnsName: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$(?!\n)",
        description="the name of a host, such as shop.example, without *, which can't be proved over HTTP",
    ),
]
Mail: TypeAlias = Annotated[str, Meta(pattern=r"^(?:[^\s@,]+@[^\s@,]+)?$(?!\n)", description="an address of e-mail")]
TcpAddress: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^(?:(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5})?$(?!\n)",
        description="a host and a port, such as 0.0.0.0:80 or [::]:80",
    ),
]
MOST_HOSTS: Final = 100  # of one certificate, as authorities allow


class AcmeTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A certificate that an authority issues by ACME (RFC 8555), for `hosts`, or else for those of the gateway.

    `agree_to_terms` says that whoever wrote it agrees to the terms of the authority. It may write to `email`.
    """

    directory: DirectoryUrl
    agree_to_terms: bool = False
    email: Mail = ""
    hosts: tuple[DnsName, ...] = ()

    def names(self, hosts: tuple[str, ...]) -> tuple[str, ...]:
        """The hosts of the certificate where these are those of the gateway: those with `*` are left out."""
        told = self.hosts or tuple(each for each in hosts if not each.startswith(("*", "[")))
        return tuple(dict.fromkeys(each.lower() for each in told))

    def problem(self, hosts: tuple[str, ...]) -> str | None:
        """What cannot be meant; None for a sound table."""
        names = self.names(hosts)
        if not self.agree_to_terms:
            return (
                "agree_to_terms is not true: read the terms of the authority, to which its directory leads, and write "
                "agree_to_terms = true if you agree to them"
            )
        if not names:
            return 'for which hosts shall the certificate be? write hosts = ["shop.example"] here or in [gateway]'
        if numbers := [each for each in names if each.replace(".", "").isdigit()]:
            return f"hosts: {numbers[0]!r} is an address, and certificates are for names"
        if len(names) > MOST_HOSTS:
            return f"hosts: a certificate is for {MOST_HOSTS} hosts at most, and these are {len(names)}"
        return None


class TlsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What proves the public addresses: files of PEM, a certificate with its chain and its key, or `acme`.

    At the address of `http` the edge also answers without TLS.
    """

    certificate: FilePath | None = None
    key: FilePath | None = None
    acme: AcmeTable | None = None
    http: TcpAddress = ""

    def below(self, folder: Path) -> TlsTable:
        """The same with its files found from a folder."""
        # Not resolved: certificates are renewed by links.
        found = [None if each is None else os.path.join(folder, each) for each in (self.certificate, self.key)]  # noqa: PTH118
        return msgspec.structs.replace(self, certificate=found[0], key=found[1])

    def files(self) -> tuple[Path, Path] | None:
        """The paths of certificate and key; None where they come by ACME."""
        return None if self.certificate is None or self.key is None else (Path(self.certificate), Path(self.key))

    def problem(self, hosts: tuple[str, ...]) -> tuple[str, str] | None:
        """The name of the table that cannot be meant, and why; `hosts` are those of the gateway."""
        told = [name for name in ("certificate", "key") if getattr(self, name) is not None]
        if self.acme is not None:
            if told:
                return "gateway.tls", f"{told[0]} and acme: a certificate comes from files or by ACME, not both"
            problem = self.acme.problem(hosts)
            return None if problem is None else ("gateway.tls.acme", problem)
        if len(told) != 2:
            missing = "key" if told == ["certificate"] else "certificate"
            return "gateway.tls", f"{missing} is missing: write certificate and key, or [gateway.tls.acme]"
        return None
