"""The closed loop as people and the clock work it: on SQLite and PostgreSQL."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select

from backend.cases import service
from backend.cases.city_deadlines import deadlines, save_profile, set_day, unset_day
from backend.cases.deadlines import shipped_profiles
from backend.cases.models import Case, IdentityAccess, SupervisionOrder, Visit
from backend.cases.rules import ACTS, FINAL_STATES, PAUSE_REASONS, holder, replay
from backend.cases.service import Actor, Filing
from backend.cases.sweep import sweep
from backend.cases.visits import themes_of
from backend.clock import local
from backend.database import Database
from backend.directory.models import Agency, Staff
from backend.errors import Refused
from backend.knowledge.service import Knowledge
from backend.outbox import OutgoingMessage
from tests.conftest import StandingClock

LAMP = Filing(what="小区路灯不亮好几天了", place="明湖区软件园三号楼", contact="+8613800000000")
CONTENT = {"contacted": "yes", "solved": "yes", "satisfied": "yes"}
CROSS = {"contacted": "yes", "solved": "no", "satisfied": "no"}


class Loop:
    """A record with people who act on cases."""

    def __init__(self, database: Database, clock: StandingClock) -> None:
        self.database, self.clock = database, clock

    def file(self, filing: Filing = LAMP) -> str:
        with self.database.write() as session:
            return service.file_case(session, Knowledge(), filing, Actor("bot"), self.clock(), "shandong").number

    def act(self, number: str, act: str, role: str, of: str = "C-URBAN", **details: Any) -> str:
        with self.database.write() as session:
            actor = Actor(role, agency_code=of if role == "agency" else None)
            return service.act_on(session, number, act, actor, details, self.clock()).state

    def refused(self, number: str, act: str, role: str, of: str = "C-URBAN", **details: Any) -> str:
        with pytest.raises(Refused) as refusal:
            self.act(number, act, role, of, **details)
        return refusal.value.code

    def case(self, number: str) -> Case:
        with self.database.read() as session:
            return service.get_case(session, number)

    def sweep(self) -> None:
        sweep(self.database, self.clock, "k" * 32, "https://line.example")

    def texts(self) -> list[str]:
        with self.database.read() as session:
            rows = session.scalars(select(OutgoingMessage).order_by(OutgoingMessage.id))
            return [row.body["text"] for row in rows]

    def dispatched(self, filing: Filing = LAMP) -> str:
        number = self.file(filing)
        self.act(number, "accept", "operator")
        self.act(number, "dispatch", "dispatcher", agency="C-URBAN")
        return number

    def replied(self, filing: Filing = LAMP) -> str:
        number = self.dispatched(filing)
        self.act(number, "sign", "agency")
        self.act(number, "reply", "agency", note="已更换灯头")
        return number


@pytest.fixture
def loop(database: Database, clock: StandingClock) -> Loop:
    return Loop(database, clock)


def dispatch_to(loop: Loop, number: str, code: str, act: str = "dispatch", role: str = "dispatcher") -> None:
    with loop.database.write() as session:
        details = {"agency": code, "note": "职责在此"}
        service.act_on(session, number, act, Actor(role), details, loop.clock())


def send_back(loop: Loop, number: str, by: str, to: str) -> None:
    with loop.database.write() as session:
        details = {"agency": to, "note": "不属于我单位职责"}
        service.act_on(session, number, "send_back", Actor("agency", agency_code=by), details, loop.clock())


# --- telling the citizen ------------------------------------------------------------------------------------


def test_the_citizen_is_told_at_every_turn_in_the_transaction_of_the_act(loop: Loop) -> None:
    number = loop.replied()
    texts = loop.texts()
    assert [number in text for text in texts] == [True] * 3  # filed, dispatched, replied
    assert "已更换灯头" in texts[-1]


def test_a_refused_act_sends_nothing(loop: Loop) -> None:
    number = loop.file()
    assert loop.refused(number, "reply", "agency", of=loop.case(number).agency_code, note="x")
    assert len(loop.texts()) == 1


# --- first-asked responsibility -----------------------------------------------------------------------------


def test_the_first_agency_answers_for_the_case_until_another_has_signed(loop: Loop) -> None:
    number = loop.dispatched()
    send_back(loop, number, "C-URBAN", "C-WATER")
    assert (loop.case(number).state, loop.case(number).responsible_code) == ("disputed", "C-URBAN")
    dispatch_to(loop, number, "C-WATER")
    assert loop.case(number).responsible_code == "C-URBAN"
    loop.act(number, "sign", "agency", of="C-WATER")
    assert loop.case(number).responsible_code == "C-WATER"


def test_after_two_send_backs_the_supervisor_designates_and_that_is_final(loop: Loop) -> None:
    number = loop.dispatched()
    send_back(loop, number, "C-URBAN", "C-WATER")
    dispatch_to(loop, number, "C-WATER")
    send_back(loop, number, "C-WATER", "C-URBAN")
    with pytest.raises(Refused) as refusal:
        dispatch_to(loop, number, "C-URBAN")
    assert refusal.value.code == "supervisor_designates"
    dispatch_to(loop, number, "C-URBAN", "designate", "supervisor")
    with pytest.raises(Refused) as refusal:
        send_back(loop, number, "C-URBAN", "C-WATER")
    assert refusal.value.code == "designation_is_final"


def test_a_send_back_after_its_time_or_to_itself_is_refused(loop: Loop, clock: StandingClock) -> None:
    number = loop.dispatched()
    with pytest.raises(Refused) as refusal:
        send_back(loop, number, "C-URBAN", "C-URBAN")
    assert refusal.value.code == "another_agency_wanted"
    clock.advance(days=3)
    with pytest.raises(Refused) as refusal:
        send_back(loop, number, "C-URBAN", "C-WATER")
    assert refusal.value.code == "send_back_too_late"


def end(loop: Loop, code: str, successor: str | None) -> None:
    with loop.database.write() as session:
        agency = session.get_one(Agency, code)
        agency.valid_until, agency.successor_code = local(loop.clock()).date() - timedelta(days=1), successor


def test_what_is_dispatched_to_a_merged_agency_goes_to_the_one_it_was_merged_into(loop: Loop) -> None:
    number = loop.file()
    loop.act(number, "accept", "operator")
    end(loop, "C-WATER", "C-URBAN")
    loop.act(number, "dispatch", "dispatcher", agency="C-WATER")
    case = loop.case(number)
    assert (case.agency_code, case.responsible_code) == ("C-URBAN", "C-URBAN")
    assert case.history[-1].details == {"agency": "C-URBAN", "named": "C-WATER"}
    assert loop.refused(number, "send_back", "agency", agency="C-WATER", note="x") == "another_agency_wanted"


def test_nothing_is_dispatched_to_an_agency_that_ended_without_a_successor(loop: Loop) -> None:
    number = loop.file()
    loop.act(number, "accept", "operator")
    end(loop, "C-WATER", None)
    assert loop.refused(number, "dispatch", "dispatcher", agency="C-WATER") == "agency_ended"
    assert loop.case(number).state == "accepted"


def test_a_co_handler_helps_and_can_do_no_more(loop: Loop) -> None:
    number = loop.dispatched()
    loop.act(number, "sign", "agency")
    dispatch_to(loop, number, "C-WATER", "co_handle")
    assert loop.act(number, "contribute", "agency", of="C-WATER", note="已关阀") == "signed"
    assert loop.refused(number, "reply", "agency", of="C-WATER", note="好了") == "act_not_yours"
    assert loop.refused(number, "contribute", "agency", of="C-HOUSING", note="x") == "not_allowed"


# --- deadlines ----------------------------------------------------------------------------------------------


def test_an_extension_is_asked_for_once_and_in_time_and_the_citizen_is_told_why(
    loop: Loop, clock: StandingClock
) -> None:
    number = loop.dispatched()
    loop.act(number, "sign", "agency")
    before = loop.case(number).due_at
    assert loop.refused(number, "ask_extension", "agency", note="等配件", days="99") == "extension_too_long"
    loop.act(number, "ask_extension", "agency", note="等配件", days="3")
    assert loop.refused(number, "ask_extension", "agency", note="再等", days="3") == "extended_once"
    loop.act(number, "extend", "dispatcher", note="等配件", days="3")
    assert (
        local(loop.case(number).due_at).date().isoformat() == "2026-12-03"
    )  # three working days after Monday the 30th
    assert loop.case(number).due_at > before
    assert "等配件" in loop.texts()[-1]


def test_a_clock_that_is_stopped_for_a_listed_reason_goes_on_where_it_was(loop: Loop, clock: StandingClock) -> None:
    number = loop.dispatched()
    loop.act(number, "sign", "agency")
    assert loop.refused(number, "pause", "dispatcher", reason="忙", note="x") == "code_unknown"
    loop.act(number, "pause", "dispatcher", reason=next(iter(PAUSE_REASONS)), note="等市民到场")
    clock.advance(days=2)
    loop.act(number, "resume", "agency")
    assert local(loop.case(number).due_at).date().isoformat() == "2026-12-02"  # two working days later than the 30th


def test_sorting_a_case_changes_its_deadline_and_nothing_that_was_told_before(loop: Loop) -> None:
    number = loop.file()
    loop.act(number, "sort", "dispatcher", category="UT", kind="report", urgency="urgent")
    case = loop.case(number)
    assert (case.due_at - case.filed_at).total_seconds() == 24 * 3600
    assert loop.refused(number, "sort", "dispatcher", category="UT", kind="poem", urgency="urgent") == "code_unknown"


def test_a_job_that_was_down_for_days_changes_no_deadline(loop: Loop, clock: StandingClock) -> None:
    number = loop.dispatched()
    loop.act(number, "sign", "agency")
    due = loop.case(number).due_at
    clock.advance(days=6, hours=12)
    loop.sweep()
    assert (loop.case(number).due_at, loop.case(number).mark) == (due, "red")


def test_marks_are_given_once_each_and_long_overdue_is_supervised(loop: Loop, clock: StandingClock) -> None:
    number = loop.dispatched()
    loop.act(number, "sign", "agency")
    for _ in range(40):
        clock.advance(hours=6)
        loop.sweep()
        loop.sweep()
        if loop.case(number).state == "supervised":
            break
    marks = [event.details["mark"] for event in loop.case(number).history if event.act == "warn"]
    assert marks[:3] == ["yellow", "red", "overdue"]
    with loop.database.read() as session:
        [order] = session.scalars(select(SupervisionOrder))
        assert (order.agency_code, order.ordered_by_id, order.closed_at) == ("C-URBAN", None, None)


AT_C_URBAN, BOSS, ABOVE = "+8613900000001", "+8613900000002", "+8613900000003"


def with_telephones(loop: Loop) -> None:
    """Somebody at the agency, somebody at the one above it, and a supervisor who can be told."""
    with loop.database.write() as session:
        session.get_one(Agency, "C-URBAN").parent_code = "C-HR"
        for staff in session.scalars(select(Staff)):
            staff.telephone = {"agency1": AT_C_URBAN, "supervisor1": BOSS}.get(staff.username)
            staff.agency_code = "C-URBAN" if staff.username == "agency1" else staff.agency_code
        above = Staff(username="above", name="上级", password_hash="x", role="agency", agency_code="C-HR")
        above.telephone = ABOVE
        session.add(above)


def told(loop: Loop) -> list[tuple[str, str]]:
    """Who of the staff was sent what, in order: the number, and the word by which the message is known."""
    with loop.database.read() as session:
        sent = session.scalars(select(OutgoingMessage).order_by(OutgoingMessage.id))
        words = {"过半": "yellow", "即将到期": "red", "已超期": "overdue", "已列入督办": "supervised"}
        found = [(row.recipient, mark, row.body["text"]) for row in sent for mark in words.items()]
    return [(to, mark) for to, (word, mark), text in found if f"{word}" in text and to != LAMP.contact]


@pytest.mark.parametrize("jurisdiction", shipped_profiles())
def test_the_chain_tells_each_of_its_people_once_at_each_step_and_goes_up(
    loop: Loop, clock: StandingClock, jurisdiction: str
) -> None:
    with_telephones(loop)
    chain = shipped_profiles()[jurisdiction].warnings
    filing = Filing(what="路灯不亮", urgency="urgent")
    with loop.database.write() as session:
        number = service.file_case(session, Knowledge(), filing, Actor("bot"), clock(), jurisdiction).number
    loop.act(number, "accept", "operator")
    loop.act(number, "dispatch", "dispatcher", agency="C-URBAN")
    loop.act(number, "sign", "agency")
    since, due = clock(), loop.case(number).due_at
    numbers = {"handler": {AT_C_URBAN}, "holder": {AT_C_URBAN}, "above": {ABOVE}, "supervisor": {BOSS}}
    expected = [
        (one, step.mark) for step in chain for one in sorted(set().union(*(numbers[who] for who in step.tells)))
    ]
    for step in chain:
        clock.now = since + (due - since) * step.at + timedelta(minutes=1)
        loop.sweep()
        loop.sweep()
    assert sorted(told(loop)) == sorted(expected)
    assert {to for to, _ in told(loop)} == {AT_C_URBAN, ABOVE, BOSS}


def test_a_job_that_was_down_tells_late_ones_once_and_changes_no_deadline(loop: Loop, clock: StandingClock) -> None:
    with_telephones(loop)
    number = loop.dispatched(Filing(what="路灯不亮", urgency="urgent"))
    loop.act(number, "sign", "agency")
    before = loop.case(number)
    clock.advance(hours=25)
    loop.sweep()
    loop.sweep()
    after = loop.case(number)
    assert told(loop) == [(AT_C_URBAN, "overdue"), (ABOVE, "overdue")]
    assert (after.due_at, after.step_due_at, after.step_since) == (before.due_at, before.step_due_at, before.step_since)


def test_who_signed_is_told_first_and_whoever_has_left_never(loop: Loop, clock: StandingClock) -> None:
    with_telephones(loop)
    number = loop.dispatched(Filing(what="路灯不亮", urgency="urgent"))
    with loop.database.write() as session:
        colleague = Staff(username="agency9", name="同事", password_hash="x", role="agency", agency_code="C-URBAN")
        colleague.telephone = "+8613900000009"
        session.add(colleague)
        session.flush()
        service.act_on(session, number, "sign", Actor("agency", colleague), {}, clock())
    clock.advance(hours=13)
    loop.sweep()
    assert told(loop) == [("+8613900000009", "yellow")]
    with loop.database.write() as session:
        session.query(Staff).filter_by(username="agency9").one().left_at = clock()
    clock.advance(hours=7)
    loop.sweep()
    assert told(loop)[1:] == [(AT_C_URBAN, "red")]


def test_the_city_edits_deadlines_and_days_and_cases_keep_what_they_were_promised(
    loop: Loop, clock: StandingClock
) -> None:
    number = loop.file()
    promised = loop.case(number).due_at
    content = shipped_profiles()["shandong"].model_dump(mode="json")
    with loop.database.write() as session:
        staff = session.query(Staff).filter_by(username="supervisor1").one()
        save_profile(session, "shandong", content | {"reply": [{"hours": 5}]}, staff, clock())
        with pytest.raises(Refused):
            save_profile(session, "shandong", content | {"reply": []}, staff, clock())
        set_day(session, local(clock()).date(), False, "放假", staff)
    other = loop.file(Filing(what="井盖坏了"))
    assert (loop.case(other).due_at - clock()).total_seconds() == 5 * 3600
    assert loop.case(number).due_at == promised
    with loop.database.write() as session:
        assert deadlines(session, "shandong").own_days[local(clock()).date()] is False
        unset_day(session, local(clock()).date())
        assert local(clock()).date() not in deadlines(session, "shandong").own_days


# --- before a case ------------------------------------------------------------------------------------------


def test_the_same_citizens_same_matter_is_joined_and_another_citizens_is_not(loop: Loop) -> None:
    number = loop.file()
    again = Filing(what="小区路灯还是不亮好几天了", place="软件园三号楼", contact=LAMP.contact, key="again")
    assert loop.file(again) == loop.file(again) == number
    case = loop.case(number)
    assert (case.repeats, [event.act for event in case.history]) == (1, ["file", "add"])
    assert loop.file(Filing(what=LAMP.what, place=LAMP.place, contact="+8613800000001")) != number
    assert loop.file(Filing(what=LAMP.what, place=LAMP.place)) != number
    assert loop.file(Filing(what="小区自来水发黄", place=LAMP.place, contact=LAMP.contact)) != number


def test_only_cases_of_the_same_citizen_are_merged(loop: Loop) -> None:
    first, mine = loop.file(), loop.file(Filing(what="园区夜里太黑", contact=LAMP.contact))
    theirs = loop.file(Filing(what="园区夜里太黑", contact="+8613800000001"))
    assert loop.refused(theirs, "merge", "dispatcher", into=first) == "not_the_same_citizen"
    assert loop.act(mine, "merge", "dispatcher", into=first) == "merged"
    assert (loop.case(mine).merged_into_id, loop.case(first).repeats) == (loop.case(first).id, 1)
    assert loop.refused(first, "merge", "dispatcher", into=mine) == "merge_into_open_case"


def test_what_is_for_a_court_or_the_police_is_told_its_route(loop: Loop) -> None:
    number = loop.file()
    assert loop.refused(number, "transfer", "operator", route="elsewhere") == "code_unknown"
    assert loop.act(number, "transfer", "operator", route="court") == "transferred"
    assert "12368" in loop.texts()[-1]


# --- return visit -------------------------------------------------------------------------------------------


def test_answers_are_kept_graded_and_their_words_sorted(loop: Loop) -> None:
    number = loop.replied()
    loop.act(number, "visit", "citizen", **CONTENT, grade="2", words="态度不好，拖了好几天")
    with loop.database.read() as session:
        [visit] = session.scalars(select(Visit))
        assert (visit.agency_code, visit.grade, visit.satisfied) == ("C-URBAN", 2, False)
        assert visit.themes == ["slow", "attitude"]
    assert loop.refused(loop.file(Filing(what="x")), "visit", "citizen", **CONTENT, grade="9") == "bad_request"


@pytest.mark.parametrize(
    ("words", "themes"),
    [
        ("谢谢，很快就修好了", ["thanks"]),
        ("不满意", []),
        ("还是不亮，没人联系我", ["not_done", "no_contact"]),
        ("", []),
    ],
)
def test_free_words_are_sorted_by_what_they_are_about(words: str, themes: list[str]) -> None:
    assert themes_of(words) == themes


def test_what_is_solved_by_the_citizens_word_closes_by_itself(loop: Loop) -> None:
    number = loop.replied()
    loop.sweep()
    assert loop.case(number).state == "replied"
    loop.act(number, "visit", "line", **CONTENT)
    loop.sweep()
    assert loop.case(number).state == "closed"


def test_who_can_not_be_reached_gets_a_link_then_silence_and_is_never_counted_as_satisfied(
    loop: Loop, clock: StandingClock
) -> None:
    number = loop.replied()
    for _ in range(3):
        with loop.database.read() as session:
            assert [case.number for case in service.awaiting_visit(session)] == [number]
        loop.act(number, "not_reached", "line", why="no-answer")
        loop.sweep()
    with loop.database.read() as session:
        assert service.awaiting_visit(session) == []
    assert [text for text in loop.texts() if f"https://line.example/c/{number}." in text] == loop.texts()[-1:]
    clock.advance(days=6)
    loop.sweep()
    assert loop.case(number).state == "replied"
    clock.advance(days=2)
    loop.sweep()
    assert loop.case(number).state == "closed"
    with loop.database.read() as session:
        assert not session.scalars(select(Visit)).all()


# --- redo and supervision -----------------------------------------------------------------------------------


def test_what_is_not_solved_is_redone_by_the_same_agency_in_less_time_then_supervised(
    loop: Loop, clock: StandingClock
) -> None:
    number = loop.replied()
    loop.act(number, "visit", "line", **CROSS)
    assert loop.refused(number, "close", "supervisor") == "not_solved_yet"
    assert loop.refused(number, "uphold", "reviewer", note="已尽力") == "not_solved_by_word"
    loop.act(number, "redo", "reviewer", note="灯仍不亮")
    case = loop.case(number)
    assert (case.state, case.agency_code) == ("redo", "C-URBAN")
    assert local(case.due_at).date().isoformat() == "2026-11-26"  # three working days instead of five
    loop.act(number, "reply", "agency", note="又修了")
    loop.act(number, "visit", "operator", **CROSS)
    assert loop.refused(number, "redo", "reviewer", note="还不行") == "redone_once"
    loop.act(number, "supervise", "reviewer", note="两次未解决")
    loop.act(number, "reply", "agency", note="整条线路已更换")
    loop.act(number, "visit", "citizen", **CONTENT)
    loop.act(number, "close", "operator")
    with loop.database.read() as session:
        [order] = session.scalars(select(SupervisionOrder))
        assert order.reply == "整条线路已更换"
        assert order.closed_at is not None


def test_supervision_ends_against_the_citizens_word_only_with_a_supervisors_reason(loop: Loop) -> None:
    number = loop.dispatched()
    loop.act(number, "supervise", "supervisor", note="市领导交办")
    assert loop.refused(number, "conclude", "supervisor", note="算了") == "citizen_not_asked"
    loop.act(number, "reply", "agency", note="依规不能办")
    loop.act(number, "visit", "line", **CROSS)
    assert loop.refused(number, "conclude", "reviewer", note="依规不能办") == "act_not_yours"
    assert loop.act(number, "conclude", "supervisor", note="依规不能办，已当面说明") == "closed"


# --- who it was ---------------------------------------------------------------------------------------------


def test_no_agency_learns_who_a_confidential_citizen_is_and_every_look_is_on_record(
    loop: Loop, clock: StandingClock
) -> None:
    number = loop.dispatched(Filing(what="举报排污", contact="+8613800000000", confidential=True))
    with loop.database.write() as session:
        case = service.get_case(session, number)
        agency, boss = (session.query(Staff).filter_by(username=name).one() for name in ("agency1", "supervisor1"))
        for staff, reason, code in ((agency, "回电", "identity_protected"), (boss, "", "reason_missing")):
            with pytest.raises(Refused) as refusal:
                service.look_at_identity(session, case, staff, reason, clock())
            assert refusal.value.code == code
        assert service.look_at_identity(session, case, boss, "核实", clock()) == "+8613800000000"
    with loop.database.read() as session:
        assert [row.reason for row in session.scalars(select(IdentityAccess))] == ["核实"]


# --- any acts by anybody ------------------------------------------------------------------------------------

AGENCIES = ("C-URBAN", "C-WATER", "C-HR")
ROLES = ("citizen", "bot", "line", "operator", "dispatcher", "reviewer", "supervisor", "agency")


class AnyActsByAnybody(RuleBasedStateMachine):
    """Whatever people and the clock do, in any order: a case has one holder and a deadline, or has ended; and its history
    tells its state."""

    loop: Loop

    @initialize(contact=st.sampled_from([None, "+8613800000000"]))
    def file(self, contact: str | None) -> None:
        self.number = self.loop.file(Filing(what="路灯不亮", contact=contact, key=str(self.loop.clock())))

    @rule(
        act=st.sampled_from(sorted(ACTS)),
        role=st.sampled_from(ROLES),
        mine=st.sampled_from(AGENCIES),
        other=st.sampled_from(AGENCIES),
        content=st.booleans(),
        hours=st.integers(0, 60),
    )
    def act(self, act: str, role: str, mine: str, other: str, content: bool, hours: int) -> None:
        self.loop.clock.advance(hours=hours)
        details = {"agency": other, "note": "说明", "days": "2", "reason": "appraisal", "route": "court"}
        details |= {"category": "UT", "kind": "report", "urgency": "urgent", "into": self.number, "mark": "red"}
        details |= CONTENT if content else CROSS
        actor = Actor(role, agency_code=mine if role == "agency" else None)
        try:
            with self.loop.database.write() as session:
                service.act_on(session, self.number, act, actor, details, self.loop.clock())
        except Refused:
            pass

    @rule(hours=st.integers(0, 200))
    def time_passes(self, hours: int) -> None:
        self.loop.clock.advance(hours=hours)
        self.loop.sweep()

    @invariant()
    def nothing_is_lost(self) -> None:
        with self.loop.database.read() as session:
            case = service.get_case(session, self.number)
            assert replay(tuple(event.act for event in case.history[1:])) == case.state
            assert [event.number for event in case.history] == list(range(1, len(case.history) + 1))
            ended = case.state in FINAL_STATES
            assert (holder(case.state, case.send_backs) is None) == ended
            assert (case.step_due_at is None) == ended
            if holder(case.state, case.send_backs) == "agency":
                assert case.responsible_code is not None
            assert sum(order.closed_at is None for order in case.orders) <= (0 if ended else 1)
            if case.state == "closed":
                assert case.visits or any(event.act == "close_unanswered" for event in case.history)


def test_any_acts_by_anybody_lose_no_case(sqlite_url: str) -> None:
    database = Database(sqlite_url)

    class Machine(AnyActsByAnybody):
        def __init__(self) -> None:
            super().__init__()
            self.loop = Loop(database, StandingClock())

    Machine.TestCase.settings = settings(
        max_examples=12, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
    )
    Machine.TestCase("runTest").runTest()
    database.close()
