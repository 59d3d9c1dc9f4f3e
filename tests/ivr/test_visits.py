"""Return visits by telephone: whom the line rings and when, what it asks, and what becomes of the case; on both databases,
through the signed webhooks."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from xml.etree import ElementTree

import httpx
import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from twilio.request_validator import RequestValidator

from backend.app import create_app
from backend.cases import service as cases
from backend.cases.models import Case
from backend.cases.service import Actor, Filing
from backend.clock import in_hours
from backend.directory.models import Staff
from backend.line_settings import CitySetting
from backend.parts import Parts
from ivr.flow import Heard
from ivr.models import CallerWish, VisitCall
from ivr.provider import Provider
from ivr.visits import NEWS_WITHIN, Caller, meaning_of
from tests.conftest import StandingClock, make_settings
from tests.ivr.service import LINE, TelephoneService

CITIZEN = "+8613800138000"
BASE = "http://127.0.0.1:8000"


class Visits:
    """A line with a telephone service behind it, and a clock to move."""

    def __init__(self, app: Flask, clock: StandingClock) -> None:
        self.parts: Parts = app.extensions["parts"]
        self.clock, self.service, self.slept = clock, TelephoneService(), list[float]()
        self.web = httpx.Client(transport=httpx.WSGITransport(app), base_url=BASE)
        http = httpx.Client(transport=httpx.WSGITransport(self.service))
        self.caller = Caller(self.parts, Provider(self.parts.settings, http), self.slept.append)

    def answered_case(self, contact: str | None = CITIZEN, what: str = "暖气不热") -> str:
        """A case that its agency has answered; its number."""
        with self.parts.database.write() as session:
            now, settings = self.clock(), self.parts.settings
            filing = Filing(what=what, contact=contact)
            case = cases.file_case(session, self.parts.knowledge, filing, Actor("line"), now, settings.jurisdiction)
            operator = session.scalars(select(Staff).where(Staff.username == "operator1")).one()
            for act, details in (("accept", {}), ("answer", {"note": "已修好。"})):
                case = cases.act_on(session, case.number, act, Actor("operator", operator), details, now)
            return case.number

    def work(self) -> None:
        """One run of the worker's job."""
        self.caller.work()

    def rung(self) -> list[str]:
        """Whom the service was asked to ring, in turn."""
        return [form["To"][0] for form in self.service.posts("/Calls.json")]

    def visit(self) -> VisitCall:
        """The first of all."""
        with self.parts.database.read() as session:
            return session.scalars(select(VisitCall).order_by(VisitCall.id).limit(1)).one()

    def case(self, number: str) -> Case:
        with self.parts.database.read() as session:
            return cases.get_case(session, number)

    def acts(self, number: str) -> list[str]:
        return [event.act for event in self.case(number).history]

    def post(self, path: str, sid: str | None = None, **form: str) -> str:
        """A webhook of the service for the newest call; returns what came back."""
        form = {"CallSid": sid or self.visit().sid or "CA0", "From": LINE, "To": CITIZEN, **form}
        signature = RequestValidator(self.parts.settings.twilio_auth_token).compute_signature(BASE + path, form)
        answer = self.web.post(path, data=form, headers={"X-Twilio-Signature": signature})
        assert answer.status_code in (200, 204)
        return answer.text

    def pick_up(self, by: str = "human") -> str:
        """The citizen, or a machine, answers."""
        return self.post(f"/ivr/visit?visit={self.visit().id}", AnsweredBy=by)

    def hang_up(self, status: str = "completed", sid: str | None = None) -> None:
        self.post(f"/ivr/visit-status?visit={self.visit().id}", sid, CallStatus=status)

    def says(self, twiml: str, **heard: str) -> str:
        """Answer the question of `twiml`; returns what comes next."""
        gather = ElementTree.fromstring(twiml).find("Gather")
        assert gather is not None, twiml
        return self.post(gather.attrib["action"].removeprefix(BASE), **heard)


@pytest.fixture
def visits(database_url: str, clock: StandingClock) -> Iterator[Visits]:
    service = TelephoneService()
    settings = make_settings(database_url, twilio_account_sid=service.account, line_number=LINE)
    line = Visits(create_app(settings, clock=clock), clock)
    yield line
    line.parts.database.close()


def test_a_citizen_whose_case_is_answered_is_rung_and_three_answers_go_onto_the_case(visits: Visits) -> None:
    number = visits.answered_case()
    visits.work()
    assert visits.rung() == [CITIZEN]
    asked = visits.pick_up()
    assert "11月23日" in asked and "暖气" not in asked  # whoever answers may be somebody else
    asked = visits.says(asked, Digits="1")
    asked = visits.says(asked, SpeechResult="嗯，解决了", Confidence="0.9")
    assert "<Hangup" in visits.says(asked, SpeechResult="很满意", Confidence="0.9")
    visits.hang_up()
    case = visits.case(number)
    assert case.state == "visited"
    assert case.history[-1].role == "line"
    assert {key: case.history[-1].details[key] for key in ("contacted", "solved", "satisfied")} == {
        "contacted": "yes",
        "solved": "yes",
        "satisfied": "yes",
    }
    visits.clock.advance(days=3)
    visits.work()
    assert len(visits.rung()) == 1


