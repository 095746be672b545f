"""New projects with nothing of this environment: each installs what it needs into one of its own (`make scaffolds`)."""

import os
import sys
from pathlib import Path

import pytest

from meristem.scaffold.new_project import APPS

pytestmark = [pytest.mark.scaffolds, pytest.mark.timeout(1800)]

OWN = {"PYTHONPATH": "", "VIRTUAL_ENV": ""}
THIS_PYTHON = f"py3{sys.version_info.minor}"


@pytest.mark.parametrize("kind", ["system", *APPS])
def test_every_verb_sets_up_what_it_needs(new, kind):
    project = new(kind, "blog")

    said = project.run("make", "test", "lint", "coverage", **OWN)

    assert "Success: no issues found" in said
    assert "TOTAL" in said
    assert (project.folder / ".venv/bin/meristem").is_file()


@pytest.mark.parametrize("kind", ["system", "flask"])
def test_its_tox_legs_pass(new, kind):
    said = new(kind, "blog").run(sys.executable, "-m", "tox", "-e", f"{THIS_PYTHON},lint", **OWN)

    assert f"{THIS_PYTHON}: OK" in said
    assert "lint: OK" in said


def test_the_tox_legs_of_the_classical_skeleton_pass(new):
    said = new("quart", "myservice").run(sys.executable, "-m", "tox", **OWN)

    for leg in ("pytest", "format", "docs"):
        assert f"{leg}: OK" in said


async def test_the_wheel_of_the_classical_skeleton_runs_in_a_bare_environment(new, serve, port, tmp_path):
    """Its requirements are what pip freeze prints there: all that Quart needs, each with its version."""
    project = new("quart", "myservice")
    project.run("make", "build", **OWN)
    [wheel] = (project.folder / "dist").glob("myservice-*.whl")
    bare = tmp_path / "bare/bin"
    project.run(sys.executable, "-m", "venv", str(bare.parent), **OWN)
    project.run(str(bare / "pip"), "install", "-q", str(wheel), **OWN)

    frozen = project.run(str(bare / "pip"), "freeze", "-q", **OWN).splitlines()
    assert [line for line in frozen if "==" in line] == (project.folder / "requirements.txt").read_text().splitlines()

    away = tmp_path / "away"
    away.mkdir()
    project.folder = away
    client = await serve(
        project, *("-m", "quart", "run", "--host", "127.0.0.1", "--port", port),
        interpreter=str(bare / "python"), QUART_APP="myservice", **OWN,
    )  # fmt: skip
    assert (await client.get("/")).json() == {}
    setting = "import myservice; print(myservice.app.config['SERVICE_NAME'])"
    assert project.run(str(bare / "python"), "-c", setting, **OWN).strip() == "myservice"


def test_an_image_is_made_of_wheels_that_need_no_other_place(new):
    """What `make image` puts into the image: both wheels, and nothing but them and system.py is sent to the builder."""
    project = new("flask", "blog")
    stand_in = project.folder / "bin"
    stand_in.mkdir()
    (stand_in / "docker").write_text("#!/bin/sh\nls wheels\n")
    (stand_in / "docker").chmod(0o755)

    said = project.run("make", "-s", "image", PATH=f"{stand_in}:{os.environ['PATH']}", **OWN)

    names = sorted(Path(line).name.partition("-")[0] for line in said.split() if line.endswith(".whl"))
    assert names == ["blog", "meristem"]
