"""The invented year is one that the line could have had."""

import pytest
from sqlalchemy import func, select

from backend.cases.models import Case
from backend.cases.rules import replay
from backend.cases.service import Actor, act_on
from backend.database import Database
from backend.insight import sample_year
from backend.insight.sample_year import fill
from tests.cases.test_loop import Loop
from tests.conftest import NOON, StandingClock, make_settings


def test_every_invented_case_has_lived_by_the_table_and_the_line_goes_on_after_it(
    database: Database, clock: StandingClock
) -> None:
    fill(database, NOON, cases=300, days=30, seed=1)
    with database.read() as session:
        cases = list(session.scalars(select(Case)))
        assert len(cases) > 250
        for case in cases:
            assert replay(tuple(event.act for event in case.history[1:])) == case.state
            assert case.filed_at <= case.step_since <= NOON
            assert all(one.acted_at <= two.acted_at for one, two in zip(case.history, case.history[1:], strict=False))
        assert {"closed", "signed", "replied"} <= {case.state for case in cases}
    number = Loop(database, clock).file()
    with database.write() as session:
        assert act_on(session, number, "accept", Actor("operator"), {}, NOON).state == "accepted"
        assert session.scalar(select(func.count(Case.id))) == len(cases) + 1


def test_a_year_is_invented_once(database: Database) -> None:
    fill(database, NOON, cases=20, days=7, seed=1)
    with pytest.raises(ValueError, match="already"):
        fill(database, NOON, cases=20, days=7, seed=2)


def test_a_production_line_is_left_alone(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings(sqlite_url, environment="production")
    monkeypatch.setattr(sample_year, "load_settings", lambda: settings)
    monkeypatch.setattr("sys.argv", ["sample_year"])
    with pytest.raises(SystemExit, match="production"):
        sample_year.main()
