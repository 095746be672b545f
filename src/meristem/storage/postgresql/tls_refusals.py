"""Why no connection by TLS comes about, in a sentence that says what to do; asked only once one has failed.

Both libraries, asyncpg and libpq, read the same options, and tell of what is wrong with them each in words of its own.
"""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

_VERIFIES: Final = ("verify-ca", "verify-full")
_OTHER_NAME: Final = ("mismatch", "does not match host name")
_OTHER_SIGNER: Final = ("certificate verify failed", "CERTIFICATE_VERIFY_FAILED")
_NO_TLS: Final = ("rejected SSL upgrade", "server does not support SSL")
_ALERT: Final = "alert"  # what the other end says as it gives up
_MADE_OF: Final = "~/.postgresql/root.crt"  # where both libraries look where nothing is said
_SYSTEM: Final = "system"


class TlsOptions(NamedTuple):
    """What a URL says of TLS; files that it doesn't name are None."""

    mode: str
    root: str | None
    certificate: str | None
    key: str | None
    revoked: str | None


def tls_options(options: Mapping[str, str], usual: str) -> TlsOptions:
    """Those of a URL's query."""
    names = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
    return TlsOptions(options.get("sslmode", usual), *(options.get(each) or None for each in names))


def refusal(tls: TlsOptions, error: BaseException) -> str | None:
    """Why no repetition of a failed connection helps: a file, a certificate, a server without TLS; else None."""
    text, told = str(error), _told(error)
    if tls.mode == "disable":
        return None
    if any(each in text for each in _NO_TLS):
        return f"it has no TLS, which sslmode={tls.mode} asks for: set `ssl = on` there"
    return _wrong_file(tls) or _wrong_certificate(tls, text, told)


def hint(tls: TlsOptions) -> str:
    """What may be behind a connection that just ends, which is all that is heard where TLS 1.3 refuses a client."""
    return "" if tls.certificate is None else "; a server that does not trust sslcert ends a connection like that"


def _wrong_certificate(tls: TlsOptions, text: str, told: str) -> str | None:
    if any(each in text for each in _OTHER_NAME):
        return f"its certificate is for another name ({told}): name it in the URL as its certificate does"
    if any(each in text for each in _OTHER_SIGNER):
        where = f"sslrootcert={tls.root}" if tls.root else f"the root certificate ({_MADE_OF})"
        return f"its certificate is not trusted by {where} ({told}): name the file of who has signed it"
    if "ssl" in text.lower() and _ALERT in text.lower():
        return f"it ends the TLS handshake ({told}): is sslcert signed by whom it trusts (ssl_ca_file)?"
    return None


def _wrong_file(tls: TlsOptions) -> str | None:
    """What is wrong with the first file that is of no use."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    root = tls.root or os.environ.get("PGSSLROOTCERT")
    if root == _SYSTEM:
        return "sslrootcert=system is not read by all: name the file, on Debian /etc/ssl/certs/ca-certificates.crt"
    if root is None and tls.mode in _VERIFIES and not Path(_MADE_OF).expanduser().is_file():
        return f"sslmode={tls.mode} needs to know whom to trust: add sslrootcert=FILE to the URL"
    for option, file in (("sslrootcert", root), ("sslcrl", tls.revoked)):
        if file is not None and (wrong := _unread(option, file, context.load_verify_locations)):
            return wrong
    if (tls.certificate is None) != (tls.key is None):
        return "sslcert and sslkey, the client's certificate and its key, are given together or not at all"
    if tls.certificate is None or tls.key is None:
        return None
    return _unread("sslcert", tls.certificate, _opened) or _wrong_key(context, tls.certificate, tls.key)


def _wrong_key(context: ssl.SSLContext, certificate: str, key: str) -> str | None:
    if wrong := _unread("sslkey", key, _opened):
        return wrong
    found = Path(key).stat()
    allowed = 0o640 if found.st_uid == 0 else 0o600  # as libpq has it
    if stat.S_IMODE(found.st_mode) & ~allowed & 0o777:
        return f"sslkey={key} can be read by others: `chmod 600` it"
    return _unread("sslkey", key, lambda path: context.load_cert_chain(certificate, path, password=lambda: ""))


def _unread(option: str, file: str, read: Callable[[str], object]) -> str | None:
    try:
        read(file)
    except ssl.SSLError as error:
        reason = (error.reason or "it can't be read").replace("_", " ").lower()
        return (
            f"{option}={file} is of no use: {reason}; it holds a certificate or key in PEM, the key without a password"
        )
    except OSError as error:
        return f"{option}={file} can't be read: {(error.strerror or type(error).__name__).lower()}"
    return None


def _opened(file: str) -> None:
    with Path(file).open("rb"):
        pass


def _told(error: BaseException) -> str:
    """What the library says of the cause, on one line."""
    text = str(getattr(error, "verify_message", None) or error).rpartition(" failed: ")[2]
    return " ".join(text.split()).rstrip(".")
