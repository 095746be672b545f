"""No name of the root is one that a service's file may well import from elsewhere, too: one would shadow the other."""

import asyncio
import concurrent.futures
import contextlib
import unittest.mock
from types import ModuleType

import fastapi
import httpx
import msgspec
import pytest
import sqlalchemy
import sqlalchemy.orm

import meristem

BESIDE = [
    asyncio, concurrent.futures, contextlib, fastapi, httpx, msgspec, pytest, sqlalchemy, sqlalchemy.orm, unittest.mock,
]  # fmt: skip
# A class that is taken for another fails at once, where it is made or derived from; a function may not.
FAILS_AT_ONCE = {("asyncio", "Event"), ("pytest", "Cache"), ("sqlalchemy", "Identity")}


def public(module: ModuleType) -> set[str]:
    return set(getattr(module, "__all__", None) or (name for name in dir(module) if not name.startswith("_")))


def test_no_name_of_the_root_shadows_one_that_stands_beside_it():
    both = {(module.__name__, name) for module in BESIDE for name in public(module) & set(meristem.__all__)}
    assert both == FAILS_AT_ONCE
