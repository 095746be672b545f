"""A table that no terminal shows is one line a row, with nothing cut, folded or filled up."""

import subprocess
import sys
from pathlib import Path

import pytest

from meristem.cli.output import print_table

FULL = Path("/dev/full")


def test_what_a_program_reads_is_one_line_a_row_without_fill(capsys):
    long = "x" * 300
    print_table("a title that is longer than the table", ["id", "what"], [["1", long], ["22", "y"]], "none")

    title, head, first, second = capsys.readouterr().out.splitlines()
    assert title == "a title that is longer than the table"
    assert head == "id   what"
    assert first == f"1    {long}"
    assert second == "22   y"


def test_a_title_is_not_folded_where_the_rows_are_shorter(capsys):
    print_table("a title that is longer than the table", ["a", "b"], [["1", "2"]], "none")

    assert capsys.readouterr().out == "a title that is longer than the table\na   b\n1   2\n"


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_output_that_can_not_be_written_is_told_in_a_line():
    with FULL.open("w") as full:
        found = subprocess.run(
            [sys.executable, "-m", "meristem", "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    told = "error: the output can't be written: No space left on device; make room, or name another place\n"
    assert (found.returncode, found.stderr) == (75, told)
