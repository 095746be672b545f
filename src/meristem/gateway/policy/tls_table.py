"""The `[gateway.tls]` of a placement: what public addresses prove themselves by."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

FilePath = Annotated[str, Meta(min_length=1, description="the path of a file")]


class TlsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A certificate, with those that vouch for it behind it, and its key: files of PEM."""

    certificate: FilePath
    key: FilePath

    def below(self, folder: Path) -> TlsTable:
        """The same with its files found from a folder."""
        # Not resolved: certificates are renewed by links.
        certificate, key = os.path.join(folder, self.certificate), os.path.join(folder, self.key)  # noqa: PTH118
        return TlsTable(certificate, key)

    def files(self) -> tuple[Path, Path]:
        """Both paths."""
        return Path(self.certificate), Path(self.key)
