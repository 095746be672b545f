"""What operators are told of the certificate at the public addresses."""

from __future__ import annotations

from meristem.contracts.message import Message


class CertificateView(Message):
    """Who it is for, until when (seconds since 1970), and where it comes from: a file, or an authority's directory.

    Without `until` there is none yet. After `failures` in a row to have one issued, of which `failure` was the last,
    it is tried again at `next_at`.
    """

    source: str
    hosts: list[str]
    until: float | None = None
    failures: int = 0
    failure: str = ""
    failed_at: float | None = None
    next_at: float | None = None
