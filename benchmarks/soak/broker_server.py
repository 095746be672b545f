"""A broker of the soak's own, on a disk of its own, that can be restarted, crash, stand still and be cut off."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from benchmarks.machine import descendants, free_port
from benchmarks.soak.cluster import Missing
from benchmarks.soak.network import Network

CABLE: Final = "bus"
"""The broker's name in a network that is divided: it has a namespace and a cable as each replica has."""
STARTING = 180.0  # seconds: RabbitMQ takes seven on a quiet machine
STOPPING = 60.0
LOOKING = 0.1
_RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # Debian's own wrapper would run it as another user
_PROGRAMS = {"nats": "nats-server", "rabbitmq": str(_RABBITMQ)}
BUSES = tuple(_PROGRAMS)


class BrokerServer:
    """One broker, `url` as a placement names it; what it confirmed is in its folder."""

    def __init__(self, kind: str, folder: Path, network: Network) -> None:
        self.kind = kind
        self.host = network.address(CABLE)
        self._port = free_port()
        self.folder = folder
        self._within = network.within(CABLE)
        self._process: subprocess.Popen[bytes] | None = None
        self._family: list[int] = []  # as descriptors: a pid may be another process's by the time it is struck
        self._names: subprocess.Popen[bytes] | None = None
        self._variables: dict[str, str] = {}

    @property
    def url(self) -> str:
        """The bus of a placement."""
        scheme, user = ("nats", "") if self.kind == "nats" else ("amqp", "guest:guest@")
        return f"{scheme}://{user}{self.host}:{self._port}"

    def make(self) -> None:
        """Make its files, and start it."""
        if self.kind == "rabbitmq":
            self._variables = self._make_rabbitmq()
        self.start()

    def start(self) -> None:
        """Start it on what it had kept, and wait until it takes connections; raises RuntimeError where it ends."""
        self._process = self._run(self._command(), self._variables)
        began = time.monotonic()
        while True:
            with suppress(OSError), socket.create_connection((self.host, self._port), timeout=1.0):
                self._meet()
                return
            if self._process.poll() is not None or time.monotonic() - began > STARTING:
                self._meet()
                raise RuntimeError(f"{self.kind} does not start: {(self.folder / 'said').read_text()[-600:]}")
            time.sleep(LOOKING)

    def _meet(self) -> None:
        """Learn what it consists of: RabbitMQ is a shell, its virtual machine, and that one's helpers."""
        assert self._process is not None
        for each in descendants(self._process.pid):
            with suppress(ProcessLookupError):
                self._family.append(os.pidfd_open(each))

    def stop(self) -> None:
        """End it in order."""
        if self._process is not None:
            self._process.terminate()
        self._wait_until_gone()

    def crash(self) -> None:
        """End it at once (SIGKILL)."""
        self._signal(signal.SIGKILL)
        self._wait_until_gone()

    def stand_still(self) -> None:
        """Stop it (SIGSTOP): it takes what comes on the wire, and answers nothing."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Resume it."""
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        """End it, also while it stands still, and what it needed."""
        self.go_on()
        self.stop()
        if self._names is not None:
            self._names.kill()
            self._names.wait(STOPPING)

    def _signal(self, number: signal.Signals) -> None:
        for each in self._family:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(each, number)

    def _wait_until_gone(self) -> None:
        """Every thread of it, so that nobody holds the port any more; what takes too long to end is killed."""
        for each in self._family:
            if not select.select([each], [], [], STOPPING)[0]:
                self._signal(signal.SIGKILL)
                select.select([each], [], [])
        for each in self._family:
            os.close(each)
        if self._process is not None:
            self._process.wait()
        self._process, self._family = None, []

    def _command(self) -> Sequence[str]:
        if self.kind == "rabbitmq":
            return [str(_RABBITMQ)]
        return ["nats-server", "-a", self.host, "-p", str(self._port), "-js", "-sd", str(self.folder / "streams")]

    def _make_rabbitmq(self) -> dict[str, str]:
        """Its configuration, and the process by which nodes of a host find each other, apart from other brokers'."""
        (self.folder / "plugins").write_text("[].\n")
        settings = ["loopback_users = none", f"listeners.tcp.1 = {self.host}:{self._port}"]  # guest comes from replicas
        (self.folder / "rabbitmq.conf").write_text("\n".join(settings) + "\n")
        names = {"ERL_EPMD_PORT": str(free_port()), "ERL_EPMD_ADDRESS": "127.0.0.1"}
        self._names = self._run(["epmd"], names)
        return {
            **names,
            "HOME": str(self.folder),  # of the cookie
            "RABBITMQ_NODENAME": f"soak{os.getpid()}@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
        }

    def _run(self, command: Sequence[str], variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with (self.folder / "said").open("ab") as said:
            return subprocess.Popen(
                [*self._within, *command],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=self.folder,
                env={**os.environ, **variables},
                start_new_session=True,  # Ctrl-C is for the soak, which ends it at last
            )


@contextmanager
def broker_running(kind: str, network: Network) -> Iterator[BrokerServer]:
    """A broker that is ready, and gone afterwards; raises Missing where there is none to be started."""
    program = _PROGRAMS[kind]
    if shutil.which(program) is None:
        raise Missing(f"there is no {program}: install the package {kind}-server, or leave out --bus")
    with tempfile.TemporaryDirectory(prefix=f"soak-{kind}-", dir="/tmp") as folder:
        broker = BrokerServer(kind, Path(folder), network)
        try:
            broker.make()
            yield broker
        finally:
            broker.remove()
