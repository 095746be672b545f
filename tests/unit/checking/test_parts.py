"""Which modules belong to which part."""

import pytest

from meristem.checking.parts import parts_of
from meristem.system.plan import AppPlan, Plan, ServicePlan


def plan(*targets: str, apps: tuple[str, ...] = ()) -> Plan:
    services = tuple(ServicePlan(f"s{n}", each, {}, (), (), {}, (), database=False) for n, each in enumerate(targets))
    return Plan("shop", services, tuple(AppPlan(f"a{n}", each, f"/{n}") for n, each in enumerate(apps)), (), ())


@pytest.mark.parametrize(
    ("targets", "apps", "owned"),
    [
        (
            ["shop.stock.service:S", "shop.orders.service:O"], [],
            {"shop.stock": "s0", "shop.stock.tables": "s0", "shop.stock.tests.test_x": "s0", "shop.orders.a.b": "s1",
             "shop": None, "shop.common": None, "shop.stockings": None},
        ),
        (["shop.stock:S", "shop.orders:O"], [], {"shop.stock": "s0", "shop.orders": "s1", "shop.tables": None}),
        (["stock.service:S", "orders.service:O"], ["web:app"], {"stock.x": "s0", "orders": "s1", "web": "a0"}),
        (["shop.all:S", "shop.all:O"], [], {"shop.all": None, "shop": None}),
        (["shop.a.service:S", "shop.a.jobs:J"], [], {"shop.a.service": "s0", "shop.a.jobs": "s1", "shop.a.x": None}),
        (["shop.stock.service:S"], ["shop:app"], {"shop": "a0", "shop.stock.tables": "s0", "shop.common": None}),
        (["shop.stock.service:S"], ["<an object>"], {"shop.stock.x": "s0"}),
    ],
)  # fmt: skip
def test_a_part_owns_the_widest_package_in_which_nothing_else_stands(targets, apps, owned):
    parts = parts_of(plan(*targets, apps=tuple(apps)), {"shop.system"})

    found = {module: getattr(parts.owner(module), "name", None) for module in owned}

    assert found == owned


def test_what_is_declared_shared_belongs_to_nobody():
    parts = parts_of(plan("shop.stock.service:S", "shop.orders.service:O"), (), ["shop.stock.units"])

    assert parts.owner("shop.stock.units.metric") is None
    assert parts.owner("shop.stock.unity") is not None
