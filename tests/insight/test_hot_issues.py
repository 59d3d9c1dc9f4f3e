"""Hot issues: cases about the same thing at the same place are one issue, and the counts add up."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from backend.cases import service as service_of_cases
from backend.cases.models import Case
from backend.cases.places import district_of
from backend.conversations import service
from backend.conversations.models import Conversation
from backend.database import Database
from backend.insight import issues
from backend.insight.figures import Slice, midnight, today
from backend.insight.hot import Floats, name_of
from backend.insight.issues import Index, group_new, mend, top
from backend.insight.models import Alert, CaseFact, HotGroup, HotMember, HotMiddle, HotTalk, Mark
from backend.insight.rollups import keep_in_step
from backend.insight.sample_year import fill
from backend.insight.wall import snapshot
from backend.knowledge.embedding import EmbeddingFailed
from backend.knowledge.service import Knowledge
from backend.parts import Parts
from bot.client import Reply
from tests.conftest import StandingClock
from tests.console.test_gap_pages import log_in

LIFT = (
    "阳光花园的电梯停运三天了，老人上不了楼，电话13812345678",
    "阳光花园电梯停运三天，老人没法上楼",
    "电梯停运没人修，阳光花园的老人上楼困难，我叫王大明",
)
CALLER = "+8613911112222"
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
            case.what, case.place, case.district = text, "", district_of("", text)
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
    group_new(record, Index(), clock)
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
        assert found.whole.count == session.scalar(select(func.count()).select_from(CaseFact))
        assert sum((one.members for one in found.issues), found.others) == found.whole
    group_new(record, Index(), clock)
    assert groups(record, ids) == [first, second, third, elsewhere, noise]


def talk(database: Database, clock: StandingClock, *said: tuple[str, str], caller: str | None = None) -> str:
    """A conversation of these remarks, each with what the bot did, that has ended; its id."""
    with database.write() as session:
        conversation, _ = service.open_conversation(session, "phone" if caller else "chat", "zh", clock())
        conversation.caller = caller
        for text, act in said:
            service.record(session, conversation, "citizen", text, clock())
            service.record_reply(session, conversation, Reply("好的", "好的", act=act), clock())
        service.close(session, conversation, clock())
        return conversation.id


def test_conversations_that_became_no_case_are_in_the_groups_too_and_counted_apart(
    record: Database, clock: StandingClock
) -> None:
    ids = tell(record, clock, LIFT)
    keep_in_step(record, clock)
    same = [
        talk(
            record,
            clock,
            ("阳光花园电梯停运三天，老人没法上楼", "unknown"),
            ("没有", "unsolved"),
            caller=CALLER,
        ),
        talk(record, clock, ("阳光花园的电梯停运三天了，老人上不了楼", "answer"), caller=CALLER),
    ]
    alone = talk(record, clock, ("公积金怎么提取", "answer"))
    silent = talk(record, clock, ("转人工", "handoff"), ("你好", "say"))
    clock.advance(minutes=11)
    group_new(record, Index(), clock)
    group_new(record, Index(), clock)
    group = groups(record, ids)[0]
    with record.read() as session:
        in_group = {one.conversation_id: one.group_id for one in session.scalars(select(HotTalk))}
        assert [in_group[one] for one in same] == [group, group]
        assert in_group[alone] not in (None, group)
        assert in_group[silent] is None
        now = today(clock())
        found = top(session, Slice(now - timedelta(days=60), now + timedelta(days=1)), 50)
        (shown,) = [one for one in found.issues if one.id == group]
        assert (shown.members.cases, shown.members.talks) == (3, 2)
        assert shown.citizens == len({case.contact or case.id for case in session.scalars(of_ids(ids))}) + 1
        assert found.whole.talks == 3
        everywhere = Slice(now, now + timedelta(days=1), agency="C-UTIL")
        assert top(session, everywhere).whole.talks == 0  # no agency has them
    # A case comes of one of them after all: it is counted once.
    with record.write() as session:
        filing = service_of_cases.Filing(what=LIFT[1], place="", key="later", conversation_id=same[0])
        actor = service_of_cases.Actor("operator")
        service_of_cases.file_case(session, Knowledge(), filing, actor, clock(), "shandong")
    keep_in_step(record, clock)
    clock.advance(minutes=11)
    group_new(record, Index(), clock)
    with record.read() as session:
        detail = issues.detail(session, group)
        assert detail is not None
        assert (detail.members.cases, detail.members.talks) == (4, 1)
        assert [what for _, what in detail.said] == ["阳光花园的电梯停运三天了，老人上不了楼"]


def of_ids(ids: Sequence[int]) -> Select[Case]:
    """These cases."""
    return select(Case).where(Case.id.in_(ids))


def test_two_workers_group_what_came_in_between(record: Database, clock: StandingClock) -> None:
    """One reads what the other has grouped, cases and conversations, before it goes on."""
    one, other = Index(), Index()
    keep_in_step(record, clock)
    clock.advance(minutes=11)
    group_new(record, one, clock)
    group_new(record, other, clock)
    first = talk(record, clock, ("阳光花园电梯停运三天，老人没法上楼", "unknown"))
    clock.advance(minutes=11)
    group_new(record, one, clock)
    second = talk(record, clock, ("阳光花园的电梯停运三天了，老人上不了楼", "unknown"))
    clock.advance(minutes=11)
    group_new(record, other, clock)
    with record.read() as session:
        in_group = {row.conversation_id: row.group_id for row in session.scalars(select(HotTalk))}
    assert in_group[first] == in_group[second] is not None


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
    group_new(record, index, clock)
    with record.read() as session:
        assert session.scalar(select(func.count()).select_from(HotMember)) == 0
    model.fails = False
    group_new(record, index, clock)
    first, second, third, elsewhere, noise = groups(record, ids)
    assert first == second == third
    assert len({first, elsewhere, noise}) == 3
    with record.read() as session:
        assert session.get_one(HotMiddle, "late").cases == session.scalar(select(func.count()).select_from(HotMember))
    clock.advance(days=1)
    mend(record, index, clock)
    assert len(set(groups(record, ids)[:3])) == 1


def talk_groups(database: Database) -> dict[str, int | None]:
    """The group of each conversation."""
    with database.read() as session:
        return {one.conversation_id: one.group_id for one in session.scalars(select(HotTalk))}


def test_groups_that_have_grown_together_are_one_in_the_morning(record: Database, clock: StandingClock) -> None:
    ids = tell(record, clock, [*LIFT, *LIFT])
    said = [talk(record, clock, (text, "unknown")) for text in LIFT[:2]]
    keep_in_step(record, clock)
    clock.advance(minutes=11)
    group_new(record, Index(), clock)
    kept = groups(record, ids)[0]
    with record.write() as session:  # as if half of them had come in two groups
        whole = session.get_one(HotGroup, kept)
        half = HotGroup(
            **{column.key: getattr(whole, column.key) for column in HotGroup.__table__.columns} | {"id": None}
        )
        assert whole.size == len(ids) + len(said)
        half.size = 4
        whole.size -= half.size
        session.add(half)
        session.flush()
        for number in ids[3:]:
            session.get_one(HotMember, number).group_id = half.id
        session.scalars(select(HotTalk).where(HotTalk.conversation_id == said[1])).one().group_id = half.id
        gone = half.id
    clock.advance(days=1)
    mend(record, Index(), clock)
    assert set(groups(record, ids)) == {kept}
    assert talk_groups(record) == dict.fromkeys(said, kept)
    with record.read() as session:
        found = issues.detail(session, gone)
        assert found is not None
        assert (found.group.id, found.group.size) == (kept, len(ids) + len(said))
        assert (found.members.cases, found.members.talks) == (len(ids), len(said))


def test_groups_that_take_no_more_keep_no_vectors_and_what_was_warned_of_goes_with_its_group(
    record: Database, clock: StandingClock
) -> None:
    ids = tell(record, clock, [*LIFT, NOISE])
    keep_in_step(record, clock)
    clock.advance(minutes=11)
    group_new(record, Index(), clock)
    lift, _, _, noise = groups(record, ids)
    clock.advance(days=31)
    mend(record, Index(), clock)
    with record.write() as session:
        assert [bool(session.get_one(HotGroup, one).total) for one in (lift, noise)] == [True, False]
        alert = Alert(
            kind="topic", group_id=lift, since=clock(), raised_at=clock(), last_at=clock(), hours=24, count=5,
            expected=0.1, p=1e-6, days=[],
        )  # fmt: skip
        session.add(alert)
        other = HotGroup(name="", size=3, words={}, district="", community="")
        other.total, other.first_at, other.last_at = session.get_one(HotGroup, lift).total, clock(), clock()
        session.add(other)
        session.flush()
        issues.join(session, other, session.get_one(HotGroup, lift))
        assert session.get_one(HotGroup, lift).total == b""
        session.expire(alert)
        assert alert.group_id == other.id


def test_two_matters_in_one_group_are_two_issues_in_the_morning(record: Database, clock: StandingClock) -> None:
    ids = tell(record, clock, [*LIFT, *NOISES])
    said = [talk(record, clock, (text, "unknown")) for text in (LIFT[0], NOISES[0])]
    keep_in_step(record, clock)
    clock.advance(minutes=11)
    group_new(record, Index(), clock)
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
    assert talk_groups(record) == {said[0]: found[0], said[1]: found[-1]}  # each with its matter
    with record.read() as session:
        for number in set(found):
            group = session.get_one(HotGroup, number)
            assert (group.size, group.name != "") == (found.count(number) + 1, True)


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
        for table in (HotMember, HotTalk, HotGroup):
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
        talks = [(midnight(day + timedelta(days=at)), number) for number, at in grouped]
        for place, (at, number) in enumerate(talks):
            talk = Conversation(id=f"talk-{place}", channel="chat", locale="zh", state="closed", started_at=at)
            row = HotTalk(conversation_id=talk.id, group_id=number + 1, at=at, channel="chat")
            row.district = row.community = row.category = ""
            session.add(talk)
            session.flush()
            session.add(row)
        session.flush()
        wanted = Slice(day + timedelta(days=first), day + timedelta(days=last + 1))
        within = CaseFact.filed_at >= midnight(wanted.since), CaseFact.filed_at < midnight(wanted.until)
        filed = set(session.scalars(select(CaseFact.case_id).where(*within)))
        found = top(session, wanted, limit)
        assert found.whole.cases == len(filed & members.keys())
        assert found.whole.talks == sum(wanted.since <= today(at) < wanted.until for at, _ in talks)
        assert sum((one.members for one in found.issues), found.others) == found.whole
        for one in found.issues:
            assert one.members.cases == sum(members[case] == one.id - 1 for case in filed & members.keys())
            assert one.share == one.members.count / found.whole.count
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
    group_new(parts.database, Index(), clock)
    analyst = log_in(web, "analyst1")
    assert 'data-testid="issue"' in analyst.get("/console/insight/issues").text
    page = analyst.get(f"/console/insight/issues/{groups(parts.database, ids)[0]}").text
    assert "电梯" in page
    assert "13812345678" not in page
    assert "王大明" not in page
    assert analyst.get("/console/insight/issues/999999").status_code == 404


def test_the_wall_leaves_out_what_one_citizen_calls_about_again_and_again(
    record: Database, clock: StandingClock
) -> None:
    clock.advance(minutes=7)
    keep_in_step(record, clock)
    with record.write() as session:
        cases = list(session.scalars(select(Case).order_by(Case.id)))
        for number in range(6):
            group = HotGroup(name=f"第{number}件", size=4, total=b"", words={}, district="", community="")
            group.first_at = group.last_at = clock()
            session.add(group)
            session.flush()
            for case in cases[10 * number : 10 * number + (3 if number else 4)]:
                session.add(HotMember(case_id=case.id, group_id=group.id, likeness=1.0))
                case.contact_hash = str(case.id) if number else "one citizen"
        session.add(Mark(name="hot", at=clock()))
    with record.read() as session:
        shown = snapshot(session, clock(), "zh")["issues"]
    assert [one["name"] for one in shown] == [f"第{number}件" for number in range(1, 6)]
