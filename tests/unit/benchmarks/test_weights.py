"""The soak sees a process that grows, and one that leaves files open."""

from benchmarks.soak.weights import Sample, leaking_files, slope, too_heavy


def test_growth_is_seen_only_after_a_process_has_settled():
    growing = [Sample(at, 80.0 + at / 6.0, 30) for at in range(0, 300, 2)]  # 10 MB a minute
    loading = [Sample(at, 80.0 + min(at, 50) / 2.0, 30) for at in range(0, 300, 2)]
    assert round(slope(growing) or 0.0, 3) == 10.0
    assert slope(growing[:5]) is None
    assert too_heavy({("rooms-0", 1): growing}) == ["rooms-0 (pid 1) grew by 10.0 MB a minute"]
    assert too_heavy({("rooms-0", 1): loading}) == []
    assert too_heavy({("rooms-0", 1): [Sample(0.0, 900.0, 30)]}) == ["rooms-0 (pid 1) weighed 900 MB"]


def test_files_that_stay_open_are_a_leak():
    samples = {("rooms-0", 1): [Sample(0.0, 80.0, 30), Sample(9.0, 80.0, 90)]}
    assert leaking_files(samples, 40) == ["rooms-0 (pid 1) has 90 files and sockets open, and had 30 at first"]
    assert leaking_files(samples, 60) == []


def test_a_process_that_was_killed_while_busy_leaks_nothing():
    lived = [Sample(0.0, 80.0, 30), Sample(9.0, 80.0, 35)]
    assert (
        leaking_files({("rooms-0", 1): [Sample(0.0, 80.0, 30), Sample(5.0, 80.0, 90)], ("rooms-0", 2): lived}, 40) == []
    )
