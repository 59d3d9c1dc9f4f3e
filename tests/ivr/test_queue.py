"""Waiting in the queue: what a caller hears, what keys do, and that nobody is left there alone."""

from datetime import timedelta

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from backend.app import create_app
from backend.conversations import service
from backend.conversations.models import Conversation, Leg
from backend.conversations.rules import DANGER, ENOUGH_HANDLED, REPEATED
from backend.directory.models import Staff
from backend.parts import Parts
from ivr.flow import what_follows
from ivr.music import CHORD_SECONDS, waiting_music
from ivr.phone.call import PracticeCall, spoken
from ivr.queue import Standing, event_in_queue, wait_words
from tests.conftest import StandingClock, make_settings, practice_call

VOICE = "http://127.0.0.1:8000/ivr/voice"


def waiting(call: PracticeCall) -> str:
    """A caller gets into the queue; what they hear there first."""
    call.start(VOICE)
    return spoken(call.press("0"))


def only_conversation(parts: Parts) -> Conversation:
    with parts.database.read() as session:
        return session.query(Conversation).one()


def handled(parts: Parts, clock: StandingClock, minutes: int) -> None:
    """Operators have ended talks of this length lately."""
    with parts.database.write() as session:
        for number in range(ENOUGH_HANDLED):
            past = Conversation(id=f"past{number}", channel="phone", locale="zh", state="closed", started_at=clock())
            past.taken_at, past.closed_at = clock() - timedelta(minutes=minutes), clock()
            session.add(past)


def test_place_and_keys_are_told_first_and_every_thirty_seconds_and_music_is_played_between(
    call: PracticeCall, operator: Staff, clock: StandingClock
) -> None:
    assert "第1位" in waiting(call)
    clock.advance(seconds=10)
    assert spoken(call.wait()) == ""
    clock.advance(seconds=21)
    assert "第1位" in spoken(call.wait())
    clock.advance(seconds=10)
    assert spoken(call.wait()) == ""


def test_the_wait_is_foretold_in_words_and_only_when_enough_talks_are_known(
    app: Flask, parts: Parts, operator: Staff, clock: StandingClock
) -> None:
    assert "大约" not in waiting(practice_call(app))
    handled(parts, clock, minutes=3)
    clock.advance(seconds=5)
    second = practice_call(app)
    assert "大约还要等六分钟" in waiting(second)


@pytest.mark.parametrize("language", ["zh", "yue", "en"])
@given(minutes=st.integers(1, 100_000))
def test_any_wait_can_be_said(language: str, minutes: int) -> None:
    assert wait_words(minutes, language)


def test_keys_that_mean_nothing_are_answered_with_the_place_and_the_wait_goes_on(
    call: PracticeCall, operator: Staff
) -> None:
    waiting(call)
    assert "第1位" in spoken(call.press("7"))
    assert call.status != "ended"


def test_a_round_is_short_enough_to_notice_an_operator_within_five_seconds(call: PracticeCall, operator: Staff) -> None:
    assert CHORD_SECONDS + 1 <= 5  # a piece of the music, and the second in which a key is waited for
    assert len(waiting_music(0)) * 4 == pytest.approx(len(waiting_music()), rel=0.01)


def test_a_caller_with_a_withheld_number_is_asked_for_one(app: Flask, parts: Parts, operator: Staff) -> None:
    call = practice_call(app)
    call.state.from_ = "anonymous"
    waiting(call)
    assert "请按出回电的电话号码" in spoken(call.press("2"))
    assert "幺三九" in spoken(call.press("13900139000#"))
    call.press("1")
    assert call.status == "ended"
    assert only_conversation(parts).callback_to == "+8613900139000"


def test_who_has_asked_to_be_called_back_and_hangs_up_still_waits(
    call: PracticeCall, parts: Parts, operator: Staff, clock: StandingClock
) -> None:
    waiting(call)
    since = only_conversation(parts).waiting_since
    call.press("2")
    call.press("1")
    clock.advance(minutes=40)
    found = only_conversation(parts)
    assert (found.state, found.waiting_since) == ("waiting", since)


