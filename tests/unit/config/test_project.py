"""The project's system: how it is found, and what is said when it is not."""

import sys
from pathlib import Path

import pytest

from meristem.config.project import check_there, find, load_object
from meristem.errors import ConfigurationError


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a package; what is imported from it is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    package = tmp_path / "inn"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "system.py").write_text("system = 'the system'\nclass Holder:\n    inner = 'inner'\n")
    (package / "broken.py").write_text("import nothing_of_that_name\n")
    (tmp_path / "hello.py").write_text("greeting = 'hello'\n")
    (tmp_path / "pyproject.toml").write_text('[tool.meristem]\nsystem = "inn.system:system"\n')
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_pyproject_names_the_system_also_from_a_folder_below(project):
    deep = project / "inn" / "deep"
    deep.mkdir()
    assert load_object(find(None, deep)) == "the system"


def test_a_nearer_pyproject_that_does_not_speak_of_meristem_is_passed_over(project):
    (project / "inn" / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert load_object(find(None, project / "inn")) == "the system"


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("inn.system:system", "the system"),
        ("inn.system:Holder.inner", "inner"),
        ("hello.py:greeting", "hello"),
        ("inn/system.py:system", "the system"),
    ],
)
def test_an_argument_names_a_module_or_a_file(project, argument, value):
    assert load_object(find(argument, project)) == value


def test_text_alone_is_looked_up_from_the_working_directory(project, monkeypatch):
    monkeypatch.chdir(project)
    assert load_object("inn.system:system") == "the system"


def test_a_file_without_an_attribute_gives_the_module(project):
    assert load_object(find("hello.py", project)).greeting == "hello"


def test_a_project_with_a_src_folder_is_found(project):
    (project / "src").mkdir()
    (project / "src" / "laid_out.py").write_text("system = 5\n")
    assert load_object(find("laid_out:system", project)) == 5


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ("inn.sistem:system", r"there is no 'inn.sistem' in .*inn; did you mean 'system'\?"),
        ("imn.system:system", r"there is no 'imn' in .*; did you mean 'inn'\?"),
        ("inn.system:sistem", r"inn.system has no 'sistem'; did you mean 'system'\?"),
        ("absent.py", r"there is no file .*absent.py"),
        ("not a module", r"neither `package.module:attribute` nor a Python file"),
    ],
)
def test_what_is_not_there_is_named_with_a_remedy(project, argument, told):
    with pytest.raises(ConfigurationError, match=told):
        load_object(find(argument, project))


def test_an_error_inside_the_module_is_told_with_its_place_and_remedy(project):
    with pytest.raises(ConfigurationError) as caught:
        load_object(find("inn.broken:system", project))
    place = f"{project / 'inn' / 'broken.py'}:1: import nothing_of_that_name"
    assert f"No module named 'nothing_of_that_name' ({place}); install it for {sys.executable}" in str(caught.value)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_the_projects_lines_that_led_to_an_error_are_told_and_no_others(project):
    (project / "inn" / "outer.py").write_text("\nimport inn.inner\n")
    (project / "inn" / "inner.py").write_text("import json\njson.loads('nothing')\n")
    (project / "inn" / "wrong.py").write_text("x = 1\ndef (\n")
    inn = project / "inn"
    with pytest.raises(ConfigurationError) as caught:
        load_object(find("inn.outer:system", project))
    assert str(caught.value).endswith(
        f"({inn / 'outer.py'}:2 → {inn / 'inner.py'}:2: json.loads('nothing')); mend it and run again"
    )
    with pytest.raises(ConfigurationError) as caught:
        load_object(find("inn.wrong:system", project))
    assert str(caught.value).endswith(
        f"SyntaxError: invalid syntax ({inn / 'wrong.py'}:2: def (); mend it and run again"
    )


def test_a_module_that_exits_is_told(project):
    (project / "leaves.py").write_text("raise SystemExit('no key')\n")
    with pytest.raises(ConfigurationError, match="SystemExit: no key"):
        load_object(find("leaves.py", project))


def test_a_file_that_fails_is_not_left_half_imported(project):
    (project / "half.py").write_text("raise RuntimeError('inside')\n")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="inside"):
            load_object(find("half.py", project))


def test_a_file_that_would_hide_an_imported_module_is_refused(project):
    (project / "json.py").write_text("")
    with pytest.raises(ConfigurationError, match="rename it"):
        load_object(find("json.py", project))


def test_without_argument_and_pyproject_the_remedy_is_told(tmp_path):
    with pytest.raises(ConfigurationError, match="which system") as caught:
        find(None, tmp_path)
    assert "[tool.meristem]" in str(caught.value)


def test_a_pyproject_without_system_is_named(tmp_path):
    path = Path(tmp_path) / "pyproject.toml"
    path.write_text("[tool.meristem]\nplacement = 'x'\n")
    with pytest.raises(ConfigurationError, match="has no `system`"):
        find(None, tmp_path)


@pytest.mark.parametrize("folder", ["", "src"])
@pytest.mark.parametrize("attribute", ["", ":LIMIT"])
def test_a_file_of_a_package_is_a_module_of_it(tmp_path, monkeypatch, folder, attribute):
    name = f"rooms_{folder}{len(attribute)}"
    package = tmp_path / folder / name / "inner"
    package.mkdir(parents=True)
    for each in (package, package.parent):
        (each / "__init__.py").write_text("")
    (package.parent / "limits.py").write_text("LIMIT = 7\n")
    (package / "service.py").write_text(f"from ..limits import LIMIT\nfrom {name} import limits\n")

    reference = find(f"{folder}/{name}/inner/service.py{attribute}".lstrip("/"), tmp_path)
    found = load_object(reference)

    assert (found if attribute else found.LIMIT) == 7
    assert (reference.root, reference.module) == (tmp_path, f"{name}.inner.service")


@pytest.mark.parametrize(("named", "told"), [("nope", "there is no 'nope'"), ("json.nope", "there is no 'json.nope'")])
def test_what_is_not_there_is_told_without_an_import(tmp_path, named, told):
    with pytest.raises(ConfigurationError, match=told):
        check_there(find(named, tmp_path))
    (tmp_path / "broken.py").write_text("1 / 0")
    check_there(find("broken", tmp_path))


@pytest.mark.parametrize(
    "source",
    [
        "system = 1",
        "system: int = 1",
        "if True:\n    system = 1",
        "try:\n    import x as system\nexcept ImportError:\n    pass",
        "from shop import system",
        "with open('x') as system: pass",
        "for system in (): pass",
        "(system := 1)",
        "a, (b, *system) = ()",
        "class system: pass",
        "async def system(): pass",
        "def make():\n    global system\n    system = 1\nmake()",
        "match 1:\n    case system: pass",
        "from shop import *",
        "globals()['system'] = 1",
        "def __getattr__(name): return 1",
        "half written (",
    ],
)
def test_a_name_that_a_source_may_give_is_there(project, source):
    (project / "held.py").write_text(source)
    check_there(find("held.py:system", project))
    check_there(find("held:system.part", project))


@pytest.mark.parametrize(
    "source", ["def make():\n    system = 1", "class A:\n    system = 1", "x = system", "lambda system: 1"]
)
def test_a_name_that_a_source_does_not_give_is_refused_without_an_import(project, source):
    (project / "held.py").write_text(f"raise SystemExit\nsistem = 1\n{source}")
    for named in ("held.py:system", "held:system"):
        with pytest.raises(ConfigurationError, match="has no 'system'; did you mean 'sistem'"):
            check_there(find(named, project))
