"""How `meristem reload` asks a supervisor to start everything anew, and waits until it has."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

import click

from meristem.cli.progress import telling_interrupts
from meristem.cli.running_operators import ask_running
from meristem.errors import OperationError
from meristem.operators.supervision_contract import ProcessControl
from meristem.supervision.restartable import RunState, StartError
from meristem.supervision.signals import RELOAD
from meristem.system.addresses import label_of
from meristem.system.state_directory import StateDirectory
from meristem.system.system_status import ReplicaStatus, SystemStatus

AGAIN: Final = 0.1  # seconds until what a supervisor says is looked at again


def ask_to_reload(running: SystemStatus) -> None:
    """Ask a supervisor: by its operator contract, which logs who did, or by a signal where it has none."""
    if ask_running(running, ProcessControl, lambda system: system.restart_all()) is not None:
        return
    # Surely a supervisor: who found it running has seen that its lock is held. Another program would die of this.
    os.kill(running.pid, RELOAD)


def reload_and_wait(state: StateDirectory) -> None:
    """Have everything started anew, and tell each process that is ready; raises StartError that names one which is not.

    Raises OperationError when the system ends meanwhile.
    """
    name = state.path.name
    # One that is under way may have renewed something before the code was changed.
    before = _until(state, lambda running: running.reload is None or running.reload.ended)
    number = 0 if before.reload is None else before.reload.number
    ask_to_reload(before)
    known = {_label(each): each.pid for each in before.replicas}
    renewed: list[str] = []

    def has_ended(running: SystemStatus) -> bool:
        for each in running.replicas:
            if each.state == RunState.READY.value and known.get(_label(each)) != each.pid:
                known[_label(each)] = each.pid
                renewed.append(_label(each))
                click.echo(f"{_label(each)} is ready as process {each.pid}")
        return running.reload is not None and running.reload.number > number and running.reload.ended

    with telling_interrupts("it goes on without being waited for; `meristem ps` shows its processes"):
        after = _until(state, has_ended)
    assert after.reload is not None
    if after.reload.problem is not None:
        how_far = f"was started anew in part ({', '.join(renewed)})" if renewed else "was not started anew"
        problem = f"{name} {how_far}, and the rest keeps running as it was: {after.reload.problem}"
        raise StartError(problem, lasting=after.reload.lasting)
    # What was down when its turn came was not replaced: it is being started by itself.
    if down := [f"{_label(each)} ({each.state})" for each in after.replicas if each.state != RunState.READY.value]:
        raise StartError(f"{name} was started anew, but not ready is {', '.join(down)}; its log tells why")
    click.echo(f"{name} has been started anew")


def _until(state: StateDirectory, is_so: Callable[[SystemStatus], bool]) -> SystemStatus:
    """What a running system says once something is so of it."""
    while True:
        running = state.running()
        if running is None:
            raise OperationError(f"{state.path.name} has ended; start it with: meristem run --placement FILE")
        if is_so(running):
            return running
        time.sleep(AGAIN)


def _label(each: ReplicaStatus) -> str:
    return label_of(each.process, each.replica)
