"""A short storm (`make chaos` makes long ones): whatever is killed, cut off or starved while people call and write, what was
confirmed is one case, everybody ends with an answer, a case, a person or a recording, and the line comes back by itself."""

from pathlib import Path

from tests.chaos.storm import Storm
from tests.end_to_end.conftest import need_bot


def test_a_storm_loses_nothing_doubles_nothing_and_leaves_nobody_with_nothing(tmp_path: Path) -> None:
    need_bot()
    storm = Storm(tmp_path, seed=12345)
    crowd = storm.run(people=16, at_once=6, pause=(0.5, 2.0))
    assert storm.struck
    assert [person for person in crowd if not person.ends or person.ends & {"lost", "doubled"}] == []
