"""Where an issuer may be asked."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit


def wrong_issuer_url(url: str) -> str | None:
    """Why a URL is none at which an issuer may be asked: without TLS whoever is in between says who may come in."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "is malformed; write https://login.example"
    if parts.scheme not in ("https", "http") or not host or "@" in parts.netloc or not url.isascii():
        return "is no URL of HTTPS; write https://login.example"
    if parts.scheme == "http" and not _is_near(host):
        return "is asked without TLS, so anybody on the way could say who may come in; write https://"
    return None


def _is_near(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
