"""Redirects, whose address is made of what the first script tells of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.gateway.export.envoy.answer_fields import INSTEAD
from meristem.gateway.export.envoy.header_matchers import HOST, SEARCH, SERVED
from meristem.gateway.policy.edge_hosts import HTTPS

if TYPE_CHECKING:
    from meristem.gateway.export.envoy.header_matchers import Part
    from meristem.gateway.policy.route_table import RedirectTable


def redirect(table: RedirectTable) -> Part:
    """The redirect of a route."""
    to = table.to.replace("%", "%%")
    address = to.rstrip("/") + _told(SERVED) if table.keep_path else to
    return _moved(table.status, address + _told(SEARCH) if table.keep_query else address)


def to_tls() -> Part:
    """The redirect to the same address by TLS, at its usual port."""
    return _moved(HTTPS, f"https://{_told(HOST)}{_told(SERVED)}{_told(SEARCH)}")


def _moved(status: int, address: str) -> Part:
    location = {"header": {"key": "location", "value": address}, "append_action": INSTEAD}
    return {"direct_response": {"status": status}, "response_headers_to_add": [location]}


def _told(name: str) -> str:
    return f"%REQ({name})%"
