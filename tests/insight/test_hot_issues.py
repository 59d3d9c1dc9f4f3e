"""Hot issues: cases about the same thing at the same place are one issue, and the counts add up."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from backend.cases.models import Case
from backend.database import Database
from backend.insight import issues
from backend.insight.figures import Slice, midnight, today
from backend.insight.hot import Floats, name_of
from backend.insight.issues import Index, group_cases, mend, top
from backend.insight.models import CaseFact, HotGroup, HotMember, HotMiddle
from backend.insight.rollups import keep_in_step
from backend.insight.sample_year import fill
from backend.knowledge.embedding import EmbeddingFailed
from backend.parts import Parts
from tests.conftest import StandingClock
from tests.console.test_gap_pages import log_in

LIFT = (
    "阳光花园的电梯停运三天了，老人上不了楼，电话13812345678",
    "阳光花园电梯停运三天，老人没法上楼",
    "电梯停运没人修，阳光花园的老人上楼困难，我叫王大明",
)
LIFT_ELSEWHERE = "文昌花园电梯停运三天，老人没法上楼"
NOISES = (
    "阳光花园旁边工地半夜施工噪声很大睡不着",
    "阳光花园旁边的工地半夜施工，噪声很大，老人睡不着",
    "工地半夜施工噪声很大，阳光花园的人睡不着觉",
)
NOISE = "望月社区工地半夜施工噪声很大睡不着"


def tell(database: Database, clock: StandingClock, texts: Sequence[str]) -> list[int]:
    """Turn the newest invented cases into these; their ids."""
    with database.write() as session:
        cases = list(session.scalars(select(Case).order_by(Case.id.desc()).limit(len(texts))))[::-1]
        for case, text in zip(cases, texts, strict=True):
            case.what, case.place = text, ""
        return [case.id for case in cases]


def groups(database: Database, ids: Sequence[int]) -> list[int]:
    """The groups of these cases."""
    with database.read() as session:
        return groups_of(session, ids)


def groups_of(session: Session, ids: Sequence[int]) -> list[int]:
    """The groups of these cases."""
    return [session.get_one(HotMember, number).group_id for number in ids]


@pytest.fixture
def record(database: Database, clock: StandingClock) -> Iterator[Database]:
    """A record with some weeks behind it."""
    fill(database, clock(), cases=60, days=20, seed=4)
    yield database


def test_the_same_thing_at_the_same_place_is_one_issue_and_elsewhere_another(
    record: Database, clock: StandingClock
) -> None:
    ids = tell(record, clock, [*LIFT, LIFT_ELSEWHERE, NOISE])
    keep_in_step(record, clock)
    clock.advance(minutes=11)
    group_cases(record, Index(), clock)
    first, second, third, elsewhere, noise = groups(record, ids)
    assert first == second == third
    assert len({first, elsewhere, noise}) == 3
    with record.read() as session:
        name = session.get_one(HotGroup, first).name
        assert name.startswith("阳光花园：")
        assert "电梯" in name
        now = today(clock())
        wanted = Slice(now - timedelta(days=60), now + timedelta(days=1))
        found = top(session, wanted)
        assert found.cases == session.scalar(select(func.count()).select_from(CaseFact))
        assert sum(one.cases for one in found.issues) + found.others == found.cases
    group_cases(record, Index(), clock)
    assert groups(record, ids) == [first, second, third, elsewhere, noise]


class LateModel:
    """A model that can't be asked at first; its vectors are those of the texts' characters."""

    name = "late"

    def __init__(self) -> None:
        self.fails = True

    def questions(self, texts: Sequence[str]) -> Floats:
        if self.fails:
            raise EmbeddingFailed("it isn't there yet")
        rows = np.zeros((len(texts), 64), np.float32)
        for row, text in zip(rows, texts, strict=True):
            np.add.at(row, [ord(one) % 64 for one in text], 1)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)

    passages = questions


def test_cases_wait_for_the_model_of_meaning_and_are_grouped_by_it_once_it_is_there(
    record: Database, clock: StandingClock
) -> None:
    ids = tell(record, clock, [*LIFT, LIFT_ELSEWHERE, NOISE])
    keep_in_step(record, clock)
    clock.advance(minutes=11)
    model = LateModel()
    index = Index(model)
    group_cases(record, index, clock)
    with record.read() as session:
        assert session.scalar(select(func.count()).select_from(HotMember)) == 0
    model.fails = False
    group_cases(record, index, clock)
    first, second, third, elsewhere, noise = groups(record, ids)
    assert first == second == third
    assert len({first, elsewhere, noise}) == 3
    with record.read() as session:
        assert session.get_one(HotMiddle, "late").cases == session.scalar(select(func.count()).select_from(HotMember))
    clock.advance(days=1)
    mend(record, index, clock)
    assert len(set(groups(record, ids)[:3])) == 1


def test_groups_that_have_grown_together_are_one_in_the_morning(record: Database, clock: StandingClock) -> None:
    ids = tell(record, clock, [*LIFT, *LIFT])
    keep_in_step(record, clock)
    clock.advance(minutes=11)
    group_cases(record, Index(), clock)
    kept = groups(record, ids)[0]
    with record.write() as session:  # as if half of them had come in two groups
        whole = session.get_one(HotGroup, kept)
        half = HotGroup(
            **{column.key: getattr(whole, column.key) for column in HotGroup.__table__.columns} | {"id": None}
        )
        half.size = 3
        session.add(half)
        session.flush()
        for number in ids[3:]:
            session.get_one(HotMember, number).group_id = half.id
        gone = half.id
    clock.advance(days=1)
    mend(record, Index(), clock)
    assert set(groups(record, ids)) == {kept}
    with record.read() as session:
        found = issues.detail(session, gone)
        assert found is not None
        assert found.group.id == kept


def test_two_matters_in_one_group_are_two_issues_in_the_morning(record: Database, clock: StandingClock) -> None:
    ids = tell(record, clock, [*LIFT, *NOISES])
    keep_in_step(record, clock)
    clock.advance(minutes=11)
    group_cases(record, Index(), clock)
    with record.write() as session:  # as if what is apart had come into one group
        kept, *others = [session.get_one(HotGroup, one) for one in dict.fromkeys(groups_of(session, ids))]
        for other in others:
            issues.join(session, kept, other)
        kept_id = kept.id
    clock.advance(days=1)
    mend(record, Index(), clock)
    found = groups(record, ids)
    assert kept_id in found
    assert [len(set(found[:3])), len(set(found[3:])), len(set(found))] == [1, 1, 2]
    with record.read() as session:
        for number in set(found):
            group = session.get_one(HotGroup, number)
            assert (group.size, group.name != "") == (found.count(number), True)


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 39)), max_size=30),
    st.integers(0, 39),
    st.integers(0, 39),
    st.integers(1, 6),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_largest_issues_and_all_others_add_up_to_the_cases_of_any_period(
    record: Database, clock: StandingClock, grouped: list[tuple[int, int]], one_end: int, other_end: int, limit: int
) -> None:
    keep_in_step(record, clock)
    first, last = sorted((one_end, other_end))
    with record.engine.connect() as connection, connection.begin() as whole:
        session = Session(connection)
        for table in (HotMember, HotGroup):
            session.execute(delete(table))
        day = today(session.scalars(select(func.min(CaseFact.filed_at))).one())
        names = sorted({group for group, _ in grouped})
        for number in names:
            group = HotGroup(id=number + 1, name=str(number), size=1, total=b"", words={}, district="", community="")
            group.first_at = group.last_at = midnight(day)
            session.add(group)
        session.flush()
        cases = list(session.scalars(select(CaseFact.case_id).order_by(CaseFact.case_id)))
        members = {cases[at]: number for number, at in grouped}
        for case_id, number in members.items():
            session.add(HotMember(case_id=case_id, group_id=number + 1, likeness=1.0))
        session.flush()
        wanted = Slice(day + timedelta(days=first), day + timedelta(days=last + 1))
        within = CaseFact.filed_at >= midnight(wanted.since), CaseFact.filed_at < midnight(wanted.until)
        filed = set(session.scalars(select(CaseFact.case_id).where(*within)))
        found = top(session, wanted, limit)
        assert found.cases == len(filed & members.keys())
        assert sum(one.cases for one in found.issues) + found.others == found.cases
        for one in found.issues:
            assert one.cases == sum(members[case] == one.id - 1 for case in filed & members.keys())
            assert one.share == one.cases / found.cases
        assert len(found.issues) <= limit
        whole.rollback()


def test_a_name_says_what_most_cases_of_a_group_say_and_few_others_do() -> None:
    said = {"电梯": 9, "停运": 8, "电梯|停运": 8, "物业": 7, "望远镜": 1}
    assert name_of(said, {"物业": 400, "电梯": 30, "停运": 20}, 1000, "阳光花园").startswith("阳光花园：电梯停运")


def test_the_pages_show_an_issue_without_what_is_personal(
    web: httpx.Client, parts: Parts, clock: StandingClock
) -> None:
    fill(parts.database, clock(), cases=40, days=10, seed=5)
    ids = tell(parts.database, clock, LIFT)
    keep_in_step(parts.database, clock)
    clock.advance(minutes=11)
    group_cases(parts.database, Index(), clock)
    analyst = log_in(web, "analyst1")
    assert 'data-testid="issue"' in analyst.get("/console/insight/issues").text
    page = analyst.get(f"/console/insight/issues/{groups(parts.database, ids)[0]}").text
    assert "电梯" in page
    assert "13812345678" not in page
    assert "王大明" not in page
    assert analyst.get("/console/insight/issues/999999").status_code == 404
