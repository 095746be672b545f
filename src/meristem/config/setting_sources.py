"""The places that give settings, and what one was found to be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

NOT_ALNUM: Final = re.compile(r"[^A-Z0-9]+")


class File(msgspec.Struct, frozen=True):
    """The `[settings]` of a file: by service, then by field. `origin` is how people name the file."""

    origin: str
    settings: Mapping[str, Mapping[str, Any]]


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Where values come from, strongest first; `overrides` and files are by service, then by field.

    `aliases` are second names of variables, for where the first one is not set: `{"SHOP_BANK_URL": "BANK_URL"}`.
    """

    overrides: Mapping[str, Mapping[str, Any]] = {}
    environment: Mapping[str, str] = {}
    aliases: Mapping[str, str] = {}
    files: tuple[File, ...] = ()


class Setting(msgspec.Struct, frozen=True):
    """One setting as it was found, for `meristem settings`: a secret's value is hidden, and so is a URL's password."""

    name: str
    value: str
    origin: str
    variable: str


def variable(system: str, service: str, *path: str) -> str:
    """The environment variable of a setting: `HOTELS_PAYMENTS_URL`, nested `HOTELS_PAYMENTS_BANK__URL`."""
    field = "__".join(_upper(name) for name in path)
    return f"{_upper(system)}_{_upper(service)}_{field}"


def _upper(name: str) -> str:
    return NOT_ALNUM.sub("_", name.upper())
