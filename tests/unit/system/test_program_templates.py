"""What stands in braces in the command and environment of a program."""

import pytest

from meristem import App, Program, System
from meristem.errors import WiringError
from meristem.system.blueprint import Blueprint
from meristem.system.plan import ProgramPlan
from meristem.system.program_templates import filled_in, named

ADDRESSES = {
    "catalog": "http://127.0.0.1:8000/catalog",
    "web": "https://shop.example",
    "rates": "http://127.0.0.1:4711,http://127.0.0.1:4712",
    "far": "http://[::1]:8000",
}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{catalog.host}:{catalog.port}", "127.0.0.1:8000"),
        ("{catalog.url}/x", "http://127.0.0.1:8000/catalog/x"),
        ("{web.host} {web.port}", "shop.example 443"),
        ("{rates.url}", "http://127.0.0.1:4711,http://127.0.0.1:4712"),
        ("{far.host}", "::1"),
        ("--port={port}", "--port=4000"),
        ("$PORT ${PORT} $PORTS $HOME", "4000 4000 $PORTS $HOME"),
        ("{{port}} {{catalog.url}}", "{port} {catalog.url}"),
        ('{"a": 1} {print $1} { port } {} {{.Names}} function(){return 1}', None),
    ],
)
def test_names_in_braces_are_filled_in_and_other_braces_stay(text, filled):
    assert filled_in(text, 4000, ADDRESSES) == (text if filled is None else filled)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{catalg.url}", "there is no 'catalg', there are catalog, rates, other; did you mean 'catalog'?"),
        ("{x.url}", "there is no 'x', there are catalog, rates, other; choose one of them"),
        ("{catalog.adress}", "of 'catalog' there are {catalog.host}, {catalog.port}, {catalog.url}"),
        ("{prot}", "did you mean 'port'?"),
        ("{word}", "write {port}, or {name.url}, {name.host} or {name.port} of a part of the system"),
        ("{rates.port}", "'rates' has 2 replicas, each with its port; write {rates.url} for all"),
    ],
)
def test_a_misspelt_name_is_refused_with_what_there_is(text, problem):
    def refused(**fields) -> str:
        programs = [Program("rates", ["x"], replicas=2), Program("other", **fields)]
        with pytest.raises(WiringError) as caught:
            _ = Blueprint(System("shop", apps=[App("catalog", "x:y")], programs=programs)).plan
        return str(caught.value)

    assert f"program 'other': {text} in its command: {problem}" in refused(command=["x", text])
    told = refused(command=["x"], environment={"ADDRESS": f"at {text}"})
    assert f"program 'other': {text} in ADDRESS of its environment: {problem}" in told
    assert told.endswith(f"for these very characters write {{{text}}}")


def test_a_program_names_others_and_not_itself():
    program = ProgramPlan("rates", ("x", "{rates.port}", "{catalog.url}"), None, {"A": "{web.host}{web.port}"})

    assert named(program) == {"catalog", "web"}
