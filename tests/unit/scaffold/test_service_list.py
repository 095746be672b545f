"""A system's source gets one more service where that is safe, and stays as it is where it is not."""

import pytest

from meristem.scaffold.service_list import service_list

NEW = "shop.stock.service:StockService"


def changed(source: str, variable: str | None = "system") -> str | None:
    services = service_list(source, variable)
    assert services is not None
    return services.with_service(NEW)


def test_a_list_with_a_line_for_each_gets_another_line():
    source = """
from meristem import System
system = System(
    "shop",
    services=[  # one a line
        "shop.notes.service:NotesService",  # the first, and so on
    ],
)
"""
    added = '        "shop.stock.service:StockService",\n'
    assert changed(source) == source.replace("    ],\n", f"{added}    ],\n")


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ('["a.b:C"]', f'["a.b:C", "{NEW}"]'),
        ('["a.b:C",]', f'["a.b:C", "{NEW}",]'),
        ('["ä.ö:Ü"]', f'["ä.ö:Ü", "{NEW}"]'),
        ('[\n    "a.b:C"\n]', f'[\n    "a.b:C",\n    "{NEW}",\n]'),
        ('[\r\n    "a.b:C",\r\n]', f'[\r\n    "a.b:C",\r\n    "{NEW}",\r\n]'),
        ('["a.b:C",\n    "d.e:F"]', f'["a.b:C",\n    "d.e:F", "{NEW}"]'),
    ],
)
def test_a_list_keeps_its_shape(listed, expected):
    assert changed(f'system = System("shop", services={listed})\n') == f'system = System("shop", services={expected})\n'
    assert changed(f'ALL = {listed}\nsystem = System("shop", services=ALL)\n') == (
        f'ALL = {expected}\nsystem = System("shop", services=ALL)\n'
    )


@pytest.mark.parametrize(
    "services",
    ["[StockService]", "[]", "names()", '["a.b:C", *OTHERS]', '("a.b:C",)', '[f"{shop}.b:C"]', '["a.b:C"] + OTHERS'],
)
def test_what_is_put_together_in_another_way_is_left_to_who_wrote_it(services):
    assert changed(f'system = System("shop", services={services})\n') is None


def test_a_list_that_is_changed_afterwards_is_that_of_its_last_value():
    source = 'ALL = ["a.b:C"]\nALL = [*ALL, "d.e:F"]\nsystem = System("shop", services=ALL)\n'

    assert changed(source) is None


def test_the_system_is_the_one_that_is_named_or_the_only_one():
    two = 'one = System("a", services=["a.b:C"])\nother: System = meristem.System("b", services=[])\n'

    assert service_list(two, None) is None
    assert service_list(two, "third") is None
    assert service_list("system = make()\n", "system") is None
    found = service_list(two, "one")
    assert found is not None
    assert found.variable == "one"
    alone = service_list(two.splitlines()[1], None)
    assert alone is not None
    assert (alone.variable, alone.holds_classes) == ("other", False)
