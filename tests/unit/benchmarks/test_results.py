"""What the benchmarks do with their figures."""

import asyncio
from datetime import date

import pytest

from benchmarks import backlog, colocated, echo, growth, journeys, plot, raw, rest, startup, steps, takeover
from benchmarks.bars import (
    at_least,
    at_most,
    at_most_times,
    capacity,
    of_backlog,
    of_calls,
    of_colocated,
    of_rest,
    of_start,
    of_steps,
    of_storage,
    of_takeover,
)
from benchmarks.figures import Spread, short, spread, spreads
from benchmarks.results import Findings, document
from benchmarks.run import verdicts
from benchmarks.tables import cell, table


def once(figure: float) -> Spread:
    return spread([figure])


def calls(**per_second: float) -> echo.Results:
    names = {"ours": echo.OURS, "httpx": echo.HTTPX, "limit": echo.LIMIT}
    figures = {
        names[who]: {
            f"{work} {number}": {
                "per_second": once(rate),
                "server_us": once(1e6 / rate),
                "client_us": once(0.5e6 / rate),
            }
            for work in ("echo", "list")
            for number in echo.IN_FLIGHT
        }
        for who, rate in per_second.items()
    }
    return echo.Results(figures, {"nameko RPC on RabbitMQ": "there is no broker"})


def servers(**server_us: float) -> echo.Results:
    names = {"rest": rest.REST, "rpc": rest.RPC, "signed": rest.SIGNED, "fastapi": rest.FASTAPI}
    figures = {
        names[who]: {
            work: {"per_second": once(20_000.0), "client_us": once(50.0), "server_us": once(cost)}
            for work in ("echo 64", "list 64")
        }
        for who, cost in server_us.items()
    }
    return echo.Results(figures, {"Robyn": "it is not here"})


def sites(**searches: float) -> journeys.Results:
    names = {"ours": journeys.ONE, "monolith": journeys.MONOLITH}
    columns = ("per_second", "server_ms", "third_ms", "client_ms")
    figures = {
        names[who]: {
            journey: {column: once(rate) for column in columns}
            for journey in ("search 1", "search 16", "book 1", "book 16")
        }
        for who, rate in searches.items()
    }
    return journeys.Results(figures, {}, {})


def page(found: Findings) -> str:
    return document(
        found, day=date(2030, 1, 2), machine={"cores": "2"}, versions={"Python": "3"}, command="c", rounds=3
    )


def test_a_spread_is_the_median_between_the_lowest_and_the_highest():
    found = spread([3.0, 1.0, 10.0])
    assert (found.median, found.low, found.high, found.rounds) == (3.0, 1.0, 10.0, 3)
    assert found.noise == 3.0
    assert spreads([{"a": 1.0}, {"a": 3.0}]) == {"a": Spread((1.0, 3.0))}


def test_a_ratio_is_taken_round_by_round_so_a_machine_that_slows_down_does_not_move_it():
    ours, theirs = spread([100.0, 50.0, 10.0]), spread([10.0, 5.0, 1.0])
    assert ours.against(theirs) == Spread((10.0, 10.0, 10.0))
    assert at_least("echo", 10.0, ours, theirs).found == "10.0 x (10.0 to 10.0)"


def test_further_rounds_of_one_side_have_nothing_to_be_compared_with():
    assert spread([4.0, 6.0, 90.0]).against(spread([2.0, 2.0])) == Spread((2.0, 3.0))


def test_no_round_has_no_median():
    with pytest.raises(ValueError, match="--rounds"):
        spread([])


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (0.123, "0.12"),
        (2.5, "2.50"),
        (45.04, "45.0"),
        (986.4, "986"),
        (1153.0, "1,153"),
        (38_700.0, "38.7k"),
        (1.2e6, "1.20M"),
    ],
)
def test_a_figure_is_written_with_three_digits_that_count(figure, text):
    assert short(figure) == text


def test_a_bar_is_met_at_its_very_number():
    assert at_least("echo", 30.0, once(30_000.0), once(1000.0)).met is True
    assert at_least("echo", 30.0, once(29_990.0), once(1000.0)).met is False
    assert at_most("import", 120.0, "ms", once(120.0)).met is True
    assert at_most("import", 120.0, "ms", once(120.1)).met is False
    assert at_most_times("call", 20.0, once(20.0), once(1.0)).met is True
    assert at_most_times("call", 20.0, once(20.1), once(1.0)).met is False


def test_a_call_is_held_against_the_plain_awaits_of_the_same_run():
    figures = {colocated.PLAIN: spread([0.05, 0.1]), colocated.CALL: spread([0.9, 2.4])}
    [bar] = of_colocated(figures)
    assert (bar.wanted, bar.found, bar.met) == ("≤ 20 x", "21.0 x (18.0 to 24.0)", False)


