"""Supervises stand-ins by the plan in `plan.json` of the folder it is called with, at a port, until it is told to end.

The third argument is the time after which orphans are made to end.

It ends too when the test that started it is gone.
"""

import asyncio
import os
import sys
from pathlib import Path

import msgspec

from meristem.standard_streams import unblock
from meristem.supervision.console import Console
from meristem.supervision.lifeline import hold
from meristem.supervision.signals import supervise
from meristem.supervision.supervisor import Supervisor
from meristem.supervision.workplace import Workplace
from meristem.system.plan import Plan
from meristem.system.state_directory import StateDirectory


def arguments(process: str, replica: int, listen: str) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("standin.py")), process, str(replica), listen]


unblock()
hold(os.environ)
directory = Path(sys.argv[1])
plan = msgspec.json.decode((directory / "plan.json").read_bytes(), type=Plan)
supervisor = Supervisor(
    plan,
    Workplace(StateDirectory(directory, plan.system), directory, port=int(sys.argv[2])),
    arguments=arguments,
    console=Console(sys.stdout.buffer, [], os.environ),
    environment=os.environ,
    orphans=float(sys.argv[3]),
)
asyncio.run(supervise(supervisor, lambda: print("ready", supervisor.address, flush=True)))
