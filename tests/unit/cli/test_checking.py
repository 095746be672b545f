"""`meristem check` in a project: what it says, how it exits, and what it knows already."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

STATEFUL = '''
"""Two services in one file that count together."""
from typing import Protocol
from meristem import Contract, Service, System, safe

SEEN: list[str] = []

class One(Contract, Protocol, package="one.v1"):
    @safe
    async def one(self) -> int: ...

class Two(Contract, Protocol, package="two.v1"):
    @safe
    async def two(self) -> int: ...

class OneService(One, Service):
    async def one(self) -> int:
        SEEN.append("one")
        return len(SEEN)

class TwoService(Two, Service):
    async def two(self) -> int:
        return len(SEEN)

system = System("pair", services=[OneService, TwoService])
'''
ASKS = "        return len(SEEN)\n\nsystem"
CALLS = "        return len(SEEN) + await OneService().one()\n\nsystem"


@pytest.fixture
def pair(project: Path) -> Path:
    (project / "pair.py").write_text(STATEFUL)
    (project / "pyproject.toml").write_text('[tool.meristem]\nsystem = "pair:system"\n')
    return project


async def test_a_finding_names_file_line_both_services_and_the_remedy_and_exits_with_1(pair, meristem):
    ended = await meristem("check")

    assert ended.code == 1
    assert ended.out.startswith("pair.py:6: [state] one and two: SEEN is changed in pair.py:18, and is reached in ")
    assert "pair.py:18 and pair.py:23" in ended.out
    assert "let one service keep it" in ended.out
    assert ended.out.endswith("1 new finding.\n")


async def test_programs_read_the_same_as_json(pair, meristem):
    ended = await meristem("check", "--json")

    assert ended.code == 1
    (finding,) = ended.json["new"]
    assert (finding["rule"], finding["file"], finding["line"], finding["parts"]) == (
        "state",
        "pair.py",
        6,
        ["one", "two"],
    )
    assert (ended.json["known"], ended.json["gone"]) == (0, {})


async def test_a_clean_system_exits_with_0(project, meristem):
    ended = await meristem("check", "shop.py")

    assert (ended.code, ended.out) == (0, "Nothing was found.\n")


async def test_a_baseline_counts_what_is_known_fails_for_what_is_new_and_for_what_is_gone(pair, meristem):
    taken = await meristem("check", "--update-baseline")
    assert (taken.code, taken.out) == (0, "Nothing new was found, 1 known.\n")

    (pair / "pair.py").write_text("# a line above\n\n" + STATEFUL)
    moved = await meristem("check")
    assert (moved.code, moved.out) == (0, "Nothing new was found, 1 known.\n")

    (pair / "pair.py").write_text(STATEFUL.replace(ASKS, CALLS))
    new = await meristem("check")
    assert new.code == 1
    assert "[class] two and one: OneService is the class of one" in new.out
    assert "SEEN" not in new.out

    (pair / "pair.py").write_text(STATEFUL.replace('SEEN.append("one")', "pass"))
    gone = await meristem("check")
    assert gone.code == 1
    assert "1 fault gone: state pair.py pair.SEEN one two" in gone.out

    assert (await meristem("check", "--update-baseline")).code == 0
    assert not (pair / "check-baseline.json").exists()


async def test_a_baseline_that_is_none_is_to_be_mended(pair, meristem):
    (pair / "check-baseline.json").write_text("[]")

    ended = await meristem("check")

    assert ended.code == 1
    assert "check-baseline.json is no baseline" in ended.err


async def test_state_that_is_meant_and_a_rule_that_is_off_are_not_spoken_of(pair, meristem):
    with (pair / "pyproject.toml").open("a") as file:
        file.write("[tool.meristem.check.off]\n'state pair.SEEN' = 'counts its own process'\n")
    assert (await meristem("check")).code == 0

    (pair / "pyproject.toml").write_text(
        '[tool.meristem]\nsystem = "pair:system"\n[tool.meristem.check.off]\nstate = "divided next year"\n'
    )
    ended = await meristem("check")
    assert (ended.code, ended.out) == (0, "Nothing was found, switched off: state.\n")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('off = {stat = "why"}', "there is no rule 'stat'; did you mean 'state'?"),
        ('off = {state = " "}', "say why 'state' is off"),
        ("off = {divided = 'why'}", "name the test that is off"),
        ("share = []", "`share`"),
        ('layers = [["on"], ["two"]]', "there is no part 'on'; did you mean 'one'?"),
        ("calls = {one = ['tow']}", "there is no part 'tow'; did you mean 'two'?"),
    ],
)
async def test_options_that_are_none_are_refused(table, said, pair, meristem):
    with (pair / "pyproject.toml").open("a") as file:
        file.write(f"[tool.meristem.check]\n{table}\n")

    ended = await meristem("check")

    assert ended.code == 1
    assert said in ended.err


async def test_without_grimp_one_sentence_says_what_to_install(pair, meristem):
    (pair / "grimp.py").write_text("raise ImportError('not here')")

    ended = await meristem("check")

    assert ended.code == 1
    assert ended.err == "error: check reads imports by grimp: pip install 'meristem[check]'\n"


async def test_source_that_does_not_parse_is_named(pair, meristem):
    (pair / "broken.py").write_text("def (:\n")
    (pair / "pair.py").write_text(STATEFUL + "\ndef later():\n    import broken\n")

    ended = await meristem("check")

    assert ended.code == 1
    assert "broken.py:1: " in ended.err


ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("folder", "argument"),
    [
        ("hotels", None),
        ("bookshop", None),
        ("quickstart", "hello.py"),
        ("quickstart", "orders.py"),
        ("quickstart", "hosted.py"),
        ("polyglot", "bookshop.py"),
    ],
)
async def test_the_examples_are_clean_without_a_baseline(folder, argument, environment):
    command = [sys.executable, "-m", "meristem", "check", *([argument] if argument else []), "--json"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT / "examples" / folder, env=environment, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()

    assert json.loads(out) == {"new": [], "known": 0, "gone": {}}
    assert process.returncode == 0


async def test_a_graph_tells_calls_by_clients_from_those_that_a_constructor_asks_for(pair, meristem):
    (pair / "pair.py").write_text(STATEFUL.replace(ASKS, ASKS.replace("len(SEEN)", "await One.client().one()")))

    tree = await meristem("graph", "--clients")
    assert "calls one by a client pair.py:23" in tree.out
    assert "  two ==> one" in (await meristem("graph", "--clients", "--mermaid")).out.splitlines()
    told = (await meristem("graph", "--clients", "--json")).json
    assert told["clients"] == [{"caller": "two", "callee": "one", "file": "pair.py", "line": 23}]
    assert {key: value for key, value in told.items() if key != "clients"} == (await meristem("graph", "--json")).json
    assert "by a client" not in (await meristem("graph")).out


async def test_a_call_that_a_constructor_asks_for_is_none_by_a_client(project, meristem):
    told = await meristem("graph", "shop.py", "--clients", "--json")

    assert told.json["clients"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nothing"], "No such option '--nothing'"),
        (["pair.py", "shop.py"], "more than one system is named, pair.py, shop.py"),
        (["--divided", "--update-baseline"], "--update-baseline is for what the source shows"),
        (["--divided", "--system", "pair.py"], "--divided runs the systems that the tests name"),
    ],
)
async def test_arguments_that_do_not_go_together_are_wrong_use(arguments, said, pair, meristem):
    ended = await meristem("check", *arguments)

    assert ended.code == 2
    assert said in ended.err
