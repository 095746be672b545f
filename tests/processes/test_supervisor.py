"""A supervisor with real processes: it starts, restarts, renews and ends them."""

import asyncio
import os
import signal
import stat
from pathlib import Path

import msgspec
import pytest

from meristem.errors import ConfigurationError, OperationError
from meristem.supervision.restartable import StartError
from meristem.supervision.restarts import Restarts
from meristem.system.plan import ProcessPlan, ProgramPlan
from meristem.system.resource_bounds import Bounds
from meristem.system.state_directory import StateDirectory

from .conftest import PATIENCE, QUICK, ask, gone, plan, service

EDGE = ProcessPlan("edge", (), ("web",))
SEARCH = ProcessPlan("search", ("search",), ())
TWO = ProcessPlan("search", ("search",), (), replicas=2)


async def test_processes_start_after_those_they_call_and_the_edge_last(supervisor_of, screen):
    shop = plan(
        EDGE,
        ProcessPlan("orders", ("orders",), ()),
        ProcessPlan("stock", ("stock",), ()),
        services=(service("orders", "stock"),),
    )
    async with supervisor_of(shop) as supervisor:
        await supervisor.start()
        begun = [line.partition(" |")[0] for line in screen.text.splitlines() if "began" in line]

    assert begun == ["stock-0", "orders-0", "edge-0"]


async def test_processes_end_in_reverse_order(supervisor_of, screen):
    shop = plan(EDGE, SEARCH)
    async with supervisor_of(shop) as supervisor:
        await supervisor.start()
    ended = [line for line in screen.text.splitlines() if "drain" in line]

    assert ended == ["edge-0 | draining", "edge-0 | drained", "search-0 | draining", "search-0 | drained"]


async def test_processes_that_call_each_other_start_together(supervisor_of):
    shop = plan(
        ProcessPlan("one", ("a", "b"), ()),
        ProcessPlan("two", ("c",), ()),
        services=(service("a", "c"), service("c", "b")),
    )
    async with supervisor_of(shop) as supervisor:
        await supervisor.start()

        assert [each.state for each in supervisor.statuses()] == ["ready", "ready"]


async def test_every_replica_answers_at_the_address_computed_from_the_plan(supervisor_of):
    async with supervisor_of(plan(TWO)) as supervisor:
        await supervisor.start()
        answers = [await ask(f"unix:{supervisor.run}/search-{index}.sock") for index in range(2)]

        assert [each.split()[1] for each in answers] == ["search-0", "search-1"]
        assert stat.S_IMODE(supervisor.run.stat().st_mode) == 0o700


async def test_what_is_killed_is_started_again_and_the_reason_is_said(supervisor_of, screen):
    async with supervisor_of(plan(SEARCH)) as supervisor:
        await supervisor.start()
        [before] = supervisor.statuses()
        os.kill(before.pid, signal.SIGKILL)
        await screen.shows("search-0 | began", 2)
        await screen.shows("search-0 ended (killed by SIGKILL)")
        await screen.shows("search-0 is ready again")
        [after] = supervisor.statuses()

        assert after.restarts == 1
        assert after.pid != before.pid
        assert await ask(after.address) == f"{after.pid} search-0"


async def test_a_replica_over_its_memory_limit_is_started_again_with_one_line_that_names_it(supervisor_of, screen):
    small = ProcessPlan("search", ("search",), (), bounds=Bounds(memory=100 << 20))
    async with supervisor_of(plan(small)) as supervisor:
        await supervisor.start()
        [before] = supervisor.statuses()
        with pytest.raises(OSError, match="reset|answer"):
            await ask(before.address, "/leak")
        await screen.shows(
            "search-0 ended (killed by SIGKILL: over its memory limit of 100 MiB, memory= in the placement); "
            "it is started again in"
        )
        await screen.shows("search-0 is ready again")

        assert screen.text.count("memory limit") == 1


async def test_what_crashes_again_and_again_is_never_given_up(supervisor_of, screen, tmp_path: Path):
    async with supervisor_of(plan(SEARCH)) as supervisor:
        await supervisor.start()
        (tmp_path / "search-0.crash").touch()
        os.kill(supervisor.statuses()[0].pid, signal.SIGKILL)
        await screen.shows("search-0 ended (exit code 7)", 4)
        (tmp_path / "search-0.crash").unlink()
        await screen.shows("search-0 is ready again")

        assert supervisor.statuses()[0].restarts >= 5


