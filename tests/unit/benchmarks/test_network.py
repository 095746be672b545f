"""A replica of the soak whose cable is pulled reaches nobody, and reaches them again."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.soak.network import Network, network_for, possible

ASK = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 0.5).close()"


@pytest.fixture
def network() -> Iterator[Network]:
    if reason := possible():
        pytest.skip(reason)
    with network_for(["rooms-0", "rooms-1"], divided=True) as found:
        yield found


def test_a_cut_replica_reaches_nobody_until_it_is_mended_and_the_other_one_does(network: Network, tmp_path: Path):
    python = network.interpreter(tmp_path)

    def reaches(replica: int) -> bool:
        which = ["--process", "rooms", "--replica", str(replica)]
        asked = [python, "-c", ASK, network.host, str(port), *which]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0

    with closing(socket.create_server((network.host, 0))) as server:
        port = server.getsockname()[1]
        assert reaches(0)
        network.cut("rooms-0")
        assert not reaches(0)
        assert reaches(1)
        network.mend("rooms-0")
        assert reaches(0)


def test_nothing_of_it_is_left(network: Network):
    network.remove()

    said = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert network.space("rooms-0") not in said
