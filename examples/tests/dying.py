"""A system as `meristem run` starts it, save that it kills itself at the point that a file names.

`python dying.py SYSTEM --port N` in the system's folder. The file `dies-at` there holds how often a point is passed
until the process gets SIGKILL at it, and the beginning of the point's name: `1 after Payments.charge`. What a point is
called is told by `Death.passes` and its callers. Without the file nothing happens. The variable `DIES_IN` names a
function that is such a point, too: `hotels.documents.rendering:render_receipt`.

Killed, it is started again by what started it: a process that has imported what a system needs, runs nothing, and forks
one life after the other. So a life begins in half the processor time.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from meristem import System
from meristem.cli.main import main
from meristem.contracts.call import Call, Handler
from meristem.events.facts import Delivered, Published
from meristem.runtime import process
from meristem.runtime.telemetry import ProcessTelemetry
from meristem.sagas.facts import SagaBegan, SagaEnded, StepEnded
from meristem.storage.driver import Outcome, Statement
from meristem.storage.sqlite import writer
from meristem.storage.sqlite.jobs import Runner
from meristem.system.blueprint import Blueprint

ORDER = Path("dies-at")
KILLED = "killed by SIGKILL"
# Not the apps themselves: the bank's opens its database as it is imported.
IMPORTED = ("aiosmtpd.controller", "fastapi", "flask", "meristem.cli.alone", "meristem.cli.run", "quart")


class Death:
    """Comes at the named point."""

    def passes(self, point: str) -> None:
        """The process is at this point; it may be its last."""
        try:
            times, _, wanted = ORDER.read_text().partition(" ")
        except FileNotFoundError:
            return
        if not point.startswith(wanted):
            return
        if int(times) > 1:
            ORDER.write_text(f"{int(times) - 1} {wanted}")
            return
        ORDER.unlink()  # whoever starts the site again shall live
        sys.stdout.write(f"dies at {point}\n")
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    def middleware(self, handler: Handler) -> Handler:
        """`before Payments.charge` and, when it was answered or refused, `after Payments.charge`."""

        async def mortal(call: Call) -> Any:
            self.passes(f"before {call.operation.label}")
            try:
                return await handler(call)
            finally:
                self.passes(f"after {call.operation.label}")

        return mortal

    def within(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """`in NAME`, when a function has done its work and nobody has the result yet."""

        def mortal(*arguments: Any) -> Any:
            done = work(*arguments)
            self.passes(f"in {work.__name__}")
            return done

        return mortal


class Fatal(ProcessTelemetry):
    """Watches as every process does; what it is told of are points to die at.

    `published TYPE`, committed; `delivered TYPE to SERVICE`, handled and still in the outbox; `began SAGA`,
    `call Rooms.hold`, `local Service._step`, `undo Rooms.release`, `ended SAGA`: all journaled.
    """

    def __init__(self, death: Death, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._death = death
        self._report = self.on_fact
        self.on_fact = self._watch

    def _watch(self, fact: Any) -> None:
        self._report(fact)
        if isinstance(fact, Published):
            self._death.passes(f"published {fact.type}")
        elif isinstance(fact, Delivered):
            self._death.passes(f"delivered {fact.type} to {fact.subscriber}")
        elif isinstance(fact, SagaBegan):
            self._death.passes(f"began {fact.name}")
        elif isinstance(fact, StepEnded):
            self._death.passes(f"{fact.kind.value} {fact.name}")
        elif isinstance(fact, SagaEnded):
            self._death.passes(f"ended {fact.name}")


class MortalRunner(Runner):
    """`sql payments INSERT INTO payments`: executed by the database's thread, and not committed."""

    death: Death

    def step(self, step: Statement) -> Outcome:
        outcome = super().step(step)
        self.death.passes(f"sql {self._database} {' '.join(step.text.split())}")
        return outcome


class Mortal(process.Process):
    """A process of the system with points to die at."""

    def __init__(self, blueprint: Blueprint, name: str, **rest: Any) -> None:
        system, death = blueprint.system, Death()
        parts: dict[str, Any] = {"services": system.services, "apps": system.apps, "authenticate": system.authenticate}
        parts["middleware"] = [death.middleware, *system.middleware]
        super().__init__(Blueprint(System(system.name, **parts)), name, **rest)
        self.assembly.telemetry = Fatal(death, os.environ, {}, blueprint.placement.telemetry)
        writer.Runner, MortalRunner.death = MortalRunner, death
        module, _, function = os.environ.get("DIES_IN", "").partition(":")
        if function:
            place = importlib.import_module(module)
            setattr(place, function, death.within(getattr(place, function)))


def live() -> None:
    """One life of the system, from its start to its end."""
    sys.argv[1:1] = ["run"]
    main()


def lives() -> int:
    """Live until a life ends by itself; its exit code. Who asks this process to end asks the one that lives."""
    process.Process = Mortal  # before anything takes the name from there
    module, _, attribute = sys.argv[1].partition(":")
    system: System = getattr(importlib.import_module(module), attribute)
    for name in (*IMPORTED, *(str(each).partition(":")[0] for each in system.services)):
        importlib.import_module(name)
    assert threading.active_count() == 1, "a thread would be missing in the processes that are forked"
    asked = {signal.SIGTERM, signal.SIGINT}
    while True:
        signal.pthread_sigmask(signal.SIG_BLOCK, asked)  # none is lost between two lives
        if (pid := os.fork()) == 0:
            for each in asked:
                signal.signal(each, signal.default_int_handler if each is signal.SIGINT else signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, asked)
            live()
            return 0
        for each in asked:
            signal.signal(each, lambda number, _frame, pid=pid: os.kill(pid, number))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, asked)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code != -signal.SIGKILL:
            return code
        print(KILLED, flush=True)


if __name__ == "__main__":
    sys.exit(lives())