async def test_a_process_that_is_configured_wrongly_stops_the_start_with_its_message(supervisor_of, tmp_path: Path):
    (tmp_path / "search-0.wrong").touch()
    async with supervisor_of(plan(EDGE, SEARCH)) as supervisor:
        with pytest.raises(
            StartError, match=r"search-0 could not start \(exit code 1\)(.|\n)*the setting url is missing"
        ):
            await supervisor.start()


async def test_a_process_that_does_not_get_ready_stops_the_start_with_its_last_lines(supervisor_of, tmp_path: Path):
    (tmp_path / "search-0.slow").touch()
    for patience in (1, 5, 25):  # on a slow machine it does not write anything for a while
        async with supervisor_of(plan(SEARCH), restarts=Restarts(patience=patience)) as supervisor:
            with pytest.raises(StartError, match=f"search-0 was not ready within {patience} s") as caught:
                await supervisor.start()
        if "began" in str(caught.value):
            break

    assert "began" in str(caught.value)


async def test_a_reload_renews_every_process_and_loses_no_request_at_the_public_port(supervisor_of, screen):
    async with supervisor_of(plan(EDGE, TWO)) as supervisor:
        await supervisor.start()
        before = {each.pid for each in supervisor.statuses()}
        answered: list[str] = []
        enough = asyncio.Event()

        async def visit() -> None:
            while not enough.is_set():
                answered.append(await ask(supervisor.address))

        visitors = [asyncio.create_task(visit()) for _ in range(4)]
        supervisor.reload()
        await screen.shows("everything has been started anew")
        enough.set()
        await asyncio.gather(*visitors)

        assert not before & {each.pid for each in supervisor.statuses()}
        assert len({answer.split()[0] for answer in answered}) == 2
        assert {each.restarts for each in supervisor.statuses()} == {0}


async def test_a_reload_of_a_single_replica_loses_no_request_at_its_socket(supervisor_of, screen):
    async with supervisor_of(plan(EDGE, SEARCH)) as supervisor:
        await supervisor.start()
        address = f"unix:{supervisor.run}/search-0.sock"
        held = asyncio.create_task(ask(address, "/hold"))
        await screen.shows("search-0 | holding")
        supervisor.reload()
        instances = []
        async with asyncio.timeout(PATIENCE):
            while "everything has been started anew" not in screen.text:
                instances.append((await ask(address)).split()[1])

        assert list(dict.fromkeys(instances)) == ["search-0", "search-0-twin"]
        assert (await held).endswith("search-0")


async def test_without_overlap_the_old_one_ends_before_the_new_one_starts(supervisor_of, screen):
    alone = ProcessPlan("edge", (), ("web",), overlap=False)
    async with supervisor_of(plan(alone)) as supervisor:
        await supervisor.start()
        supervisor.reload()
        await screen.shows("edge-0 | drained")
        waiting = await ask(supervisor.address)  # the connection waits at the port
        await screen.shows("everything has been started anew")

    told = [line.split()[2] for line in screen.text.splitlines() if line.startswith("edge-0")]
    assert told == ["began", "draining", "drained", "began", "draining", "drained"]
    assert waiting.endswith("edge-0")


async def test_a_successor_that_cannot_start_leaves_its_predecessor_at_work(supervisor_of, screen, tmp_path: Path):
    async with supervisor_of(plan(SEARCH)) as supervisor:
        await supervisor.start()
        [before] = supervisor.statuses()
        (tmp_path / "search-0.wrong").touch()
        supervisor.reload()
        await screen.shows("the rest keeps running as it was: search-0 could not start")
        [after] = supervisor.statuses()

        assert (after.pid, after.state) == (before.pid, "ready")
        assert await ask(after.address) == f"{before.pid} search-0"


