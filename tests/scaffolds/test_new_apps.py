"""A new app passes its tests and its linters, and answers alike alone and under Meristem."""

import asyncio
import sys
import zipfile

import pytest

from meristem.scaffold.new_project import APPS
from tests.suites.type_checkers import runs_mypy

pytestmark = pytest.mark.timeout(600)

# pytest's plugins of this environment are not those of the project, and take seconds to import.
PLAIN = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
ALONE = {
    "quart": ("-m", "quart", "run", "--host", "127.0.0.1", "--port", "{port}"),
    "flask": ("-m", "flask", "--app", "blog", "run", "--port", "0"),
    "fastapi": ("-m", "uvicorn", "blog:app", "--port", "0"),
    "django": ("manage.py", "runserver", "--noreload", "0"),
}


@pytest.mark.parametrize("kind", APPS)
def test_its_tests_pass(new, kind):
    assert "passed" in new(kind, "blog").make("test", **PLAIN)


@runs_mypy
@pytest.mark.parametrize("kind", APPS)
def test_its_linters_have_nothing_to_say(new, kind):
    assert "Success: no issues found" in new(kind, "blog").make("lint")


@pytest.mark.parametrize("kind", APPS)
async def test_it_answers_alone_as_under_meristem(new, serve, port, kind):
    project = new(kind, "blog")

    alone, hosted = await asyncio.gather(
        serve(project, *(word.format(port=port) for word in ALONE[kind]), QUART_APP="blog"),
        serve(project, "-m", "meristem", "run", "--port", "0"),
    )

    for client in (alone, hosted):
        response = await client.get("/")
        assert (response.status_code, response.json()) == (200, {})
        assert response.headers["content-type"] == "application/json"
        greeting = await client.get("/greetings/Ada")
        if kind == "quart":
            assert greeting.status_code == 404
        else:
            assert greeting.json() == {"message": "Hello, Ada!"}


def test_the_wheel_of_the_classical_skeleton_has_its_settings(new, tmp_path):
    project = new("quart", "myservice")
    project.run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", "dist", ".")
    [wheel] = (project.folder / "dist").glob("*.whl")

    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "installed")

    print_setting = "import myservice; print(myservice.__file__, myservice.app.config['SERVICE_NAME'])"
    installed = str(tmp_path / "installed")
    printed = project.run(sys.executable, "-P", "-c", print_setting, PYTHONPATH=installed)
    assert printed.split() == [f"{installed}/myservice/__init__.py", "myservice"]


def test_a_path_of_settings_counts_from_where_the_command_is_run_and_an_empty_one_is_none(new, tmp_path):
    project = new("quart", "myservice")
    (project.folder / "others.yml").write_text("SERVICE_NAME: another\n")

    program = "from myservice import app; print(app.config['SERVICE_NAME'])"
    assert project.run(sys.executable, "-c", program, QUART_SETTINGS="others.yml").strip() == "another"
    assert project.run(sys.executable, "-c", program, QUART_SETTINGS="").strip() == "myservice"
