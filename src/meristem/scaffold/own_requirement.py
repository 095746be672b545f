"""Tells pip where to find the Meristem that runs now."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import msgspec

NAME: Final = "meristem"


def own_version() -> str:
    """The version of the Meristem that runs now."""
    return distribution(NAME).version


def own_requirement() -> str:
    """What pip takes to install the Meristem that runs now: a folder, a wheel, a commit, or a version.

    A package that was not installed by its version says where it came from in `direct_url.json` (PEP 610).
    """
    written = distribution(NAME).read_text("direct_url.json")
    origin: dict[str, Any] = msgspec.json.decode(written) if written else {}
    url = origin.get("url", "")
    if url.startswith("file:"):
        return str(Path(url2pathname(unquote(urlsplit(url).path))))
    if vcs := origin.get("vcs_info"):
        return f"{NAME} @ {vcs['vcs']}+{url}@{vcs['commit_id']}"
    return f"{NAME} @ {url}" if url else f"{NAME}=={own_version()}"
