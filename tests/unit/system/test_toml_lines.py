"""A complaint about a TOML file is told with the line where what it names begins."""

import tomllib

import pytest

from meristem.system.toml_lines import LONGEST, line_of

FILE = """\
# the divided site
[processes]
edge = ["web"]
search = {
    services = ["search"], replicas = 0
}

[policies.search.breaker]  # ratio = 3
ratio = 2
note = \"\"\"
minimum = 0
\"\"\"

minimum = 0

[policies]
bank.budget.share = 4

[server]
trusted_proxies = [
    "proxy",
]

[[gateway.firewall.rules]]
action = "allow"

[[gateway.firewall.rules]]
action = "drop"
"""
FILE = FILE.replace("{\n    services", "{ services").replace("= 0\n}", "= 0 }")


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        ("[policies.search.breaker]: ratio = 2; give 0 to 1", "ratio = 2"),
        ("[policies.search.breaker]: minimum = 0; give at least 1", "minimum = 0\n\n"),
        ("[policies.search.breaker]: object contains unknown field `note`; did you mean", "note ="),
        ("[policies.bank.budget]: share = 4; give 0 to 1", "bank.budget"),
        ("[policies.search]: there is no service 'search'", "[policies.search.breaker]"),
        ("[processes.search]: replicas = 0; give at least 1", "search = {"),
        ("[server]: trusted_proxies: 'proxy' is no address", "trusted_proxies"),
        ("[gateway.firewall.rules[2]]: action = 'drop'; give", 'action = "drop"'),
        ("[gateway.firewall.rules[2]]: object is missing", '[[gateway.firewall.rules]]\naction = "drop"'),
        ("[server]: object is missing a field", "[server]"),
        ("object contains unknown field `processes`", "[processes]"),
        ("[policies.search.breaker]: open_for = 40.0 is above minimum = 0", "minimum = 0\n\n"),
    ],
)
def test_the_line_is_where_the_statement_begins(problem, line):
    where = FILE.index(line)
    assert line_of(FILE, problem) == FILE.count("\n", 0, where) + 1


@pytest.mark.parametrize(
    "problem",
    [
        "[policies.bnak]: ratio = 2",
        "search is placed twice",
        "[server.trusted_proxies]: x = 1",
        "[]: x = 1",
        "[a[1]]: x",
    ],
)
def test_what_is_not_surely_in_the_file_has_no_line(problem):
    assert line_of(FILE, problem) is None


def test_a_key_with_a_dot_has_no_line_rather_than_another_ones():
    text = '["a.b"]\nx = 1\n'
    assert tomllib.loads(text)["a.b"]
    assert line_of(text, "[a.b]: x = 1") is None


def test_a_long_file_is_not_searched():
    assert line_of("\n" * LONGEST + "x = 1\n", "x = 1") is None
