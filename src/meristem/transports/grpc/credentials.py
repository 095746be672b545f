"""Certificates by files, for both ends."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from meristem.errors import ConfigurationError
from meristem.transports.grpc.library import grpc

if TYPE_CHECKING:
    from meristem.transports.grpc.grpc_port import GrpcPort

CERTIFICATE: Final = "CERTIFICATE"
KEY: Final = "PRIVATE KEY"
LABEL: Final = re.compile(rb"^-----BEGIN ([A-Z0-9 ]+)-----\s*$", re.MULTILINE)


def server_credentials(port: GrpcPort) -> Any:
    """What a port with TLS shows its clients, and asks of them; the files are read again for each connection."""

    def read() -> Any:
        pair = _pair(port.certificate, port.key)
        return grpc.ssl_server_certificate_configuration([pair], _content("client_ca", port.client_ca))

    return grpc.dynamic_ssl_server_credentials(read(), read, require_client_authentication=port.client_ca is not None)


def channel_credentials(ca: str | None, certificate: str | None, key: str | None) -> Any:
    """What a client shows and whom it believes: without a `ca` those whom grpcio does."""
    if (certificate is None) != (key is None):
        raise ConfigurationError("certificate= and key= of a grpcs address: give both or neither")
    return grpc.ssl_channel_credentials(_content("ca", ca), *_pair(certificate, key))


def _pair(certificate: str | None, key: str | None) -> tuple[bytes | None, bytes | None]:
    """The content of a key and of its certificate: grpcio's order."""
    found = _content("key", key, KEY), _content("certificate", certificate)
    if certificate is not None:
        # Told here, for grpcio says of a port with the wrong pair what it says of a port that is taken.
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
        except (ssl.SSLError, ValueError) as error:
            why = getattr(error, "reason", None) or error
            if why == "KEY_VALUES_MISMATCH":
                why = "they do not belong together; give the key for which the certificate was signed"
            raise ConfigurationError(f"certificate = {certificate!r} and key = {key!r}: {why}") from None
    return found


def _content(what: str, path: str | None, label: str = CERTIFICATE) -> bytes | None:
    if path is None:
        return None
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{what} = {path!r}: {error.strerror}") from None
    held = [each.decode() for each in LABEL.findall(content)]
    if f"ENCRYPTED {KEY}" in held or b"Proc-Type: 4,ENCRYPTED" in content:
        raise ConfigurationError(
            f"{what} = {path!r} is encrypted, and nobody is there to be asked: `openssl pkey -in …`"
        )
    if not any(each.endswith(label) for each in held):
        others = f", only {', '.join(held)}" if held else ""
        raise ConfigurationError(f"{what} = {path!r} is no PEM file with a line `-----BEGIN {label}-----`{others}")
    return content
