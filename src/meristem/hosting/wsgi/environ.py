"""What a WSGI application is told of a request: its `environ` (PEP 3333, RFC 3875 section 4.1)."""

from __future__ import annotations

import sys
from typing import Any, BinaryIO, Final
from urllib.parse import unquote_to_bytes

from meristem.hosting.wsgi.files import FileWrapper
from meristem.security.identity_fields import STATE as USER

# Two of them contradict each other, and whoever stands in front may have believed the other one.
ONLY_ONE: Final = frozenset((b"authorization", b"content-length", b"content-type", b"host", b"proxy-authorization"))
# One value each (RFC 9110 section 5.5), harmless when repeated: the first counts.
FIRST_COUNTS: Final = frozenset(
    (
        b"date",
        b"from",
        b"if-modified-since",
        b"if-range",
        b"if-unmodified-since",
        b"max-forwards",
        b"origin",
        b"range",
        b"referer",
        b"user-agent",
    )
)
FRAMING: Final = frozenset((b"content-length", b"transfer-encoding", b"trailer", b"expect"))  # dealt with before
PORTS: Final = {"http": "80", "https": "443"}


class RepeatedHeaderError(Exception):
    """A request has a header twice that may stand only once."""


def environ_of(scope: dict[str, Any], *, threads: int) -> dict[str, Any]:
    """The environ of an ASGI scope, without its input.

    All text is bytes decoded as latin-1, as PEP 3333 asks for. A header with an underscore in its name is left out:
    the environ could not tell `X_User`, which a proxy lets through, from `X-User`, which it sets. So is `Proxy`, which
    would stand there as the variable by which many programs find their proxy (CVE-2016-5385). `REMOTE_USER` is who the
    gateway has found to send the request. Raises RepeatedHeaderError.
    """
    scheme = scope.get("scheme", "http")
    script, path = _paths(scope)
    query = scope["query_string"].decode("latin-1")
    name, port = scope.get("server") or ("localhost", None)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": script,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REQUEST_URI": _target(scope) + ("?" + query if query else ""),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_SOFTWARE": "Meristem",
        # a Unix socket has a path and no port
        "SERVER_NAME": name if port else "localhost",
        "SERVER_PORT": str(port) if port else PORTS.get(scheme, "80"),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": threads > 1,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
    }
    address, peer = scope.get("client") or ("", None)
    environ["REMOTE_ADDR"] = address
    if peer:
        environ["REMOTE_PORT"] = str(peer)
    if (user := scope.get("state", {}).get(USER)) is not None:
        environ["REMOTE_USER"] = user.subject.encode().decode("latin-1")
    _headers(environ, scope["headers"])
    return environ


def set_input(environ: dict[str, Any], body: BinaryIO, size: int) -> None:
    """Add the body, which has been read in full.

    Its length is known then, also of one that came in chunks: Django takes a body without a length for empty.
    """
    environ["wsgi.input"] = body
    environ["wsgi.input_terminated"] = True
    if size:
        environ["CONTENT_LENGTH"] = str(size)


def _paths(scope: dict[str, Any]) -> tuple[str, str]:
    """Where the app is mounted, and the path below: the decoded bytes, which need not be UTF-8."""
    mount = scope.get("root_path", "").encode().decode("latin-1")
    raw = scope.get("raw_path")
    path = (scope["path"].encode() if raw is None else unquote_to_bytes(raw)).decode("latin-1")
    return mount, path.removeprefix(mount)


def _target(scope: dict[str, Any]) -> str:
    """The path as it was asked for: `%2F` is not a slash in it."""
    raw: bytes | None = scope.get("raw_path")
    return scope["path"].encode().decode("latin-1") if raw is None else raw.decode("latin-1")


def _headers(environ: dict[str, Any], headers: list[tuple[bytes, bytes]]) -> None:
    for name, value in headers:
        if b"_" in name or name == b"proxy":
            continue
        if name in FRAMING:
            if name == b"content-length":
                _put(environ, name, "CONTENT_LENGTH", value)
            continue
        key = "CONTENT_TYPE" if name == b"content-type" else "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        _put(environ, name, key, value)


def _put(environ: dict[str, Any], name: bytes, key: str, value: bytes) -> None:
    """A header that is repeated becomes one value of the same meaning (RFC 9110 section 5.3, RFC 6265 section 5.4)."""
    text = value.decode("latin-1")
    known = environ.get(key)
    if known is None:
        environ[key] = text
    elif name in ONLY_ONE:
        raise RepeatedHeaderError(f"the header {name.decode('latin-1')!r} may stand only once")
    elif name not in FIRST_COUNTS:
        environ[key] = known + ("; " if name == b"cookie" else ", ") + text
