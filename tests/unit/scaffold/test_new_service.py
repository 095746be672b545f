"""A service joins the system that is there: nothing is overwritten, and what can't be added is told."""

from pathlib import Path

import pytest

from meristem.config.project import find
from meristem.errors import ConfigurationError
from meristem.scaffold.new_project import new_system
from meristem.scaffold.new_service import new_service


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    new_system("shop", "notes", tmp_path)
    return tmp_path


def test_it_gets_a_contract_a_package_a_test_and_its_entry(shop):
    written = new_service("order_lines", find(None, shop))

    package = ["__init__", "service", "settings", "tables"]
    assert written.created == [
        "shop/contracts/order_lines.py",
        *(f"shop/order_lines/{each}.py" for each in package),
        "tests/test_order_lines.py",
    ]
    assert (written.changed, written.by_hand) == (["shop/system.py"], None)
    assert '"shop.order_lines.service:OrderLinesService",' in (shop / "shop/system.py").read_text()
    assert (
        'class OrderLines(Contract, Protocol, package="shop.order_lines.v1")'
        in (shop / "shop/contracts/order_lines.py").read_text()
    )


def test_one_that_is_there_is_not_written_again(shop):
    before = (shop / "shop/system.py").read_text()

    with pytest.raises(ConfigurationError, match=r"shop/contracts/notes\.py, .* would be overwritten"):
        new_service("notes", find(None, shop))

    assert (shop / "shop/system.py").read_text() == before


def test_where_classes_are_listed_the_lines_to_add_are_told(shop):
    source = "from shop.notes.service import NotesService\nfrom meristem import System\n"
    (shop / "shop/system.py").write_text(f'{source}main = System("shop", services=[NotesService])\n')

    written = new_service("stock", find("shop.system", shop))

    assert written.changed == []
    assert written.by_hand == (
        "add StockService to the services of main in shop/system.py: from shop.stock.service import StockService"
    )
    assert "from shop.system import main as system\n" in (shop / "tests/test_stock.py").read_text()


def test_where_the_list_is_computed_the_name_to_add_is_told(shop):
    (shop / "shop/system.py").write_text('system = System("shop", services=load())\n')

    written = new_service("stock", find(None, shop))

    assert written.by_hand == 'add "shop.stock.service:StockService" to the services of system in shop/system.py'


def test_the_package_may_stand_in_src(tmp_path):
    new_system("shop", "notes", tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "shop").rename(tmp_path / "src" / "shop")
    (tmp_path / "src/shop/contracts/__init__.py").unlink()

    written = new_service("stock", find(None, tmp_path))

    assert "src/shop/contracts/__init__.py" in written.created
    assert "src/shop/stock/service.py" in written.created
    assert "tests/test_stock.py" in written.created
    assert written.changed == ["src/shop/system.py"]


def test_a_system_in_a_single_file_has_no_place_for_it(tmp_path):
    (tmp_path / "hello.py").write_text('system = System("hello", services=["a.b:C"])\n')

    with pytest.raises(ConfigurationError, match=r"hello\.py is in no package, .* meristem new system NAME"):
        new_service("stock", find("hello.py", tmp_path))


def test_a_module_of_contracts_is_not_hidden_by_a_package(shop):
    (shop / "shop/contracts.py").write_text("")

    with pytest.raises(ConfigurationError, match=r"make it a package: contracts/__init__\.py"):
        new_service("stock", find(None, shop))


def test_a_module_without_the_system_is_told(shop):
    with pytest.raises(ConfigurationError, match="name one by --system"):
        new_service("stock", find("shop.system:other", shop))
