"""TLS of the client's end: which context an address has, and what a failed handshake means to who wrote it."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from meristem.errors import ConfigurationError

if TYPE_CHECKING:
    from meristem.transports.http.address import Address

NO_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
ALERTED: Final = ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE", "ACCESS_DENIED")  # what a peer's alert is called
CLIENT: Final = "give one that it trusts by load_cert_chain(…) of the context in tls="
ALERT: Final = b"\x15\x03"  # how a TLS server begins its answer to what is no TLS


def context_of(address: Address, given: ssl.SSLContext | None) -> ssl.SSLContext | None:
    """The context of connections to an address: without one of its own it trusts as the machine does.

    Raises ConfigurationError for a context beside an address that speaks no TLS.
    """
    if given is not None and not address.secure:
        raise ConfigurationError(f"tls= is for an address that begins with https://, not for {address}")
    return ssl.create_default_context() if given is None and address.secure else given


def why_refused(error: OSError) -> str:
    """Why a handshake failed, with the remedy; nothing where there was none, as no connection."""
    if not isinstance(error, ssl.SSLError):
        if error.errno is not None:
            return ""
        return f"TLS was ended by the server without a reason; {CLIENT}, if it asks for a certificate"
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message.rstrip(".")
        remedy = "; who signs it is named by tls=ssl.create_default_context(cafile=…)" if "issuer" in reason else ""
        if "self-signed" in reason or "self signed" in reason:
            remedy = "; if it is meant, it is trusted by tls=ssl.create_default_context(cafile=…)"
        return f"its certificate does not hold: {reason}{remedy}"
    if is_alert(error):
        return f"it refuses this client's certificate, or that there is none: {error.reason}; {CLIENT}"
    if (error.reason or "") in NO_TLS:
        return "what answers there speaks no TLS; without it the address begins with http://"
    return f"TLS failed: {error.reason or error}"


def is_alert(error: BaseException | None) -> bool:
    """Whether the server refused the handshake by an alert, so that it read no request.

    With TLS 1.3 that comes after the client's handshake is over (RFC 8446, 4.4.2.4 and 6.2), and ends the connection.
    """
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    return "ALERT" in reason and any(each in reason for each in ALERTED)