async def test_a_replica_without_a_successor_ends_the_reload(supervisor_of, screen, tmp_path: Path):
    async with supervisor_of(plan(TWO)) as supervisor:
        await supervisor.start()
        before = [each.pid for each in supervisor.statuses()]
        (tmp_path / "search-0.crash").touch()
        supervisor.reload()
        await screen.shows("the rest keeps running as it was: search-0 could not start")

        assert [each.pid for each in supervisor.statuses()] == before


async def test_a_connection_to_the_public_port_waits_while_the_edge_is_started_again(supervisor_of):
    async with supervisor_of(plan(EDGE)) as supervisor:
        await supervisor.start()
        [before] = supervisor.statuses()
        os.kill(before.pid, signal.SIGKILL)
        await gone(before.pid)
        answer = await ask(supervisor.address)

        assert int(answer.split()[0]) != before.pid


async def test_a_second_run_in_the_same_folder_is_refused_with_the_pid_of_the_first(supervisor_of):
    async with supervisor_of(plan(SEARCH)) as first, supervisor_of(plan(SEARCH)) as second:
        await first.start()
        with pytest.raises(OperationError, match=f"already runs .* as process {os.getpid()}"):
            await second.start()
        await second.stop()

        assert await ask(f"unix:{first.run}/search-0.sock")


async def test_a_port_that_is_taken_is_refused_before_anything_starts(supervisor_of, screen):
    async with supervisor_of(plan(SEARCH)) as first:
        await first.start()
        port = int(first.address.rpartition(":")[2])
        async with supervisor_of(plan(ProcessPlan("other", ("other",), (), port=port))) as second:
            second._place = second._place._replace(state=StateDirectory(second._place.directory / "elsewhere", "shop"))
            with pytest.raises(ConfigurationError, match="other: cannot listen"):
                await second.start()

    assert "other" not in screen.text


async def test_running_is_announced_while_it_lasts(supervisor_of, tmp_path: Path):
    state = StateDirectory(tmp_path, "shop")
    async with supervisor_of(plan(SEARCH)) as supervisor:
        await supervisor.start()
        await _announced(supervisor)
        running = state.running()

        assert running is not None
        assert running.address == supervisor.address
        assert [(each.process, each.state) for each in running.replicas] == [("search", "ready")]
    assert state.running() is None
    assert not supervisor.run.exists()


HASTY = msgspec.structs.replace(QUICK, hung=1.2, calm=0.1)
CALM = msgspec.structs.replace(QUICK, calm=0.1)


async def state_of(supervisor, state: str, restarts: int) -> None:
    """Return when the only replica is in this state, after so many starts that nobody asked for."""
    async with asyncio.timeout(PATIENCE):
        while True:
            [each] = supervisor.statuses()
            if (each.state, each.restarts) == (state, restarts):
                return
            await _announced(supervisor)


async def test_a_process_that_is_stopped_is_noticed_and_replaced(supervisor_of, screen):
    async with supervisor_of(plan(SEARCH), restarts=HASTY) as supervisor:
        await supervisor.start()
        [before] = supervisor.statuses()
        os.kill(before.pid, signal.SIGSTOP)
        await state_of(supervisor, "silent", 0)
        await screen.shows("search-0: it gave no sign of life for 1.2 s and is killed")
        await screen.shows("search-0 is ready again")
        [after] = supervisor.statuses()

        assert after.restarts == 1
        assert await ask(after.address) == f"{after.pid} search-0"


@pytest.mark.parametrize("dies", [True, False], ids=["dies", "lives on"])
async def test_a_process_whose_socket_was_removed_is_found_again(supervisor_of, screen, *, dies: bool):
    """As by what clears folders of old files; a socket that has no name can never have one again."""
    async with supervisor_of(plan(TWO), restarts=HASTY) as supervisor:
        await supervisor.start()
        before = supervisor.statuses()
        for each in before:
            os.unlink(each.address.removeprefix("unix:"))  # noqa: PTH108 - an address, not a path
            if dies:
                os.kill(each.pid, signal.SIGKILL)
        for label in ("search-0", "search-1"):
            await screen.shows(f"{label} is ready again")
        answers = [await ask(each.address) for each in supervisor.statuses()]

    assert [each.rpartition(" ")[2] for each in answers] == ["search-0", "search-1"]
    assert dies or "was removed, for 1.2 s and is killed" in screen.text


