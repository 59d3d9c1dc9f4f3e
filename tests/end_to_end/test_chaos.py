"""A short storm (`make chaos` makes long ones): whatever is killed, cut off or starved while people call and write, what was
confirmed is one case, everybody ends with an answer, a case, a person or a recording, and the line comes back by itself."""

from pathlib import Path

import pytest

from tests.chaos.servers import ServedLine, missing
from tests.chaos.storm import Storm
from tests.conftest import missing_service
from tests.end_to_end.conftest import need_bot
from tests.running_line import RunningLine


@pytest.mark.parametrize("line", [RunningLine, ServedLine], ids=["sqlite", "postgresql-and-redis"])
def test_a_storm_loses_nothing_doubles_nothing_and_leaves_nobody_with_nothing(
    tmp_path: Path, line: type[RunningLine]
) -> None:
    need_bot()
    if line is ServedLine and missing():
        missing_service(", ".join(missing()))
    storm = Storm(line(tmp_path), seed=12345)
    crowd = storm.run(people=12, at_once=6, pause=(0.5, 2.0))
    assert storm.struck
    assert [person for person in crowd if not person.ends or person.ends & {"lost", "doubled"}] == []