def test_who_is_not_content_is_asked_why_and_their_words_are_kept(visits: Visits) -> None:
    number = visits.answered_case()
    visits.work()
    asked = visits.says(visits.says(visits.pick_up(), Digits="1"), Digits="2")
    asked = visits.says(asked, SpeechResult="不太满意", Confidence="0.8")
    assert "<Hangup" in visits.says(asked, SpeechResult="还是不热", Confidence="0.8")
    assert visits.case(number).history[-1].details["words"] == "还是不热"


def test_three_answers_count_although_the_citizen_hangs_up_instead_of_saying_why(visits: Visits) -> None:
    number = visits.answered_case()
    visits.work()
    asked = visits.says(visits.says(visits.says(visits.pick_up(), Digits="1"), Digits="2"), Digits="2")
    assert "<Gather" in asked
    assert visits.case(number).state == "replied"
    visits.hang_up()
    assert visits.case(number).state == "visited"


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed", "canceled", "completed"])
def test_who_is_not_reached_is_tried_again_after_growing_gaps_until_the_case_says_enough(
    visits: Visits, status: str
) -> None:
    number = visits.answered_case()
    tried: list[datetime] = []
    for _ in range(200):
        visits.work()
        if len(visits.rung()) > len(tried):
            tried.append(visits.clock())
            visits.hang_up(status)
        visits.clock.advance(hours=1)
    gaps = [later - earlier for earlier, later in pairwise(tried)]
    assert len(tried) == 3 and gaps == sorted(gaps) and gaps[0] >= timedelta(hours=2)
    assert visits.acts(number).count("not_reached") == 3


def test_a_city_says_after_how_long_who_was_not_reached_is_tried_again(visits: Visits) -> None:
    visits.answered_case()
    with visits.parts.database.write() as session:
        session.add(CitySetting(name="first_gap", value="30"))
    visits.parts.line_settings.look_again()
    visits.work()
    visits.hang_up("no-answer")
    visits.clock.advance(hours=25)  # the same hour of the next day: the delivered gap is long over
    visits.work()
    assert len(visits.rung()) == 1
    visits.clock.advance(hours=23)
    visits.work()
    assert len(visits.rung()) == 2


def test_a_machine_hears_nothing_and_counts_as_nobody(visits: Visits) -> None:
    number = visits.answered_case()
    visits.work()
    heard = visits.pick_up("machine_start")
    assert "<Say" not in heard and "<Hangup" in heard
    assert visits.acts(number)[-1] == "not_reached"


def test_nobody_is_rung_at_night(visits: Visits) -> None:
    visits.answered_case()
    visits.clock.advance(hours=8, minutes=1)  # 20:01 in China
    visits.work()
    assert visits.rung() == []
    visits.clock.advance(hours=13)
    visits.work()
    assert visits.rung() == [CITIZEN]


def test_who_wants_no_such_calls_is_never_rung_again(visits: Visits) -> None:
    number = visits.answered_case()
    visits.work()
    assert "<Hangup" in visits.says(visits.pick_up(), Digits="9")
    visits.hang_up()
    with visits.parts.database.read() as session:
        assert CITIZEN not in {wish.number_hash for wish in session.scalars(select(CallerWish))}
    visits.answered_case(what="小区门口路灯不亮")
    for _ in range(6):
        visits.clock.advance(days=1)
        visits.work()
    assert len(visits.rung()) == 1
    assert visits.acts(number).count("not_reached") == 3  # the case goes the way of one that nobody answers


def test_calls_are_begun_no_faster_than_the_account_may(visits: Visits) -> None:
    for last in range(3):
        visits.answered_case(contact=f"+861380013800{last}")
    visits.work()
    assert len(visits.rung()) == 3
    assert visits.slept == [1.0, 1.0]


def test_when_the_service_asks_for_patience_nothing_is_counted_and_all_wait(visits: Visits) -> None:
    number = visits.answered_case()
    visits.answered_case(contact="+8613800138001")
    visits.service.broken = (429, 20429)
    visits.work()
    visits.service.broken = None
    assert "not_reached" not in visits.acts(number)
    visits.clock.advance(minutes=5)
    visits.work()
    assert len(visits.rung()) == 2


def test_a_number_that_the_service_refuses_is_a_try(visits: Visits) -> None:
    visits.service.unknown.add(CITIZEN)
    number = visits.answered_case()
    visits.work()
    assert visits.acts(number)[-1] == "not_reached"


def test_a_call_of_which_nothing_more_is_heard_is_tried_again(visits: Visits) -> None:
    number = visits.answered_case()
    visits.work()
    visits.clock.advance(seconds=NEWS_WITHIN.total_seconds() + 1)
    visits.work()
    assert visits.acts(number)[-1] == "not_reached"
    assert len(visits.rung()) == 1


