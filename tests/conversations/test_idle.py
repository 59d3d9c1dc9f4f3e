"""Chats that have gone silent are asked, then closed by the clock; who waits is left alone."""

from datetime import timedelta

import pytest

from backend.conversations import service
from backend.conversations.idle import close_idle
from backend.conversations.models import Conversation, Turn
from backend.database import Database
from backend.directory.models import Staff
from tests.conftest import StandingClock

ASKED_AFTER = timedelta(minutes=10)


@pytest.fixture
def talk(database: Database, clock: StandingClock) -> str:
    """A chat in which the citizen has said something."""
    return open_talk(database, clock, "chat")


def open_talk(database: Database, clock: StandingClock, channel: str) -> str:
    with database.write() as session:
        conversation, _ = service.open_conversation(session, channel, "zh", clock())
        conversation.peer = "+8613800138000" if channel == "sms" else None
        service.record(session, conversation, "citizen", "路灯不亮", clock())
        return conversation.id


def stands(database: Database, talk: str) -> tuple[str, list[str]]:
    """Its state, and what the line has said in it."""
    with database.read() as session:
        conversation = session.get_one(Conversation, talk)
        return conversation.state, [turn.text for turn in conversation.turns if turn.speaker == "line"]


def pass_minutes(database: Database, clock: StandingClock, minutes: int) -> None:
    for _ in range(minutes):
        clock.advance(minutes=1)
        close_idle(database, clock, ASKED_AFTER)


def test_a_silent_citizen_is_asked_once_and_then_the_chat_is_closed_with_everything_kept(
    database: Database, clock: StandingClock, talk: str
) -> None:
    pass_minutes(database, clock, 10)
    assert stands(database, talk) == ("bot", [])
    pass_minutes(database, clock, 1)
    assert stands(database, talk)[0] == "bot" and "还在吗" in stands(database, talk)[1][-1]
    pass_minutes(database, clock, 12)
    state, told = stands(database, talk)
    assert state == "closed" and len(told) == 2
    with database.read() as session:
        assert session.query(Turn).filter_by(speaker="citizen").one().text == "路灯不亮"


def test_a_citizen_who_answers_is_asked_anew_only_after_the_next_silence(
    database: Database, clock: StandingClock, talk: str
) -> None:
    pass_minutes(database, clock, 11)
    with database.write() as session:
        service.record(session, session.get_one(Conversation, talk), "citizen", "在的", clock())
    pass_minutes(database, clock, 10)
    assert stands(database, talk)[0] == "bot" and len(stands(database, talk)[1]) == 1
    pass_minutes(database, clock, 1)
    assert stands(database, talk)[0] == "bot" and len(stands(database, talk)[1]) == 2


def test_who_waits_for_a_person_is_never_closed(database: Database, clock: StandingClock, talk: str) -> None:
    with database.write() as session:
        service.request_operator(session, session.get_one(Conversation, talk), clock())
    clock.advance(days=2)
    close_idle(database, clock, ASKED_AFTER)
    assert stands(database, talk) == ("waiting", [])


def test_who_waits_for_an_operator_s_answer_is_left_and_who_does_not_answer_the_operator_is_closed(
    database: Database, clock: StandingClock, talk: str
) -> None:
    with database.write() as session:
        staff = session.query(Staff).filter_by(username="operator1").one()
        conversation = session.get_one(Conversation, talk)
        service.request_operator(session, conversation, clock())
        service.take(session, conversation, staff, clock())
        service.record(session, conversation, "citizen", "请快一点", clock())
    clock.advance(hours=1)
    close_idle(database, clock, ASKED_AFTER)
    assert stands(database, talk)[0] == "operator" and len(stands(database, talk)[1]) == 1
    with database.write() as session:
        staff = session.query(Staff).filter_by(username="operator1").one()
        service.operator_says(session, session.get_one(Conversation, talk), staff, "请说地点", clock())
    pass_minutes(database, clock, 23)
    assert stands(database, talk)[0] == "closed"


def test_text_messages_are_closed_after_a_day_without_one_more(database: Database, clock: StandingClock) -> None:
    talk = open_talk(database, clock, "sms")
    clock.advance(hours=24)
    close_idle(database, clock, ASKED_AFTER)
    assert stands(database, talk) == ("bot", [])
    clock.advance(minutes=1)
    close_idle(database, clock, ASKED_AFTER)
    assert stands(database, talk) == ("closed", [])
