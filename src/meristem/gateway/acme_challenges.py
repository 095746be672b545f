"""Answers what a certificate authority asks at a public address to see that a host is ours (RFC 8555, 8.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.transports.http.responses import OCTETS, Response

if TYPE_CHECKING:
    from meristem.gateway.certificate_folder import CertificateFolder
    from meristem.transports.http.request import Request

WELL_KNOWN: Final = b"/.well-known/acme-challenge/"


class AcmeChallenges:
    """The proofs of a folder; what nobody has ordered is no concern of these, for an app may have such paths, too."""

    def __init__(self, folder: CertificateFolder) -> None:
        self._folder = folder

    def answer(self, request: Request) -> Response | None:
        """The proof that is asked for, if any is."""
        if not request.path.startswith(WELL_KNOWN) or request.method not in ("GET", "HEAD"):
            return None
        proof = self._folder.proof(request.path.removeprefix(WELL_KNOWN).decode("latin-1"))
        return None if proof is None else Response(200, OCTETS, proof)
