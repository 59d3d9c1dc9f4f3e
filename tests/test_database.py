"""What a write to the record promises."""

import pytest
from sqlalchemy import text

from backend.database import Database, make_durable

WAITS_FOR_THE_DISK = {"sqlite": ("PRAGMA synchronous", 2, 1), "postgresql": ("SHOW synchronous_commit", "on", "off")}
"""database: how to ask, what is said when a commit waits for the disk, and when it does not."""


@pytest.mark.parametrize("durable", [True, False])
def test_only_a_durable_write_waits_for_the_disk_whatever_was_written_before(database: Database, durable: bool) -> None:
    ask, waits, goes_on = WAITS_FOR_THE_DISK[database.engine.dialect.name]
    with database.write(durable=not durable) as session:
        session.execute(text(ask))
    with database.write(durable=durable) as session:
        assert session.scalar(text(ask)) == (waits if durable else goes_on)


def test_a_quick_write_that_promises_something_waits_for_the_disk_where_the_server_may_be_killed(
    database: Database,
) -> None:
    ask, waits, _ = WAITS_FOR_THE_DISK["postgresql"]
    with database.write(durable=False) as session:
        make_durable(session)
        assert database.engine.dialect.name == "sqlite" or session.scalar(text(ask)) == waits
