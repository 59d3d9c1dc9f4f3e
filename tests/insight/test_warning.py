"""Early warning on the record: an alert is raised once, says what it is of, and people deal with it."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from backend.cases.models import Case
from backend.cases.places import district_of
from backend.database import Database
from backend.directory.models import Staff
from backend.errors import Refused
from backend.insight import warning
from backend.insight.models import Alert, HotGroup, HotMember, Recipient, RiskHit
from backend.insight.rollups import keep_in_step
from backend.insight.sample_year import fill
from backend.insight.warning import cases_of, risks_in, warn
from backend.outbox import OutgoingMessage
from tests.conftest import StandingClock

WATER = "阳光花园3号楼停水一整天了，电话13812345678"


@pytest.fixture
def record(database: Database, clock: StandingClock) -> Iterator[Database]:
    """A record with two months behind it."""
    fill(database, clock(), cases=240, days=60, seed=4)
    yield database


def happen(
    database: Database, clock: StandingClock, number: int, what: str = WATER, category: str = "UT-WATER"
) -> None:
    """Let the newest cases be of one thing, told one after the other in the last hour and a half."""
    with database.write() as session:
        cases = list(session.scalars(select(Case).order_by(Case.id.desc()).limit(number)))
        for place, case in enumerate(cases):
            case.what, case.place, case.category_code = what, "", category
            case.district = district_of("", what)
            case.filed_at = clock() - timedelta(minutes=5 + place * 80 / number)


def look(database: Database, clock: StandingClock) -> list[Alert]:
    """Count, wait until what is new is counted on, look; all alerts."""
    keep_in_step(database, clock)
    clock.advance(minutes=6)
    keep_in_step(database, clock)
    warn(database, clock)
    with database.read() as session:
        return list(session.scalars(select(Alert).order_by(Alert.id)))


def test_a_burst_is_one_alert_with_its_cases_however_often_the_clock_looks(
    record: Database, clock: StandingClock
) -> None:
    happen(record, clock, 9)
    (alert,) = look(record, clock)
    assert (alert.kind, alert.category, alert.state) == ("burst", "UT-WATER", "open")
    assert alert.count >= 9
    assert alert.expected < 2
    with record.read() as session:
        cases = cases_of(session, alert)
    assert len([what for _, _, what in cases if "停水" in what]) == 9
    assert not any("13812345678" in what for _, _, what in cases)
    for _ in range(5):
        clock.advance(minutes=30)
        assert [one.id for one in look(record, clock)] == [alert.id]


def test_usual_hours_raise_nothing(record: Database, clock: StandingClock) -> None:
    assert look(record, clock) == []


def test_nothing_is_said_before_there_is_a_month_to_compare_with(database: Database, clock: StandingClock) -> None:
    fill(database, clock(), cases=60, days=14, seed=4)
    happen(database, clock, 12)
    assert look(database, clock) == []


def test_a_closed_alert_is_not_raised_again_for_the_same_thing(record: Database, clock: StandingClock) -> None:
    happen(record, clock, 9)
    (alert,) = look(record, clock)
    with record.write() as session:
        staff = session.scalars(select(Staff.id)).first() or 0
        warning.close(session, alert.id, "handled", "已抢修", staff, clock())
    clock.advance(hours=1)
    assert [one.state for one in look(record, clock)] == ["closed"]


def test_words_of_a_risk_raise_an_alert_with_fewer_cases_and_in_any_category(
    record: Database, clock: StandingClock
) -> None:
    happen(record, clock, 4, "临江区阳光花园的业主们准备拉横幅集体上访", "UT-TELE")
    clock.advance(minutes=20)
    alerts = look(record, clock)
    clock.advance(hours=1)
    alerts = look(record, clock)
    with record.read() as session:
        assert session.scalar(select(func.count()).select_from(RiskHit).where(RiskHit.risk == "collective")) == 4
    assert "collective" in {one.risk for one in alerts}


def test_a_slow_rise_is_found_at_night(record: Database, clock: StandingClock) -> None:
    with record.write() as session:
        newest = list(session.scalars(select(Case).order_by(Case.id.desc()).limit(120)))
        for place, case in enumerate(newest[10:55]):
            case.category_code, case.filed_at = "UT-GAS", clock() - timedelta(days=1 + place % 13, hours=place % 9)
    look(record, clock)
    clock.advance(hours=15)
    (rise,) = [one for one in look(record, clock) if (one.kind, one.category) == ("rise", "UT-GAS")]
    with record.read() as session:  # the cases that it counts are those that it shows
        assert rise.count == len(cases_of(session, rise, 1000))


def test_a_young_group_that_fits_no_category_is_a_new_topic_once(record: Database, clock: StandingClock) -> None:
    happen(record, clock, 6, "共享轮椅扫码收费乱", "GV-OTHER")
    with record.write() as session:
        ids = list(session.scalars(select(Case.id).order_by(Case.id.desc()).limit(6)))
        for place, case_id in enumerate(ids):  # told over some days
            session.get_one(Case, case_id).filed_at = clock() - timedelta(days=place * 2, hours=3)
        group = HotGroup(
            name="共享轮椅", size=6, total=b"", words={}, district="", community="",
            first_at=clock() - timedelta(days=10, hours=3), last_at=clock(),
        )  # fmt: skip
        session.add(group)
        session.flush()
        session.add_all(HotMember(case_id=one, group_id=group.id, likeness=1.0) for one in ids)
    for _ in range(3):
        clock.advance(days=1)
        alerts = look(record, clock)
    assert [one.kind for one in alerts if one.group_id].count("topic") == 1


def test_a_hot_issue_is_an_alert_when_it_is_as_unusual_as_few_were_in_the_last_weeks(
    database: Database, clock: StandingClock
) -> None:
    with database.write() as session:
        groups = [
            HotGroup(
                name=str(number), size=9, total=b"", words={}, district="", community="", first_at=clock(),
                last_at=clock(), sign_at=clock() - timedelta(days=number), sign_last_at=clock(), sign_p=10.0**-number,
            )
            for number in range(1, 57)
        ]  # fmt: skip
        groups += [HotGroup(name="", size=9, total=b"", words={}, district="", community="") for _ in range(2)]
        for group in groups[-2:]:
            group.first_at = group.last_at = clock()
        session.add_all(groups)
        session.flush()
        for group, p in ((groups[-2], 1e-30), (groups[-1], 1e-50)):
            grown = warning.Grown(group.id, clock() - timedelta(hours=3), clock(), 9, 0.1, p, "UT-WATER", "明湖区")
            warning.raise_of_group(session, grown, clock())
        alerts = list(session.scalars(select(Alert)))
        assert [one.group_id for one in alerts] == [groups[-1].id]
        assert groups[-2].sign_p == 1e-30 and groups[-2].sign_at == clock()  # and raises the bar for those that come


def test_whoever_gets_alerts_by_mail_is_written_to_once(record: Database, clock: StandingClock) -> None:
    with record.write() as session:
        session.add(Recipient(kind="alert", locale="zh", address="duty@example.com", added_at=clock()))
    happen(record, clock, 9)
    (alert,) = look(record, clock)
    clock.advance(hours=1)
    look(record, clock)
    with record.read() as session:
        (message,) = session.scalars(select(OutgoingMessage).where(OutgoingMessage.channel == "email"))
    assert (message.recipient, message.body["alert"]) == ("duty@example.com", alert.id)


def test_an_alert_is_acknowledged_assigned_and_closed_with_a_reason_and_then_stays(
    record: Database, clock: StandingClock
) -> None:
    happen(record, clock, 9)
    (alert,) = look(record, clock)
    with record.write() as session:
        people = warning.assignees(session)
        me, other = people[0].id, people[-1].id
        warning.acknowledge(session, alert.id, me, clock())
        warning.acknowledge(session, alert.id, me, clock())
        warning.assign(session, alert.id, other, me, clock())
        with pytest.raises(Refused):
            warning.close(session, alert.id, "", "", me, clock())
        warning.close(session, alert.id, "false", "计划停水", other, clock())
        with pytest.raises(Refused):
            warning.assign(session, alert.id, me, me, clock())
        found = warning.find(session, alert.id)
        assert [one.act for one in warning.history(session, found)] == ["acknowledged", "assigned", "closed"]
        assert (found.state, found.reason, found.assigned_to_id) == ("closed", "false", other)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("业主们准备拉横幅集体上访", ["collective"]),
        ("附近几栋楼的孩子都上吐下泻，怀疑食物中毒", ["epidemic"]),
        ("我的个人信息泄露了", []),
        ("没有发生坍塌，只是问一下", []),
        ("没有坍塌，但是工地上有爆炸声", ["safety"]),
        ("疫情期间交的钱什么时候退", []),
        ("The bridge is collapsing", ["safety"]),
        ("路灯不亮", []),
    ],
)
def test_words_of_a_risk_are_known_and_their_denials_too(text: str, found: list[str]) -> None:
    assert risks_in(text) == found
