"""Who is late and lives is given more time; who is dead where all others are in time is found as soon as ever."""

from meristem.storage.failure_detector import FailureDetector, Member

PATIENCE = 7


class Others:
    """Some replicas as their rows show them, and what looks a detector takes."""

    def __init__(self, count: int) -> None:
        self.rows = {name: Member(number, f"elsewhere|{name}", 0) for number, name in enumerate("abcdefghijkl"[:count])}
        self.detector = FailureDetector(PATIENCE)

    def look(self, times: int = 1, *, silent: str = "") -> list[str]:
        """The ones that are dead after so many looks, before each of which all but the `silent` beat."""
        for _ in range(times):
            for name, row in self.rows.items():
                row.beat += name not in silent
            self.detector.hear([Member(each.id, each.process, each.beat) for each in self.rows.values()])
        return [name for name, row in self.rows.items() if self.detector.is_dead(row)]


def test_who_falls_silent_is_dead_after_so_many_looks():
    others = Others(3)

    assert others.look(10) == []
    assert others.look(PATIENCE - 1, silent="b") == []
    assert others.look(silent="b") == ["b"]


def test_who_was_late_and_spoke_is_given_more_time_and_less_again_when_it_is_in_time():
    others = Others(3)
    others.look(6, silent="b")
    others.look()

    assert others.look(PATIENCE + 1, silent="b") == []
    others.look(300)
    assert others.look(PATIENCE, silent="b") == ["b"]


def test_who_was_taken_for_dead_and_lives_is_given_twice_the_time():
    others = Others(3)
    others.look(PATIENCE + 1, silent="b")
    others.rows["b"].id = 100  # it begins anew, in the same process

    others.look()
    assert others.look(2 * PATIENCE - 1, silent="b") == []
    assert others.look(2, silent="b") == ["b"]


def test_where_many_are_late_at_once_what_they_share_is_slow_and_nobody_is_dead():
    others = Others(12)
    late = "abcd"
    others.look(3)

    assert others.look(3 * PATIENCE, silent=late) == []
    assert others.look() == []


def test_many_that_are_silent_for_good_are_dead_at_last():
    others = Others(12)
    others.look(3)

    assert others.look(4 * PATIENCE, silent="abcd") == ["a", "b", "c", "d"]


def test_one_that_dies_among_many_is_found_at_once():
    others = Others(12)
    others.look(3)

    assert others.look(PATIENCE, silent="l") == ["l"]


def test_a_look_that_tells_nothing_begins_the_count_anew_and_forgets_no_lateness():
    others = Others(3)
    others.look(6, silent="b")
    others.look()
    others.look(5, silent="b")
    others.detector.begin_anew()

    assert others.look(PATIENCE + 2, silent="b") == []
