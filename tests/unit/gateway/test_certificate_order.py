"""An authority that answers without end, or more than it should, does not fill the process that asks it."""

from __future__ import annotations

import gzip
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
import trustme

pytest.importorskip("acme", reason="certificates by ACME need meristem[acme]")

from meristem.gateway.certificate_folder import CertificateFolder
from meristem.gateway.certificate_order import MOST, CertificateOrders
from meristem.gateway.order_failure import OrderFailureError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def ordering(tmp_path: Path) -> Iterator[Callable[[bytes, str], OrderFailureError]]:
    """Why nothing is issued by an authority whose directory has this body, in a coding."""
    answer: list[tuple[bytes, str]] = []

    class Authority(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body, coding = answer[-1]
            self.send_response(200)
            if coding:
                self.send_header("content-encoding", coding)
            self.end_headers()
            try:
                self.wfile.write(body)
                while len(body) > MOST:
                    self.wfile.write(body)
            except OSError:
                pass  # who asks has had enough

        def log_message(self, *_: object) -> None:
            pass

    authority = trustme.CA()
    server = HTTPServer(("127.0.0.1", 0), Authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = tmp_path / "root.pem"
    authority.cert_pem.write_to_path(str(root))
    folder = CertificateFolder(tmp_path)
    folder.prepare()

    def why(body: bytes, coding: str) -> OrderFailureError:
        answer.append((body, coding))
        orders = CertificateOrders(folder, f"https://127.0.0.1:{server.server_port}/directory", "", str(root))
        with pytest.raises(OrderFailureError) as raised:
            orders.order(["shop.example"])
        return raised.value

    yield why
    server.shutdown()
    server.server_close()


def test_an_answer_without_end_is_read_no_further_than_a_directory_is_long(ordering: Callable[..., OrderFailureError]):
    found = ordering(b"x" * (MOST + 1), "")
    assert found.is_away
    assert f"more than {MOST} bytes" in str(found)


def test_what_is_compressed_is_not_unpacked(ordering: Callable[..., OrderFailureError]):
    assert "does not answer as ACME asks" in str(ordering(gzip.compress(b'{"newNonce": "x"}'), "gzip"))