def test_a_start_is_held_against_imports_though_one_is_in_seconds_and_the_other_in_milliseconds():
    imports = {startup.MERISTEM: once(200.0), startup.THEIRS: once(800.0)}
    bars = of_start(imports, {startup.HOTELS: once(2.4)}, {startup.ONE_SERVICE: once(70.0)})
    assert [(bar.found, bar.met) for bar in bars] == [("0.25 x", True), ("3.00 x", True), ("70 MB", False), ("-", None)]


def test_durable_steps_without_their_peer_are_not_measured():
    ours, theirs = ({"per_second": once(rate), "cpu_us": once(1e6 / rate)} for rate in (1500.0, 150.0))

    alone = of_steps({steps.SQLITE: {steps.OURS: ours}})
    both = of_steps({steps.SQLITE: {steps.OURS: ours, steps.PEER: theirs}, steps.POSTGRESQL: {steps.OURS: theirs}})

    assert [each.met for each in alone] == [None] * 4
    assert [each.met for each in both] == [True, True, None, None]


def test_a_backlog_must_drain_nearly_as_fast_as_events_come():
    figures = {backlog.DRAIN: once(6900.0), backlog.STEADY: once(10_000.0), backlog.WAIT: once(20.0)}
    assert [bar.met for bar in of_backlog(figures)] == [False, True]


def test_a_replica_that_hangs_has_a_bar_of_its_own():
    assert [bar.met for bar in of_takeover({takeover.KILLED: once(0.9), takeover.HUNG: once(11.0)})] == [True, False]


def test_a_bar_without_figures_is_neither_met_nor_missed():
    assert at_least("echo", 30.0, once(1.0), None).met is None
    assert at_most("import", 120.0, "ms", None).verdict == "not measured"
    assert {bar.met for bar in Findings().bars()} == {None}


def test_every_bar_of_calls_is_compared_with_its_own_peer():
    bars = {bar.name: bar.met for bar in of_calls(calls(ours=60_000.0, httpx=1000.0, limit=200_000.0).figures)}
    assert bars[f"remote echo, 64 in flight: {echo.HTTPX}"] is True
    assert bars[f"remote echo, 64 in flight: {echo.LIMIT}"] is False
    assert bars[f"remote echo, 64 in flight: {echo.GRPC}"] is None


def test_what_the_machine_holds_up_by_itself_is_not_the_statements_doing():
    late, idle = "event loop late, p99.9 ms", "event loop late with nothing to do, p99.9 ms"
    assert [bar.met for bar in of_storage({late: once(9.0), idle: once(5.0)})][1] is True
    assert [bar.met for bar in of_storage({late: once(11.0), idle: once(5.0)})][1] is False


def test_calls_are_compared_by_the_cpu_of_the_busier_end_so_a_busy_machine_does_not_move_them():
    found = {"per_second": once(1.0), "server_us": spread([10.0, 20.0]), "client_us": spread([5.0, 40.0])}
    assert capacity(found) == Spread((100_000.0, 25_000.0))
    assert capacity({"per_second": once(1.0)}) is None


def test_the_bare_protocol_is_compared_by_its_answers_as_it_waits_half_its_time():
    ours = {"per_second": once(45.0), "server_us": once(20.0), "client_us": once(20.0)}
    bare = {"per_second": once(100.0), "server_us": once(1.0), "client_us": once(1.0)}
    bars = {bar.name: bar.met for bar in of_calls({echo.OURS: {"echo 64": ours}, echo.LIMIT: {"echo 64": bare}})}
    assert bars[f"remote echo, 64 in flight: {echo.LIMIT}"] is True


def test_rest_is_held_to_its_bars_by_the_cpu_of_the_server_as_all_have_the_same_client():
    found = servers(rest=20.0, rpc=17.0, signed=25.0, fastapi=90.0)
    bars = {bar.name: (bar.found, bar.met) for bar in of_rest(found.figures)}
    assert bars[f"REST, echo: {rest.FASTAPI}"] == ("4.50 x", True)
    assert bars[f"REST, list of 100: {rest.RPC}"] == ("0.85 x", True)
    assert bars[f"RPC with a bearer token, echo: {rest.RPC}"] == ("0.68 x", False)
    assert bars[f"REST, echo: {rest.STARLETTE}"] == ("-", None)
    assert rest.served({"server_us": spread([20.0, 0.0])}) == Spread((50_000.0, 0.0))


def test_every_request_of_the_raw_client_says_how_long_it_is_and_who_asks():
    head, _, body = raw.request_of(8000, "/echo", "letmein", {"city": "Porto"}).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /echo HTTP/1.1\r\nhost: 127.0.0.1:8000\r\n")
    assert b"\r\nauthorization: Bearer letmein" in head
    assert b"\r\ncontent-length: %d\r\n" % len(body) in head


