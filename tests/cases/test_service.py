"""Filing, acting, looking up: on SQLite and PostgreSQL."""

import itertools
import threading
from dataclasses import replace
from threading import Thread

import pytest
from sqlalchemy import event

from backend.cases import service
from backend.cases.lookup import TRIES, forget_old, look_up
from backend.cases.models import Case, LookupTries
from backend.cases.service import Actor, Filing
from backend.database import Database
from backend.directory.models import Staff
from backend.errors import Refused
from backend.knowledge.service import Knowledge
from tests.conftest import StandingClock

CALLERS = itertools.count(13800010000)
LAMP = Filing(what="小区路灯不亮好几天了", place="明湖区软件园三号楼", since="三天了", contact="+8613800000000")


def file(database: Database, clock: StandingClock, filing: Filing = LAMP) -> str:
    with database.write() as session:
        return service.file_case(session, Knowledge(), filing, Actor("bot"), clock(), "shandong").number


def somebodys_lamp() -> Filing:
    """The same report by somebody else."""
    return replace(LAMP, contact=f"+86{next(CALLERS)}")


def act(database: Database, clock: StandingClock, number: str, name: str, role: str, **details: str) -> str:
    with database.write() as session:
        staff = None
        if role == "agency":
            staff = Staff(username="clerk", agency_code=session.query(Case).filter_by(number=number).one().agency_code)
        return service.act_on(session, number, name, Actor(role, staff), details, clock()).state


def test_a_filed_case_has_number_history_proposal_and_deadline(database: Database, clock: StandingClock) -> None:
    number = file(database, clock)
    with database.read() as session:
        case = service.get_case(session, number)
        assert case.state == "filed"
        assert [event.act for event in case.history] == ["file"]
        assert case.category_code == "CM-LIGHT"
        assert case.agency.name == "明湖区城市管理局"
        assert case.due_at > clock()


def test_numbers_follow_one_another(database: Database, clock: StandingClock) -> None:
    numbers = [file(database, clock, somebodys_lamp()) for _ in range(3)]
    assert [number[:9] for number in numbers] == ["26000-000", "26000-000", "26000-000"]
    assert [number[9] for number in numbers] == ["1", "2", "3"]


def test_the_same_filing_twice_is_one_case(database: Database, clock: StandingClock) -> None:
    once = Filing(what="井盖坏了", key="conversation:1")
    assert file(database, clock, once) == file(database, clock, once)
    with database.read() as session:
        assert session.query(Case).count() == 1


