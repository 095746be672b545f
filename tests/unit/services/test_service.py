"""A service class is understood before anything starts; what is wrong with it is said with the remedy."""

from typing import Any, Protocol

import pytest

from meristem import Clock, Contract, Database, Progress, Service, Settings, WiringError, once, safe
from meristem.services.container import build
from meristem.services.service import Need, describe, snake


class Greeter(Contract, Protocol, package="tests.v1"):
    @safe
    async def greet(self, name: str) -> str: ...


class Other(Contract, Protocol, package="tests.v1"):
    @once
    async def other(self) -> None: ...


class Twin(Contract, Protocol, package="tests.v1"):
    @safe
    async def greet(self, name: str) -> str: ...


class Greeting:
    async def greet(self, name: str) -> str:
        return f"Hello, {name}"


def refused(service: type[Service]) -> str:
    with pytest.raises(WiringError) as caught:
        describe(service)
    return str(caught.value)


def test_needs_are_found_by_type_and_what_has_a_default_is_left_alone():
    class Limits(Settings):
        most: int = 3

    class GreeterService(Greeting, Greeter, Service):
        def __init__(
            self, other: Other, database: Database, limits: Limits, clock: Clock, progress: Progress, own: int = 3
        ) -> None: ...

    spec = describe(GreeterService)

    assert [need.parameter for need in spec.needs] == ["other", "database", "limits", "clock", "progress"]
    assert (spec.name, spec.contracts, spec.calls, spec.settings) == ("greeter", (Greeter,), (Other,), (Limits,))
    assert not spec.answers_once


def test_a_service_without_constructor_needs_nothing():
    class GreeterService(Greeting, Greeter, Service): ...

    assert describe(GreeterService).needs == ()


def test_a_parameter_that_nothing_gives_is_named_with_the_remedy():
    class GreeterService(Greeting, Greeter, Service):
        def __init__(self, mailer: Greeting) -> None: ...

    assert refused(GreeterService) == (
        "GreeterService: nothing gives its parameter `mailer: Greeting`; ask for a contract, Database, Settings, "
        "Clock or Progress, or list what makes Greeting in provides=[...]"
    )


def test_a_parameter_without_annotation_is_named():
    class GreeterService(Greeting, Greeter, Service):
        def __init__(self, mailer) -> None: ...

    assert refused(GreeterService) == ("GreeterService: annotate the parameter 'mailer'; parameters are found by type")


def test_an_annotation_that_cannot_be_resolved_is_named():
    class GreeterService(Greeting, Greeter, Service):
        def __init__(self, mailer: "Missing") -> None: ...  # noqa: F821 # type: ignore[name-defined]

    assert refused(GreeterService) == "GreeterService: 'Missing' in its constructor is not defined where the class is"


def test_a_method_that_is_not_implemented_is_named():
    class GreeterService(Greeter, Service): ...

    assert refused(GreeterService) == "GreeterService does not implement Greeter.greet"


def test_two_contracts_with_one_method_are_refused():
    class GreeterService(Greeting, Greeter, Twin, Service): ...

    assert "both tests.v1.Greeter and tests.v1.Twin declare 'greet'" in refused(GreeterService)


def test_a_service_that_asks_for_its_own_contract_is_told_to_call_itself():
    class GreeterService(Greeting, Greeter, Service):
        def __init__(self, greeter: Greeter) -> None: ...

    assert refused(GreeterService) == "GreeterService asks for Greeter, its own contract; call self instead"


def test_a_provider_says_what_it_makes():
    def make() -> Greeting:
        return Greeting()

    def unsaid():
        return Greeting()

    class GreeterService(Greeting, Greeter, Service, provides=[make]):
        def __init__(self, greeting: Greeting) -> None: ...

    class SilentService(Greeting, Greeter, Service, provides=[unsaid]): ...

    assert describe(GreeterService).providers[0].makes is Greeting
    assert refused(SilentService) == "SilentService: annotate what unsaid returns; it is found by that type"


def test_needs_of_providers_belong_to_the_call_graph():
    class Mailer:
        def __init__(self, other: Other) -> None: ...

    class GreeterService(Greeting, Greeter, Service, provides=[Mailer]):
        def __init__(self, mailer: Mailer) -> None: ...

    assert describe(GreeterService).calls == (Other,)


@pytest.mark.parametrize(
    ("name", "expected"), [("OrderHistory", "order_history"), ("Rooms", "rooms"), ("A1B", "a1_b"), ("HTTP", "http")]
)
def test_names_of_services_are_written_in_snake_case(name, expected):
    assert snake(name) == expected


def test_the_suffix_service_is_no_part_of_the_name_and_a_name_may_be_given():
    class GreeterService(Greeting, Greeter, Service): ...

    class Named(Greeting, Greeter, Service, name="front-desk"): ...

    assert [GreeterService.service_name, Named.service_name] == ["greeter", "front-desk"]


class Engine:
    def __init__(self, settings: "Oil") -> None:
        self.oil = settings


class Oil:
    made = 0

    def __init__(self) -> None:
        Oil.made += 1


class Car:
    def __init__(self, engine: Engine, oil: Oil) -> None:
        self.engine, self.oil = engine, oil


def test_what_is_provided_is_made_once_and_what_it_needs_first():
    class GreeterService(Greeting, Greeter, Service, provides=[Car, Engine, Oil]):
        def __init__(self, car: Car, oil: Oil) -> None:
            self.car, self.oil = car, oil

    built = build(describe(GreeterService), _nothing)
    service: Any = built.service

    assert service.car.oil is service.oil is service.car.engine.oil
    assert [type(each) for each in built.provided] == [Oil, Engine, Car]


def _nothing(need: Need) -> Any:
    raise AssertionError(need)


class Hen:
    def __init__(self, egg: "Egg") -> None: ...


class Egg:
    def __init__(self, hen: Hen) -> None: ...


def test_providers_in_a_circle_are_drawn():
    class GreeterService(Greeting, Greeter, Service, provides=[Hen, Egg]):
        def __init__(self, hen: Hen) -> None: ...

    with pytest.raises(WiringError, match="greeter: its providers need each other in a circle: Hen → Egg → Hen"):
        build(describe(GreeterService), _nothing)
