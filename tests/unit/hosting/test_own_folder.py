"""An app with a folder works there, and imports from there first."""

import ast
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from meristem.errors import ConfigurationError
from meristem.hosting.own_folder import enter
from meristem.supervision import foreign_server


def test_its_modules_are_its_own_and_the_projects_are_found_last(tmp_path: Path):
    own = tmp_path / "bank"
    own.mkdir()
    (tmp_path / "app.py").write_text("NAME = 'project'\n")
    (tmp_path / "shared.py").write_text("NAME = 'shared'\n")
    (tmp_path / "known.py").write_text("NAME = 'known'\n")
    (own / "app.py").write_text("NAME = 'bank'\n")
    (own / "json.py").write_text("raise RuntimeError('the standard library was imported already')\n")
    code = (
        "import json, sys\nfrom pathlib import Path\nfrom meristem.config.project import put_on_path\n"
        f"root = Path({str(tmp_path)!r})\nput_on_path(root)\nimport app, known\nformer = app\n"
        "from meristem.hosting.own_folder import enter\nenter(root / 'bank', root)\n"
        "import app, json, shared, known as again\n"
        "print(former.NAME, app.NAME, shared.NAME, again is known, Path.cwd().name, sys.path[-1] == str(root))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert told.split() == ["project", "bank", "shared", "True", "bank", "True"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ConfigurationError, match="cannot work in the app's folder .*nowhere: No such file"):
        enter(tmp_path / "nowhere", tmp_path)


def test_what_serves_foreign_apps_is_read_by_an_old_python():
    ast.parse(Path(foreign_server.__file__).read_text(), feature_version=(3, 7))


async def asgi(scope, receive, send): ...


def wsgi(environ, start_response): ...


class Asgi:
    async def __call__(self, scope, receive, send): ...


def hands_on(scope, receive, send):
    return asgi(scope, receive, send)


@pytest.mark.parametrize(
    ("app", "speaks"), [(asgi, True), (Asgi(), True), (hands_on, True), (wsgi, False), (print, False)]
)
def test_what_serves_foreign_apps_tells_asgi_from_wsgi(app, speaks):
    assert foreign_server.speaks_asgi(app) is speaks


@pytest.mark.parametrize(("version", "path"), [("0.27.0", "/hello"), ("0.33.0", "/shop/hello"), (None, "/shop/hello")])
async def test_a_foreign_app_finds_its_routes_below_its_mount_as_its_framework_does(monkeypatch, version, path):
    if version is None:
        monkeypatch.delitem(sys.modules, "starlette", raising=False)
    else:
        monkeypatch.setitem(sys.modules, "starlette", SimpleNamespace(__version__=version))
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)

    scope = {"type": "http", "path": "/hello", "raw_path": b"/hello", "root_path": ""}
    await foreign_server.mounted(app, "/shop")(scope, None, None)

    assert (seen[0]["path"], seen[0]["raw_path"], seen[0]["root_path"]) == (path, path.encode(), "/shop")
    assert scope["path"] == "/hello"