def test_filings_at_the_same_moment_get_different_numbers(database: Database, clock: StandingClock) -> None:
    numbers: list[str] = []
    threads = [
        threading.Thread(target=lambda: numbers.append(file(database, clock, somebodys_lamp()))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(numbers)) == 8


def test_a_case_without_a_matter_is_refused(database: Database, clock: StandingClock) -> None:
    with pytest.raises(Refused) as refusal:
        file(database, clock, Filing(what="  "))
    assert refusal.value.code == "what_missing"


def test_a_case_goes_from_filed_to_closed_through_every_desk(database: Database, clock: StandingClock) -> None:
    number = file(database, clock)
    assert act(database, clock, number, "accept", "operator") == "accepted"
    assert act(database, clock, number, "dispatch", "dispatcher", agency="C-URBAN") == "dispatched"
    assert act(database, clock, number, "sign", "agency") == "signed"
    assert act(database, clock, number, "reply", "agency", note="已更换灯头") == "replied"
    answers = {"contacted": "yes", "solved": "yes", "satisfied": "yes"}
    assert act(database, clock, number, "visit", "operator", **answers) == "visited"
    assert act(database, clock, number, "close", "operator") == "closed"
    with database.read() as session:
        history = service.get_case(session, number).history
        assert [event.to_state for event in history] == [
            "filed", "accepted", "dispatched", "signed", "replied", "visited", "closed",
        ]  # fmt: skip
        assert all(one.to_state == two.from_state for one, two in itertools.pairwise(history))


def test_a_refused_act_changes_nothing(database: Database, clock: StandingClock) -> None:
    number = file(database, clock)
    with pytest.raises(Refused):
        act(database, clock, number, "close", "supervisor")
    with database.read() as session:
        case = service.get_case(session, number)
        assert (case.state, len(case.history)) == ("filed", 1)


def test_an_agency_can_not_touch_another_agencys_case(database: Database, clock: StandingClock) -> None:
    number = file(database, clock)
    act(database, clock, number, "accept", "operator")
    act(database, clock, number, "dispatch", "dispatcher", agency="C-URBAN")
    with pytest.raises(Refused) as refusal, database.write() as session:
        stranger = Staff(username="other", agency_code="C-WATER")
        service.act_on(session, number, "sign", Actor("agency", stranger), {}, clock())
    assert refusal.value.status == 403


def test_dispatching_to_an_agency_that_does_not_exist_is_refused(database: Database, clock: StandingClock) -> None:
    number = file(database, clock)
    act(database, clock, number, "accept", "operator")
    with pytest.raises(Refused) as refusal:
        act(database, clock, number, "dispatch", "dispatcher", agency="C-NOWHERE")
    assert refusal.value.code == "unknown_agency"


def test_two_people_acting_at_once_get_one_success_and_one_refusal(database: Database, clock: StandingClock) -> None:
    number = file(database, clock)
    outcomes: list[str] = []
    together = threading.Barrier(2)

    def accept() -> None:
        together.wait()
        try:
            outcomes.append(act(database, clock, number, "accept", "operator"))
        except Refused as refusal:
            outcomes.append(refusal.code)

    threads = [threading.Thread(target=accept) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("accepted") == 1
    assert set(outcomes) - {"accepted"} <= {"act_not_possible", "case_changed"}
    with database.read() as session:
        assert len(service.get_case(session, number).history) == 2


def found(database: Database, number: str, digits: str, clock: StandingClock) -> str:
    return look_up(database, number, digits, clock(), lambda case: case.number)


def test_a_case_is_found_by_number_and_last_four_digits(database: Database, clock: StandingClock) -> None:
    number = file(database, clock)
    assert found(database, number.replace("-", " "), "0000", clock) == number


def test_guessing_is_stopped_for_a_case_and_for_a_number_that_no_case_has_and_starts_again_after_an_hour(
    database: Database, clock: StandingClock
) -> None:
    number, nobodys = file(database, clock), "26000-00023"
    for tried in (number, nobodys):
        told = []
        for guess in range(1, 8):
            with pytest.raises(Refused) as refusal:
                found(database, tried, f"{guess:04d}", clock)
            told.append((refusal.value.code, refusal.value.status))
        assert told == [("case_not_found", 404)] * TRIES + [("too_many_lookups", 429)] * 2
        with pytest.raises(Refused) as refusal:
            found(database, tried, "0000", clock)
        assert refusal.value.status == 429
    clock.advance(hours=1, seconds=1)
    assert found(database, number, "0000", clock) == number
    forget_old(database, clock)
    with database.read() as session:
        assert session.query(LookupTries).count() == 0


def test_a_wrong_number_is_as_much_work_as_wrong_digits(database: Database, clock: StandingClock) -> None:
    """What a stranger could tell apart by the time it takes."""
    number, sent = file(database, clock), []
    event.listen(database.engine, "before_cursor_execute", lambda *told: sent.append(told[2]))
    counts = []
    for tried in (number, "26000-00023"):
        sent.clear()
        with pytest.raises(Refused):
            found(database, tried, "9999", clock)
        counts.append(list(sent))
    assert counts[0] == counts[1] != []


def test_guesses_at_once_are_no_more_tries_than_one_after_another(database: Database, clock: StandingClock) -> None:
    number, statuses = file(database, clock), []

    def guess(digits: str) -> None:
        try:
            found(database, number, digits, clock)
        except Refused as refusal:
            statuses.append(refusal.status)

    threads = [Thread(target=guess, args=(f"{place:04d}",)) for place in range(1, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [404] * TRIES + [429] * (12 - TRIES)


def test_an_anonymous_case_can_not_be_looked_up_with_any_digits(database: Database, clock: StandingClock) -> None:
    number = file(database, clock, Filing(what="举报占道经营"))
    for digits in ("", "none", "0000"):
        with pytest.raises(Refused):
            found(database, number, digits, clock)


@pytest.mark.parametrize(
    ("said", "kept"),
    [("13800000000", "+8613800000000"), ("+86 138 0000 0000", "+8613800000000"), ("anonymous", None), ("", None)],
)
def test_a_contact_is_kept_in_one_form(said: str, kept: str | None) -> None:
    assert service.contact_number(said) == kept


@pytest.mark.parametrize("said", ["12", "abc", "999999999999999999"])
def test_a_contact_that_is_no_telephone_is_refused(said: str) -> None:
    with pytest.raises(Refused):
        service.contact_number(said)
