"""Counts that are kept in step are those that a rebuilding makes, whatever people do to cases and conversations."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.cases import service as service_of_cases
from backend.cases.models import Case
from backend.cases.service import Filing
from backend.clock import local
from backend.conversations import service
from backend.conversations.models import Conversation
from backend.database import Database
from backend.directory.models import Staff
from backend.insight import rollups
from backend.insight.models import CaseCell, CaseFact, CaseSum, Mark, TalkCell
from backend.insight.rollups import CELL, DIMENSIONS, MEASURES, keep_in_step, rebuild
from backend.knowledge.service import Knowledge
from bot.client import Reply
from tests.cases.test_loop import LAMP, AnyActsByAnybody, Loop
from tests.conftest import StandingClock


def counts(database: Database) -> tuple[list[Any], ...]:
    """All facts and all cells that count something."""

    def rows(session: Session, table: Any) -> list[Any]:
        found = [tuple(row) for row in session.execute(select(*table.__table__.columns))]
        counted = [row for row in found if table not in (CaseCell, CaseSum) or any(row[-len(MEASURES) :])]
        return sorted(counted, key=str)

    with database.read() as session:
        return tuple(rows(session, table) for table in (CaseFact, CaseCell, CaseSum, TalkCell))


def summed_up(cells: list[Any]) -> list[Any]:
    """The sums that belong to cells, as `counts` gives both."""
    found: dict[tuple[Any, ...], list[int]] = {}
    width = len(CELL)
    for cell in cells:
        for dimension, value in [("", ""), *zip(DIMENSIONS, cell[2:width], strict=True)]:
            of = found.setdefault((dimension, *cell[:2], value), [0] * len(MEASURES))
            of[:] = map(sum, zip(of, cell[width:], strict=True))
    return sorted(((*key, *of) for key, of in found.items() if any(of)), key=str)


class QuickLoop(Loop):
    """The same with one index of the knowledge for all cases, which routing asks."""

    knowledge = Knowledge()

    def file(self, filing: Filing = LAMP) -> str:
        with self.database.write() as session:
            actor = service_of_cases.Actor("bot")
            now = self.clock()
            return service_of_cases.file_case(session, self.knowledge, filing, actor, now, "shandong").number


@pytest.fixture
def loop(database: Database, clock: StandingClock) -> Iterator[Loop]:
    yield QuickLoop(database, clock)


class CountsInStep(AnyActsByAnybody):
    """Any acts, with the counts kept in step at any moment between them."""

    @rule(
        category=st.sampled_from(["UT-HEAT", "EN-NOISE"]), place=st.sampled_from(["明湖区软件园", "", "云水区望月街道"])
    )
    def file_another(self, category: str, place: str) -> None:
        clock = self.loop.clock()
        self.number = self.loop.file(Filing(what="噪声太大", place=place, category=category, key=f"{clock}{category}"))

    @rule()
    def count(self) -> None:
        keep_in_step(self.loop.database, self.loop.clock)

    @invariant()
    def nothing_is_lost(self) -> None:
        """Of the case itself, that is tested where it is at home."""

    def teardown(self) -> None:
        keep_in_step(self.loop.database, self.loop.clock)
        in_step = counts(self.loop.database)
        rebuild(self.loop.database, self.loop.clock)
        assert counts(self.loop.database) == in_step
        assert in_step[2] == summed_up(in_step[1])


def test_whatever_is_done_to_cases_counts_in_step_are_those_made_anew(database: Database) -> None:
    class Machine(CountsInStep):
        def __init__(self) -> None:
            super().__init__()
            self.loop = QuickLoop(database, StandingClock())

    Machine.TestCase.settings = settings(
        max_examples=6, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    Machine.TestCase("runTest").runTest()


def test_a_case_moves_with_its_category_and_agency(loop: Loop) -> None:
    number = loop.file()
    keep_in_step(loop.database, loop.clock)
    loop.act(number, "accept", "operator")
    loop.act(number, "sort", "dispatcher", category="EN-NOISE", kind="complaint", urgency="urgent")
    loop.act(number, "dispatch", "dispatcher", agency="C-ECO")
    keep_in_step(loop.database, loop.clock)
    cells = [row for row in counts(loop.database)[1] if row[0] == "d"]
    assert {row[3:5] + row[6:7] for row in cells} == {("EN-NOISE", "C-ECO", "urgent")}
    assert {row[2] for row in cells} == {"明湖区"}


def test_a_missed_deadline_counts_from_its_day_until_the_reply(loop: Loop, clock: StandingClock) -> None:
    number = loop.dispatched()
    with loop.database.read() as session:
        due = session.query(Case).filter_by(number=number).one().due_at
    keep_in_step(loop.database, clock)
    assert sums(loop.database, "lapsed", due) == 1  # on its day, should nobody reply until then
    loop.act(number, "sign", "agency")
    loop.act(number, "reply", "agency", note="已修好")
    keep_in_step(loop.database, clock)
    assert sums(loop.database, "lapsed", due) == 0
    late = loop.dispatched(Filing(what="自来水停了", place="云水区", contact="+8613900000000", key="late"))
    with loop.database.read() as session:
        due = session.query(Case).filter_by(number=late).one().due_at
    clock.now = due + timedelta(days=2)
    loop.act(late, "sign", "agency")
    loop.act(late, "reply", "agency", note="已修好")
    keep_in_step(loop.database, clock)
    assert (sums(loop.database, "lapsed", due), sums(loop.database, "late", clock.now)) == (1, 1)


def sums(database: Database, measure: str, moment: datetime) -> int:
    """What the cells of a day count."""
    with database.read() as session:
        cells = select(CaseCell).where(CaseCell.grain == "d", CaseCell.at == local(moment).date())
        return sum(getattr(cell, measure) for cell in session.scalars(cells))


@pytest.mark.parametrize("at_once", [rollups.AT_ONCE, 1])
def test_an_event_that_is_committed_later_than_younger_ones_is_counted(
    loop: Loop, clock: StandingClock, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """Looking again at what is young finds it: the mark stands behind it, although a later id was seen already, and however
    many events there are."""
    monkeypatch.setattr(rollups, "AT_ONCE", at_once)
    loop.file()
    keep_in_step(loop.database, clock)
    with loop.database.read() as session:
        assert session.get_one(Mark, "cases").value == 0
    clock.advance(minutes=11)
    keep_in_step(loop.database, clock)
    with loop.database.read() as session:
        assert session.get_one(Mark, "cases").value > 0


def test_while_all_is_counted_anew_nobody_else_counts_and_pages_are_told(
    loop: Loop, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        loop.file(Filing(what="路灯不亮", place="明湖区", contact=f"+861380000000{number}", key=str(number)))
    monkeypatch.setattr(rollups, "REBUILT_AT_ONCE", 1)
    seen = []

    def look(told: str) -> None:
        keep_in_step(loop.database, clock)
        with loop.database.read() as session:
            seen.append(session.get_one(Mark, "cases").note)

    rebuild(loop.database, clock, look)
    assert seen == ["16%", "33%", "50%", "100%"]  # the facts of three cases, then the cells of one month
    monkeypatch.undo()
    with loop.database.read() as session:
        assert session.get_one(Mark, "cases").note == ""
    whole = counts(loop.database)
    rebuild(loop.database, clock)
    assert counts(loop.database) == whole and len(whole[0]) == 3


def test_a_conversation_is_counted_in_its_hour_with_what_came_of_it(database: Database, clock: StandingClock) -> None:
    with database.write() as session:
        opened, _ = service.open_conversation(session, "chat", "zh", clock())
        service.record_reply(session, opened, Reply("答", "答", act="answer", article="a"), clock())
        service.move(session, opened, "request", clock())
    keep_in_step(database, clock)
    clock.advance(seconds=15)
    with database.write() as session:
        service.move(session, session.get_one(Conversation, opened.id), "take", clock(), session.get_one(Staff, 1))
    keep_in_step(database, clock)
    keep_in_step(database, clock)
    with database.read() as session:
        cell = session.scalars(select(TalkCell)).one()
        assert (cell.began, cell.answered, cell.queued, cell.taken, cell.prompt, cell.waited) == (1, 1, 1, 1, 1, 15)
    clock.advance(hours=30)
    with database.write() as session:
        service.move(session, session.get_one(Conversation, opened.id), "close", clock())
    keep_in_step(database, clock)
    in_step = counts(database)
    rebuild(database, clock)
    assert counts(database) == in_step


def test_the_same_case_filed_again_is_counted_once(loop: Loop) -> None:
    for key in ("1", "2"):
        loop.file(Filing(what=LAMP.what, place=LAMP.place, contact=LAMP.contact, key=key))
    keep_in_step(loop.database, loop.clock)
    assert sum(row[7] for row in counts(loop.database)[1] if row[0] == "d") == 1
