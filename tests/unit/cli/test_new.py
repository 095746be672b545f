"""`meristem new` writes projects, says which files these are and what to do next, and overwrites nothing."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from meristem.cli.main import meristem as command
from meristem.scaffold.new_project import APPS


@pytest.fixture
def new(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(command, ["new", *arguments])

    return run


def test_what_was_written_and_what_to_do_next_is_told(new):
    told = new("system", "shop", "--service", "stock")

    assert told.exit_code == 0, told.output
    lines = told.output.splitlines()
    written = {line.removeprefix("wrote ") for line in lines if line.startswith("wrote ")}
    assert written == {str(path) for path in Path("shop").rglob("*") if path.is_file()}
    assert "shop/shop/stock/service.py" in written
    assert lines[-4:] == ["Next:", "  cd shop", "  make test", "  make run"]


def test_programs_are_told_in_json(new):
    told = json.loads(new("app", "blog", "--from", "flask", "--out", "elsewhere/blog", "--json").output)

    assert (told["folder"], told["changed"], told["by_hand"]) == ("elsewhere/blog", [], None)
    assert told["next"] == ["cd elsewhere/blog", "make test", "make run"]
    assert sorted(told["created"]) == sorted(
        path.relative_to("elsewhere/blog").as_posix() for path in Path("elsewhere/blog").rglob("*") if path.is_file()
    )


def test_a_folder_with_a_blank_in_its_name_can_be_gone_to_as_told(new):
    assert "  cd 'my sites/blog'\n" in new("app", "blog", "--from", "flask", "--out", "my sites/blog").output


def test_a_service_joins_the_system_of_this_folder(new, monkeypatch):
    new("system", "shop")
    monkeypatch.chdir("shop/shop")

    told = new("service", "stock")

    assert told.exit_code == 0, told.output
    assert "wrote stock/service.py\n" in told.output
    assert "wrote ../tests/test_stock.py\n" in told.output
    assert "changed system.py\n" in told.output
    assert told.output.endswith("Next:\n  python -m pytest tests/test_stock.py\n  meristem run\n")


def test_what_is_left_to_add_by_hand_comes_first(new, monkeypatch):
    new("system", "shop")
    monkeypatch.chdir("shop")
    Path("shop/system.py").write_text('system = System("shop", services=load())\n')

    told = new("service", "stock")

    assert 'Next:\n  add "shop.stock.service:StockService" to the services of system in shop/system.py\n' in told.output


@pytest.mark.parametrize("arguments", [("system", "shop"), *(("app", "shop", "--from", kind) for kind in APPS)])
def test_a_folder_that_is_there_is_refused_and_stays_as_it_was(new, arguments):
    Path("shop").mkdir()
    Path("shop/mine.txt").write_text("mine")

    refused = new(*arguments)

    assert refused.exit_code == 2
    assert (
        "shop exists already, and is not overwritten; choose another name, or another folder by --out" in refused.output
    )
    assert [path.name for path in Path("shop").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("system", "class"), "a word of Python's own"),
        (("system", "My-Shop"), "did you mean 'my_shop'?"),
        (("system", "shop", "--service", "contracts"), "would stand in the way"),
        (("app", "quart", "--from", "quart"), "which the package would hide"),
        (("system", "sqlalchemy"), "which the package would hide"),
        (("app", "tests", "--from", "flask"), "would stand in the way"),
        (("app", "blog"), "--from"),
        (("app", "blog", "--from", "bottle"), "'quart', 'flask', 'fastapi', 'django'"),
        (("system", "shop", "--out", "taken/shop"), "taken/shop can't be written"),
    ],
)
def test_what_cannot_be_written_is_wrong_use_and_nothing_is_done(new, arguments, why):
    Path("taken").write_text("a file")

    refused = new(*arguments)

    assert refused.exit_code == 2, refused.output
    assert why in refused.output
    assert [path.name for path in Path().iterdir()] == ["taken"]


def test_a_service_without_a_system_is_told_how_to_name_one(new):
    refused = new("service", "stock")

    assert refused.exit_code != 0
    assert "which system?" in str(refused.exception)
