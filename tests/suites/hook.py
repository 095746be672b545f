"""A plain HTTP server as the subscriber outside, which keeps what it is sent and answers as a test says."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence


class Posted(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    status: int
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()


class Hook:
    """Listens between `start` and `stop`, at the same port each time; `answers` are given first, one a request."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.posted: list[Posted] = []
        self.answers: list[Answer] = []
        self.otherwise = Answer(204)
        self.hold: Callable[[Posted], None] = lambda _: None
        self._tls = tls
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self._news = threading.Condition()

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://localhost:{self._port}/hooks/events?a=1"

    def start(self) -> Hook:
        if self._server is not None:
            return self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(handler) -> None:  # noqa: N805 - of BaseHTTPRequestHandler, within another object
                self._answer(handler)

            def log_message(self, *_: object) -> None: ...

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None: ...  # a client that has gone

        self._server = server = Server(("127.0.0.1", self._port), Handler)
        if self._tls is not None:
            server.socket = self._tls.wrap_socket(server.socket, server_side=True)
        self._port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Refuse connections; those that are open answer once more at most."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def wait(self, count: int, patience: float = 30.0) -> list[Posted]:
        """What was posted, when that is so much; AssertionError where it takes too long."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.posted) >= count, patience), self.posted
            return list(self.posted)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"]))
        posted = Posted(handler.path, {name.lower(): value for name, value in handler.headers.items()}, body)
        with self._news:
            answer = self.answers.pop(0) if self.answers else self.otherwise
            self.posted.append(posted)
            self._news.notify_all()
        self.hold(posted)
        if self._server is None:
            handler.close_connection = True
        handler.send_response(answer.status)
        for name, value in answer.headers:
            handler.send_header(name, value)
        if answer.status != 204:
            handler.send_header("content-length", str(len(answer.body)))
        handler.end_headers()
        handler.wfile.write(answer.body)
