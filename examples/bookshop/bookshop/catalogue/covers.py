"""The covers that a book may have: three colours each."""

from __future__ import annotations

from typing import Final

from bookshop.contracts.catalogue import Cover

COVERS: Final = {
    "amber": Cover(paper="#f2b544", ink="#2b1d05", accent="#7a3e08"),
    "brick": Cover(paper="#8c3b2e", ink="#fff4ea", accent="#f0b49c"),
    "crimson": Cover(paper="#7d1128", ink="#fdf1f0", accent="#e8a33d"),
    "ink": Cover(paper="#16181d", ink="#f4f1ea", accent="#c9a96e"),
    "ivory": Cover(paper="#f4ecd8", ink="#33291a", accent="#a5402d"),
    "midnight": Cover(paper="#16244a", ink="#eef3ff", accent="#f5c64f"),
    "moss": Cover(paper="#2f4a34", ink="#f2f6e9", accent="#c8d98c"),
    "petrol": Cover(paper="#0d4b52", ink="#eafaf8", accent="#ff9d6e"),
    "plum": Cover(paper="#4b2352", ink="#fbeffb", accent="#e6a3c8"),
    "sand": Cover(paper="#ddc9a3", ink="#2e2414", accent="#6a4a1c"),
    "slate": Cover(paper="#3b4856", ink="#f3f7fa", accent="#8fd0e8"),
}