def test_late_doubled_and_reordered_callbacks_change_nothing(visits: Visits) -> None:
    number = visits.answered_case()
    visits.work()
    old, asked = visits.visit().sid, visits.pick_up()
    second = visits.says(asked, Digits="1")
    assert visits.says(asked, Digits="1") == second
    visits.hang_up("ringing")
    visits.hang_up("in-progress")
    assert visits.visit().state == "talking"
    visits.hang_up()
    visits.hang_up()
    assert visits.acts(number).count("not_reached") == 1
    assert "<Hangup" in visits.says(second, Digits="1")
    visits.clock.advance(hours=3)
    visits.work()
    visits.hang_up("busy", sid=old)  # of the call before
    assert visits.visit().state == "ringing"
    asked = visits.pick_up()
    assert "解决" in asked and "联系过" not in asked  # what was answered then is not asked again


def test_a_case_that_is_answered_otherwise_is_not_rung_for(visits: Visits) -> None:
    number = visits.answered_case()
    visits.work()
    visits.hang_up("no-answer")
    with visits.parts.database.write() as session:
        operator = session.scalars(select(Staff).where(Staff.username == "operator1")).one()
        answers = {"contacted": "yes", "solved": "yes", "satisfied": "yes"}
        cases.act_on(session, number, "visit", Actor("operator", operator), answers, visits.clock())
    visits.clock.advance(days=1)
    visits.work()
    assert len(visits.rung()) == 1 and visits.visit().state == "done"


def test_zero_brings_the_citizen_to_a_person(visits: Visits) -> None:
    visits.answered_case()
    with visits.parts.database.write() as session:
        staff = session.scalars(select(Staff).where(Staff.username == "operator1")).one()
        staff.ready, staff.seen_at = True, visits.clock()
    visits.work()
    assert "<Enqueue" in visits.says(visits.pick_up(), Digits="0")


def test_danger_comes_first_in_a_visit_too(visits: Visits) -> None:
    visits.answered_case()
    visits.work()
    assert "幺幺九" in visits.says(visits.pick_up(), SpeechResult="着火了", Confidence="0.9")


def test_silence_is_asked_again_twice_and_then_left_for_another_day(visits: Visits) -> None:
    number = visits.answered_case()
    visits.work()
    asked = visits.says(visits.says(visits.pick_up()))
    assert "没有听清" in asked
    assert "<Hangup" in visits.says(asked)
    assert visits.acts(number)[-1] == "not_reached"


def test_webhooks_of_strangers_are_refused(visits: Visits) -> None:
    for path in ("visit?visit=1", "visit-turn?step=1", "visit-status?visit=1", "sms", "sms-status"):
        assert visits.web.post(f"/ivr/{path}", data={"CallSid": "CA1"}).status_code == 403


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("是的", "yes"), ("联系过了", "yes"), ("没有", "no"), ("没有联系过我", "no"), ("解决了", "yes"), ("还没解决", "no"),
        ("没问题了", "yes"), ("不错", "yes"), ("不满意", "no"), ("不太满意", "no"), ("基本满意", "yes"),
        ("有没有什么", "unclear"),
        ("冇呀", "no"), ("有呀", "yes"), ("yes they did", "yes"), ("no not yet", "no"), ("they didn't", "no"),
        ("人工", "person"), ("别再打电话了", "opt_out"), ("今天天气", "unclear"), ("", "unclear"),
    ],
)  # fmt: skip
def test_yes_and_no_are_understood_as_people_say_them(said: str, meant: str) -> None:
    assert meaning_of(Heard(speech=said)) == meant


@given(st.text(), st.text("0123456789*#", max_size=4), st.floats(0, 1))
def test_whatever_is_said_has_a_meaning(speech: str, digits: str, confidence: float) -> None:
    known = {"yes", "no", "opt_out", "person", "repeat", "unclear"}
    assert meaning_of(Heard(speech=speech, digits=digits, confidence=confidence)) in known


@pytest.mark.parametrize(("hours", "allowed"), [("09:00-12:00", False), ("09:00-12:01", True), ("12:00-20:00", True)])
def test_calling_hours_are_china_s(clock: StandingClock, hours: str, allowed: bool) -> None:
    assert in_hours(clock(), hours) is allowed


@pytest.mark.parametrize(
    "hours", ["20:00-09:00", "09:00-09:00", "9:00-20:00", "09:00-25:00", "09:60-20:00", "99:99-99:99"]
)
def test_hours_that_are_none_are_refused_in_the_environment_as_on_the_page(hours: str) -> None:
    with pytest.raises(ValueError, match="HH:MM-HH:MM"):
        make_settings("sqlite://", calling_hours=hours)
    assert make_settings("sqlite://", calling_hours="00:00-24:00").calling_hours == "00:00-24:00"
