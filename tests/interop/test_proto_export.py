"""What is exported of contracts that were written in Python is what tools of protobuf take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HOTELS = Path(__file__).parents[2] / "examples" / "hotels"
TOOLS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The contracts of the hotel site."""
    folder = tmp_path_factory.mktemp("exported")
    command = [str(TOOLS / "meristem"), "contracts", "export", "-o", str(folder)]
    done = subprocess.run(command, cwd=HOTELS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_buf_builds_and_lints_it(exported: Path):
    (exported / "buf.yaml").write_text("version: v2\nlint:\n  use: [BASIC]\n")

    for verb in ("build", "lint"):
        done = subprocess.run(
            [str(TOOLS / "buf"), verb, "."], cwd=exported, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_texts_of_classes_and_methods_stand_at_what_they_describe(exported: Path):
    text = (exported / "hotels/rooms/v1/rooms.proto").read_text()

    assert "// Knows every hotel and room, and gives a room to one guest at a time.\nservice Rooms {" in text
    assert "  // A room and its hotel.\n  rpc Room(" in text
    assert "// The last room for these nights has just been taken.\nmessage RoomTaken {" in text
