"""A name is refused where the package or service that is called so could not be imported, or would hide another."""

import ast
import contextlib
import re
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

import pytest

from meristem.errors import ConfigurationError
from meristem.scaffold.new_project import CHECKERS, KINDS, service_names
from meristem.scaffold.project_names import CLASSES, LONGEST, NAME, check_package, check_service, contract_of
from meristem.scaffold.skeleton import skeleton
from meristem.scaffold.taken_names import INSTALLED
from meristem.services.service import snake


@pytest.mark.parametrize("name", ["shop", "order_lines", "v2", "a" * 24])
def test_words_of_small_letters_name_a_package(name):
    check_package(name)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("class", "a word of Python's own"),
        ("match", "a word of Python's own"),
        ("My-Shop", "did you mean 'my_shop'?"),
        ("OrderLines", "did you mean 'order_lines'?"),
        ("1shop", "a letter first"),
        ("Größe", "did you mean 'grosse'?"),
        ("café-bar", "did you mean 'cafe_bar'?"),
        ("shop.web", "did you mean 'shop_web'?"),
        ("../shop", "did you mean 'shop'?"),
        ("", "a letter first"),
        ("shop\n", "did you mean 'shop'?"),
        ("a" * 25, "longer than 24"),
        ("email", "a module of Python's own"),
        ("tests", "in the way"),
        ("meristem", "in the way"),
        ("conftest", "in the way"),
        ("test_home", "in the way"),
        ("test", "a module of Python's own"),
        ("werkzeug", "which the package would hide"),
        ("yaml", "which the package would hide"),
    ],
)
def test_another_name_of_a_package_is_refused_with_what_to_do(name, why):
    with pytest.raises(ConfigurationError, match=why):
        check_package(name)


def test_a_package_is_not_called_as_anything_that_new_projects_are_installed_with():
    """What they require is followed in this environment, to names of packages and of modules alike."""
    pinned = skeleton("quart", package="blog", underline="====", python="3.11", version="1", meristem=".")
    wanted = [text for kind in KINDS.values() for text in (*kind.requires, *kind.development)]
    wanted += [*CHECKERS, *pinned["requirements.txt"].split(), "hatchling", "meristem", "pip", "setuptools", "sphinx"]
    found: set[str] = set()
    while wanted:
        name = re.split(r"[^\w.-]", wanted.pop())[0]
        if (package := _module(name)) in found:
            continue
        found.add(package)
        with contextlib.suppress(PackageNotFoundError):  # what a project needs and these tests do without
            wanted += [each for each in requires(name) or () if "extra ==" not in each or name == "meristem"]
    modules = {
        module for module, owners in packages_distributions().items() if not found.isdisjoint(map(_module, owners))
    }
    possible = {name for name in found | modules if NAME.fullmatch(name) and len(name) <= LONGEST}

    assert possible - INSTALLED - sys.stdlib_module_names == {"meristem"}


def _module(package: str) -> str:
    """How a module would be spelt that is called as a package."""
    return re.sub(r"[-_.]+", "_", package).lower()


@pytest.mark.parametrize("name", ["contracts", "system", "entry", "contract", "x", "a_b", "async", "Notes"])
def test_a_service_is_not_called_as_what_stands_beside_it(name):
    with pytest.raises(ConfigurationError):
        check_service(name)


def test_no_class_of_a_service_is_named_twice_whatever_it_is_called():
    """All that its modules import or define, with a capital first, are classes that no contract may be called as."""
    named = set()
    for path, text in skeleton("service", **service_names("shop", "stock")).items():
        if path.endswith(".py") and re.search(r"^(class |from .* import .*)\bStock\b", text, re.MULTILINE):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ClassDef):
                    named.add(node.name)
                elif isinstance(node, ast.ImportFrom):
                    named.update(each.name for each in node.names)
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    named.add(node.id)
    possible = {each for each in named if each == contract_of(snake(each)) and not each.startswith("Stock")}

    assert possible == CLASSES
