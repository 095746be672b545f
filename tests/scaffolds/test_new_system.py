"""A new system passes its tests, its linters and the check that it can be divided; so does one with a service more."""

import json
import sys

import httpx
import pytest

from tests.suites.type_checkers import runs_mypy

pytestmark = pytest.mark.timeout(600)

MERISTEM = (sys.executable, "-m", "meristem")


def test_its_tests_pass(new):
    assert "4 passed" in new("system", "shop").make("test")


@runs_mypy
def test_linters_have_nothing_to_say_of_it_and_of_a_service_that_joins_it(new):
    project = new("system", "shop")
    project.run(*MERISTEM, "new", "service", "billing")

    assert "Success: no issues found in 16 source files" in project.make("lint")
    assert "Nothing was found." in project.run(*MERISTEM, "check")
    assert "1 passed" in project.make("test", PYTEST_ADDOPTS="tests/test_billing.py -k found_again")


@pytest.mark.parametrize("placed", [(), ("--placement", "placements/split.toml")], ids=["whole", "divided"])
async def test_it_runs_and_keeps_what_it_is_given(new, serve, placed):
    client: httpx.AsyncClient = await serve(new("system", "shop"), "-m", "meristem", "run", "--port", "0", *placed)

    added = await client.post("/api/notes", json={"text": "Buy milk"}, headers={"idempotency-key": "once"})
    again = await client.post("/api/notes", json={"text": "Buy milk"}, headers={"idempotency-key": "once"})

    assert (added.status_code, again.json()) == (201, added.json())
    assert (await client.get("/api/notes")).json() == [added.json()]
    assert (await client.get(f"/api/notes/{added.json()['entry_id']}")).json() == added.json()
    assert (await client.get("/api/notes/00000000-0000-4000-8000-000000000000")).status_code == 404


def test_coverage_measures_what_runs_in_processes_that_a_test_starts(new):
    """The service is never imported by this test itself: its process alone can have run the lines."""
    project = new("system", "shop")

    project.make("coverage", PYTEST_ADDOPTS="tests/test_placement.py")

    project.run(sys.executable, "-m", "coverage", "json", "-q", "-o", "coverage.json")
    measured = json.loads((project.folder / "coverage.json").read_text())["files"]["shop/notes/service.py"]
    functions = measured["functions"]
    assert functions["NotesService.add"]["summary"]["percent_covered"] == 100
    assert functions["NotesService.newest"]["summary"]["percent_covered"] == 0
