"""Sites to test: one folder is filled once, every other site starts in a copy of it."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from sites import Site, eventually, run


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the site has run once and made its catalogue: the workers of a run share it."""
    own = tmp_path_factory.getbasetemp()
    place = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    home = place / "seeded"
    with (place / "seeded.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            making = tmp_path_factory.mktemp("seeding")
            with run(making) as site:
                eventually(site.owed, lambda owed: not owed)
            making.rename(home)
    return home


@pytest.fixture(scope="session")
def new_home(seeded: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Gives a folder of its own with the catalogue in it."""
    numbers = count()
    return lambda: shutil.copytree(seeded, tmp_path_factory.mktemp("sites") / f"site{next(numbers)}")


@pytest.fixture(scope="module")
def site(new_home: Callable[[], Path]) -> Iterator[Site]:
    """One site for tests that keep to guests and rooms of their own."""
    with run(new_home()) as site:
        yield site


@pytest.fixture(scope="module")
def untouched(site: Site) -> Callable[[], dict[str, object]]:
    """Gives an offer that no other test gets."""
    return iter(site.own_offers(guests=1)).__next__