def test_three_goes_on_waiting_instead_of_being_called_back(call: PracticeCall, parts: Parts, operator: Staff) -> None:
    waiting(call)
    call.press("2")
    assert "第1位" in spoken(call.press("3"))
    assert only_conversation(parts).callback_at is None


def test_after_too_long_a_message_is_taken(call: PracticeCall, parts: Parts, operator: Staff) -> None:
    waiting(call)
    with parts.database.write() as session:
        found = session.query(Conversation).one()
        assert found.waiting_since
        found.waiting_since -= timedelta(seconds=parts.settings.queue_limit + 1)
    call.wait()
    assert call.status == "recording"


def test_an_english_caller_waits_for_operators_who_speak_english_and_hears_it(
    app: Flask, parts: Parts, operator: Staff
) -> None:
    with parts.database.write() as session:
        session.query(Staff).filter_by(username="operator1").one().languages = "zh,en"
    chinese, english = practice_call(app), practice_call(app)
    waiting(chinese)
    english.start(VOICE)
    english.press("9")
    assert "You are number 1" in spoken(english.press("0"))
    with parts.database.read() as session:
        assert {one.language for one in service.queue(session, "zh,en")} == {"zh", "en"}


def test_danger_and_who_was_not_helped_lately_come_first(
    app: Flask, parts: Parts, operator: Staff, clock: StandingClock
) -> None:
    first, again, danger = practice_call(app), practice_call(app), practice_call(app)
    first.state.from_, again.state.from_, danger.state.from_ = "+8613800000001", "+8613800000002", "+8613800000003"
    waiting(first)
    lost = practice_call(app)
    lost.state.from_ = "+8613800000002"
    lost.start(VOICE)
    lost.hang_up()
    clock.advance(minutes=1)
    waiting(again)
    danger.start(VOICE)
    danger.speak("楼下着火了")
    danger.press("0")
    with parts.database.read() as session:
        queued = service.queue(session)
        assert [one.caller for one in queued] == ["+8613800000003", "+8613800000002", "+8613800000001"]
        assert [one.priority for one in queued] == [DANGER, REPEATED, 0]


def test_who_hung_up_in_the_queue_keeps_the_place_for_a_call_back(
    call: PracticeCall, parts: Parts, operator: Staff
) -> None:
    waiting(call)
    call.hang_up()
    assert only_conversation(parts).state == "waiting"
    assert only_conversation(parts).callback_to == call.state.from_
    with parts.database.read() as session:
        assert [leg.state for leg in session.query(Leg)] == ["over"]


def test_a_line_with_notice_tells_it_before_the_talk(sqlite_url: str, clock: StandingClock) -> None:
    app = create_app(make_settings(sqlite_url, call_recording="consent"), clock=clock)
    parts: Parts = app.extensions["parts"]
    with parts.database.write() as session:
        staff = session.query(Staff).filter_by(username="operator1").one()
        staff.ready, staff.seen_at = True, clock()
    call = practice_call(app)
    assert "同意录音请按三" in waiting(call)
    assert "谢谢" in spoken(call.press("3"))
    assert only_conversation(parts).may_record is True


standings = st.builds(
    Standing,
    state=st.sampled_from(["bot", "waiting", "operator", "closed"]),
    leg=st.sampled_from([None, "wanted", "ringing", "talking"]),
    leg_since=st.integers(0, 100).map(lambda seconds: timedelta(seconds=seconds)),
    waited=st.integers(0, 400).map(lambda seconds: timedelta(seconds=seconds)),
    somebody=st.booleans(),
)


@given(standings)
def test_whatever_has_happened_the_flow_knows_what_to_do_and_nobody_waits_for_nobody(now: Standing) -> None:
    does = what_follows("waiting", event_in_queue(now, timedelta(seconds=180))).does
    assert does in ("wait", "connect", "record")
    if now.state == "waiting" and (not now.somebody or now.waited > timedelta(seconds=180)):
        assert does == "record"
    if now.state == "operator" and now.leg in (None, "talking"):
        assert does == "connect"
