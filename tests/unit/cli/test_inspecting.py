"""What is shown of processes that come and go."""

import subprocess
import sys
from pathlib import Path

import pytest

from meristem.system.process_memory import memory_of


@pytest.mark.parametrize("gone", [FileNotFoundError, ProcessLookupError])
def test_a_process_that_ends_while_it_is_asked_for_its_memory_has_none(monkeypatch, gone):
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()

    def read(_path):
        raise gone

    monkeypatch.setattr(Path, "read_text", read)
    assert memory_of(ended.pid) is None