async def test_a_disk_that_takes_no_more_ends_nothing_that_runs(supervisor_of, screen, tmp_path: Path, caplog):
    async with supervisor_of(plan(SEARCH)) as supervisor:
        await supervisor.start()
        written = StateDirectory(tmp_path, "shop")._running
        written.unlink()
        written.mkdir()  # so that nothing can be written there
        os.kill(supervisor.statuses()[0].pid, signal.SIGKILL)
        await screen.shows("search-0 is ready again")
        written.rmdir()

    assert "what runs could not be written down: cannot write" in screen.text
    assert [each for each in caplog.records if each.name == "asyncio"] == []


async def test_a_process_whose_event_loop_stands_is_replaced_and_says_where_it_stood(supervisor_of, screen):
    async with supervisor_of(plan(SEARCH), restarts=HASTY) as supervisor:
        await supervisor.start()
        [before] = supervisor.statuses()
        with pytest.raises(OSError, match=r"."):
            await ask(before.address, "/hang")
        await screen.shows("search-0 is ready again")

    assert "standin.py" in screen.text
    assert "in answer" in screen.text


async def test_a_process_that_turns_again_in_time_is_left_alone(supervisor_of):
    slow = msgspec.structs.replace(QUICK, hung=6.0)
    async with supervisor_of(plan(SEARCH), restarts=slow) as supervisor:
        await supervisor.start()
        [before] = supervisor.statuses()
        os.kill(before.pid, signal.SIGSTOP)
        await state_of(supervisor, "silent", 0)
        os.kill(before.pid, signal.SIGCONT)
        await state_of(supervisor, "ready", 0)

        assert supervisor.statuses()[0].pid == before.pid


PROGRAM = """
import http.server, os, sys
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write((os.environ["SEARCH_URL"] + " " + str("MERISTEM_SECRET" in os.environ)).encode())
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Answer).serve_forever()
"""


async def test_a_program_is_given_a_port_and_addresses_and_is_started_again(supervisor_of, screen):
    ratings = ProgramPlan("ratings", ("sh", "-c", f"python3 -c '{PROGRAM}' 2>&1 & wait"), "/")
    async with supervisor_of(plan(SEARCH, programs=(ratings,)), restarts=CALM) as supervisor:
        await supervisor.start()
        [_, before] = supervisor.statuses()
        body = await ask(before.address.replace("tcp:", "http:"))

        assert body == f"{supervisor.address} False"

        os.kill(before.pid, signal.SIGKILL)
        await screen.shows("ratings ended (killed by SIGKILL)")
        await screen.shows("ratings is ready again")
        [_, after] = supervisor.statuses()
        assert after.pid != before.pid
        assert after.address == before.address
    with pytest.raises(OSError, match=r"."):
        await ask(before.address.replace("tcp:", "http:"))


async def test_a_program_that_does_not_answer_for_its_health_any_more_is_replaced(supervisor_of, screen):
    ratings = ProgramPlan("ratings", ("python3", "-c", PROGRAM.replace("SEARCH_URL", "PORT")), "/")
    async with supervisor_of(plan(SEARCH, programs=(ratings,)), restarts=HASTY) as supervisor:
        await supervisor.start()
        [_, before] = supervisor.statuses()
        os.kill(before.pid, signal.SIGSTOP)
        await screen.shows("ratings: it gave no sign of life")
        await screen.shows("ratings is ready again")

        assert supervisor.statuses()[1].pid != before.pid


async def test_a_program_that_is_not_there_stops_the_start(supervisor_of):
    async with supervisor_of(plan(SEARCH, programs=(ProgramPlan("ratings", ("no-such-program",)),))) as supervisor:
        with pytest.raises(StartError, match="ratings: cannot start 'no-such-program'"):
            await supervisor.start()


async def _announced(supervisor) -> None:
    """Wait for the next change that is announced."""
    announcer, done = supervisor._announcer, asyncio.Event()
    announce = announcer._announce

    def announced() -> None:
        announce()
        done.set()

    announcer._announce = announced
    announcer.soon()
    await asyncio.wait_for(done.wait(), PATIENCE)
    announcer._announce = announce
    await asyncio.sleep(0)
