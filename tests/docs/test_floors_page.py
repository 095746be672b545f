"""The page of the house is about the house as it stands."""

import re
from pathlib import Path

from tests.architecture.test_floors import FLOOR

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "design" / "floors.md").read_text()
SOURCE = ROOT / "src" / "meristem"


def test_the_table_has_every_room_on_its_floor():
    said = {}
    for number, rooms in re.findall(r"^\| (\d) \| ([^|]*) \|", PAGE, re.MULTILINE):
        said |= {name.removesuffix(".py"): int(number) for name in re.findall(r"`([\w.]+)`", rooms)}
    there = {each.stem for each in SOURCE.iterdir() if (each / "__init__.py").is_file() or each.suffix == ".py"}
    assert said == {room: floor for room, floor in FLOOR.items() if room in there - {"__main__"}}


def test_every_file_that_the_page_names_is_there():
    roots = (ROOT, SOURCE, SOURCE.parent)
    named = re.findall(r"`((?:[a-z_]+/)+[a-z_]+)(?:\.py|\.[A-Z]\w+)?`", PAGE)
    assert [
        name for name in named if not any((root / name).is_dir() or (root / f"{name}.py").is_file() for root in roots)
    ] == []