@pytest.mark.parametrize("cut", [1, 20, 40, 61, 62])
def test_the_raw_client_reads_an_answer_however_it_is_cut(cut):
    answer = b"HTTP/1.1 201 Created\r\nServer: x\r\nContent-Length: 4\r\n\r\nbody"

    async def asked() -> bytes:
        connection = raw.Connection()
        connection.answer = asyncio.get_running_loop().create_future()
        future = connection.answer
        connection.data_received(answer[:cut])
        connection.data_received(answer[cut:])
        return await future

    assert asyncio.run(asked()) == b"body"


def test_the_raw_client_raises_what_is_no_answer_of_success():
    async def asked() -> bytes:
        connection = raw.Connection()
        connection.answer = future = asyncio.get_running_loop().create_future()
        connection.data_received(b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n")
        return await future

    with pytest.raises(ValueError, match="500 Internal"):
        asyncio.run(asked())


def test_missed_bars_come_last_in_plain_words():
    said = verdicts([at_least("echo", 30.0, once(1.0), once(1.0)), at_most("import", 120.0, "ms", once(80.0))])
    assert said.index("met ") < said.index("MISSED, 1:")
    assert said.endswith("echo: found 1.00 x, wanted ≥ 30 x")
    assert "None was missed." in verdicts([at_most("import", 120.0, "ms", once(80.0))])


def test_the_page_holds_date_machine_bars_figures_and_who_was_skipped():
    start = startup.Results(
        {"meristem": once(80.0)}, {"hotels, one process": once(1.0)}, {}, {"rooms-0": 70.0}, once(58.0)
    )
    found = Findings(
        calls=calls(ours=60_000.0, httpx=1000.0),
        rest=servers(rest=20.0, fastapi=90.0),
        colocated={colocated.PLAIN: once(0.1), colocated.CALL: once(1.6)},
        steps=steps.Results(
            {steps.SQLITE: {steps.OURS: {"per_second": once(1500.0), "cpu_us": once(600.0)}}},
            {steps.PEER: "there is no network"},
        ),
        growth=growth.Results(
            {"SQLite": {"finished": {0: {"start, ms": 200.0}, 10_000: {"start, ms": 210.0}}}}, {"growth": "it is late"}
        ),
        storage={"ours, transact x16": once(5000.0), "peer, transact x16": once(600.0)},
        postgresql={"ours, transact x16": once(1100.0), "peer, transact x16": once(500.0)},
        hotels=sites(ours=900.0, monolith=200.0),
        start=start,
    )
    text = page(found)
    assert "2030-01-02" in text
    assert "| cores | 2 |" in text
    assert f"| {echo.OURS} | 60.0k | 60.0k | 60.0k |" in text
    assert "| colocated call: a plain await | ≤ 20 x | 16.0 x | met |" in text
    assert "| hotel search, 16 in flight: the monolith | ≥ 3 x | 4.50 x | met |" in text
    assert (
        "| transaction with an event on PostgreSQL, 16 in flight: SQLAlchemy + asyncpg | ≥ 1.5 x | 2.20 x | met |"
        in text
    )
    assert "## Transactions on PostgreSQL" in text
    assert f"| {rest.REST} | 20.0 | 20.0k | 20.0 | 20.0k |" in text
    assert "Not measured: Robyn, because it is not here." in text
    assert f"Not measured: {steps.PEER}, because there is no network." in text
    assert "| SQLite, finished | 0 | 10,000 |" in text
    assert "| start, ms | 200 | 210 |" in text
    assert "Not measured: nameko RPC on RabbitMQ, because there is no broker." in text


def test_a_page_without_figures_says_so_of_every_bar():
    assert page(Findings()).count("| not measured |") == len(Findings().bars())


def test_a_bar_in_a_cell_does_not_end_it():
    assert table(("a", "b"), [("x|y", "1")]).splitlines()[-1] == "| x\\|y | 1 |"


def test_several_rounds_show_how_far_apart_they_were():
    assert cell(spread([10.0, 20.0, 30.0])) == "20.0 (10.0 to 30.0)"
    assert cell(once(20.0)) == "20.0"
    assert cell(None) == "-"


def test_the_picture_is_drawn_of_what_there_is(tmp_path):
    plot.draw(Findings(), tmp_path / "none.png")
    plot.draw(Findings(calls=calls(ours=60_000.0, httpx=1000.0), rest=servers(rest=20.0)), tmp_path / "some.png")
    assert not (tmp_path / "none.png").exists()
    assert (tmp_path / "some.png").read_bytes().startswith(b"\x89PNG")
