"""Control groups as the kernel has them: which are ours, and what is written there."""

from pathlib import Path

import pytest

from meristem.supervision.control_groups import ControlGroup, Parent, delegate, parents

FILES = {
    1: ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.shares"),
    2: ("memory.max", "memory.swap.max", "memory.oom.group", "cpu.max", "cpu.weight"),
}


def a_group(folder: Path, version: int) -> ControlGroup:
    """A folder with the files that the kernel makes in a new group."""
    group = ControlGroup(Parent(folder, version), "documents-1")
    group.make()
    for file in (*FILES[version], "cgroup.procs"):
        (group.path / file).write_text("")
    return group


def written(group: ControlGroup) -> dict[str, str]:
    return {file.name: text for file in group.path.iterdir() if (text := file.read_text())}


@pytest.mark.parametrize(
    ("version", "limits"),
    [
        (
            1,
            {
                "memory.limit_in_bytes": "104857600",
                "memory.memsw.limit_in_bytes": "104857600",
                "cpu.cfs_period_us": "10000",
                "cpu.cfs_quota_us": "5000",
                "cpu.shares": "512",
            },
        ),
        (
            2,
            {
                "memory.max": "104857600",
                "memory.swap.max": "0",
                "memory.oom.group": "1",
                "cpu.max": "5000 10000",
                "cpu.weight": "50",
            },
        ),
    ],
)
def test_limits_are_written_as_each_version_reads_them(tmp_path: Path, version: int, limits: dict[str, str]):
    group = a_group(tmp_path, version)

    group.limit_memory(100 << 20)
    group.limit_cpu(0.5)
    group.add(1234)

    assert written(group) == {**limits, "cgroup.procs": "1234"}


@pytest.mark.parametrize(("version", "file"), [(1, "memory.oom_control"), (2, "memory.events")])
def test_the_kernels_kills_are_counted(tmp_path: Path, version: int, file: str):
    group = a_group(tmp_path, version)
    assert group.kills() == 0

    (group.path / file).write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")

    assert group.kills() == 3


def test_a_file_that_the_kernel_does_not_know_is_never_made(tmp_path: Path):
    group = ControlGroup(Parent(tmp_path, 1), "documents-1")
    group.make()

    with pytest.raises(FileNotFoundError):
        group.limit_memory(100 << 20)
    assert not list(group.path.iterdir())


def test_version_1_has_a_group_of_ours_for_each_controller(tmp_path: Path):
    (tmp_path / "memory/user/me").mkdir(parents=True)
    (tmp_path / "cpu").mkdir()
    mounts = (
        f"30 20 0:25 / {tmp_path}/memory rw,relatime - cgroup cgroup rw,memory\n"
        f"31 20 0:26 / {tmp_path}/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
        "32 20 0:27 / /proc rw - proc proc rw\n"
    )

    found = parents(mounts, "4:memory:/user/me\n1:cpu,cpuacct:/\n0::/\n")

    assert found == {"memory": Parent(tmp_path / "memory/user/me", 1), "cpu": Parent(tmp_path / "cpu", 1)}


def test_a_container_finds_its_own_group_at_the_top(tmp_path: Path):
    mounts = f"30 20 0:25 /docker/abc {tmp_path} rw - cgroup cgroup rw,memory\n"

    assert parents(mounts, "4:memory:/docker/abc\n") == {"memory": Parent(tmp_path, 1)}


def test_version_2_has_one_group_for_those_that_it_is_given(tmp_path: Path):
    (tmp_path / "system").mkdir()
    (tmp_path / "system/cgroup.controllers").write_text("cpu io memory pids\n")
    mounts = f"30 20 0:25 / {tmp_path} rw - cgroup2 cgroup2 rw\n"

    found = parents(mounts, "0::/system\n")

    assert found == {"memory": Parent(tmp_path / "system", 2), "cpu": Parent(tmp_path / "system", 2)}


def test_a_group_of_version_2_hands_its_controllers_down(tmp_path: Path):
    delegate(Parent(tmp_path, 2))

    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory +cpu"
