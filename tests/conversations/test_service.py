"""Turns, handoff and who holds a conversation: on SQLite and PostgreSQL."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session

from backend.conversations import service
from backend.conversations.models import Conversation, Turn
from backend.database import Database
from backend.directory.models import Staff
from backend.errors import Refused
from bot.client import Bot, BotUnavailable, RasaBot, Reply
from tests.conftest import StandingClock, closed_port


class ParrotBot:
    """A bot that says what it heard, and lets a test look over its shoulder while it thinks."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.while_thinking: Any = lambda: None

    def send(self, conversation_id: str, text: str, channel: str, locale: str, meta: dict[str, Any]) -> list[Reply]:
        self.heard.append(text)
        self.while_thinking()
        return [Reply(f"{text}!", f"{text}!")]

    def processes(self) -> dict[str, bool]:
        return {"here": True}


@pytest.fixture
def bot() -> ParrotBot:
    return ParrotBot()


def opened(database: Database, clock: StandingClock) -> str:
    with database.write() as session:
        return service.open_conversation(session, "chat", "zh", clock())[0].id


def staff(database: Database, username: str) -> Staff:
    with database.read() as session:
        return session.query(Staff).filter_by(username=username).one()


def say(database: Database, bot: Bot, clock: StandingClock, conversation: str, text: str, key: str = "") -> Any:
    return service.take_turn(database, bot, clock, conversation, text, key or text)


def test_everything_that_is_said_is_on_the_record_in_order(
    database: Database, clock: StandingClock, bot: ParrotBot
) -> None:
    conversation = opened(database, clock)
    say(database, bot, clock, conversation, "暖气不热")
    say(database, bot, clock, conversation, "还是不热")
    with database.read() as session:
        turns = service.turns_after(session, conversation)
        assert [(turn.number, turn.speaker, turn.text) for turn in turns] == [
            (1, "citizen", "暖气不热"),
            (2, "bot", "暖气不热!"),
            (3, "citizen", "还是不热"),
            (4, "bot", "还是不热!"),
        ]


def test_a_repeat_that_comes_while_the_bot_is_thinking_waits_for_the_same_replies(
    database: Database, clock: StandingClock, bot: ParrotBot
) -> None:
    repeats: list[Any] = []
    again = threading.Thread(target=lambda: repeats.append(say(database, bot, clock, conversation, "暖气不热")))
    bot.while_thinking = again.start
    conversation = opened(database, clock)
    first = say(database, bot, clock, conversation, "暖气不热")
    again.join()
    assert repeats == [first]


def test_a_message_whose_process_died_is_answered_when_it_comes_again(
    database: Database, clock: StandingClock, bot: ParrotBot
) -> None:
    def die() -> None:
        raise KeyboardInterrupt

    dying = ParrotBot()
    dying.while_thinking = die
    conversation = opened(database, clock)
    with pytest.raises(KeyboardInterrupt):
        say(database, dying, clock, conversation, "暖气不热")
    clock.advance(seconds=13)
    assert [reply.text for reply in say(database, bot, clock, conversation, "暖气不热").replies] == ["暖气不热!"]


def test_a_message_repeated_gets_the_same_replies_and_is_heard_once(
    database: Database, clock: StandingClock, bot: ParrotBot
) -> None:
    conversation = opened(database, clock)
    first = say(database, bot, clock, conversation, "暖气不热", key="a")
    again = say(database, bot, clock, conversation, "暖气不热", key="a")
    assert first == again
    assert bot.heard == ["暖气不热"]


def test_danger_is_answered_although_the_bot_is_down(database: Database, clock: StandingClock) -> None:
    conversation = opened(database, clock)
    nobody = RasaBot(f"http://127.0.0.1:{closed_port()}", "token", timeout=1)
    taken = say(database, nobody, clock, conversation, "楼下着火了")
    assert "119" in taken.replies[0].text


def test_a_person_is_called_although_the_bot_is_down(database: Database, clock: StandingClock) -> None:
    conversation = opened(database, clock)
    nobody = RasaBot(f"http://127.0.0.1:{closed_port()}", "token", timeout=1)
    assert say(database, nobody, clock, conversation, "转人工").state == "waiting"


def test_what_was_said_is_kept_when_only_the_bot_could_have_answered(database: Database, clock: StandingClock) -> None:
    conversation = opened(database, clock)
    nobody = RasaBot(f"http://127.0.0.1:{closed_port()}", "token", timeout=1)
    with pytest.raises(BotUnavailable):
        say(database, nobody, clock, conversation, "暖气不热")
    with database.read() as session:
        assert [turn.text for turn in service.turns_after(session, conversation)] == ["暖气不热"]


def test_the_bot_is_silent_after_handoff(database: Database, clock: StandingClock, bot: ParrotBot) -> None:
    conversation = opened(database, clock)
    say(database, bot, clock, conversation, "转人工")
    assert say(database, bot, clock, conversation, "有人吗").replies == []
    assert bot.heard == []


def test_a_reply_that_comes_after_the_operator_took_over_is_not_said(
    database: Database, clock: StandingClock, bot: ParrotBot
) -> None:
    conversation = opened(database, clock)
    operator = staff(database, "operator1")

    def take_over() -> None:
        with database.write() as session:
            held = service.get_conversation(session, conversation)
            service.request_operator(session, held, clock())
            service.take(session, held, operator, clock())

    bot.while_thinking = take_over
    assert say(database, bot, clock, conversation, "暖气不热").replies == []
    with database.read() as session:
        assert "bot" not in [turn.speaker for turn in service.turns_after(session, conversation)]


def test_two_operators_who_take_at_once_get_one_success_and_one_refusal(
    database: Database, clock: StandingClock, bot: ParrotBot
) -> None:
    conversation = opened(database, clock)
    say(database, bot, clock, conversation, "转人工")
    together, outcomes = threading.Barrier(2), []

    def take(username: str) -> None:
        operator = staff(database, username)
        together.wait()
        try:
            with database.write() as session:
                service.take(session, service.get_conversation(session, conversation), operator, clock())
            outcomes.append("taken")
        except Refused as refusal:
            outcomes.append(refusal.code)

    threads = [threading.Thread(target=take, args=(name,)) for name in ("operator1", "operator2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["already_taken", "taken"]


def test_only_who_holds_a_conversation_speaks_hands_back_or_closes(
    database: Database, clock: StandingClock, bot: ParrotBot
) -> None:
    conversation = opened(database, clock)
    say(database, bot, clock, conversation, "转人工")
    first, second = staff(database, "operator1"), staff(database, "operator2")
    with database.write() as session:
        service.take(session, service.get_conversation(session, conversation), first, clock())
    forbidden_acts: tuple[Callable[[Session, Conversation], None], ...] = (
        lambda session, held: service.operator_says(session, held, second, "您好", clock()),
        lambda session, held: service.hand_back(session, held, second, clock()),
        lambda session, held: service.close(session, held, clock(), second),
    )
    for forbidden in forbidden_acts:
        with pytest.raises(Refused) as refusal, database.write() as session:
            forbidden(session, service.get_conversation(session, conversation))
        assert refusal.value.code == "already_taken"


def test_a_conversation_handed_back_is_answered_by_the_bot_again(
    database: Database, clock: StandingClock, bot: ParrotBot
) -> None:
    conversation = opened(database, clock)
    operator = staff(database, "operator1")
    say(database, bot, clock, conversation, "转人工")
    with database.write() as session:
        held = service.get_conversation(session, conversation)
        service.take(session, held, operator, clock())
        service.hand_back(session, held, operator, clock())
    assert say(database, bot, clock, conversation, "暖气不热").replies[0].text == "暖气不热!"


def test_the_queue_goes_by_waiting_time(database: Database, clock: StandingClock, bot: ParrotBot) -> None:
    waiting = []
    for _ in range(3):
        conversation = opened(database, clock)
        say(database, bot, clock, conversation, "转人工")
        waiting.append(conversation)
        clock.advance(seconds=5)
    with database.read() as session:
        assert [one.id for one in service.queue(session)] == waiting
        last = session.get_one(Conversation, waiting[-1])
        assert service.position(session, last) == 3


def test_a_closed_conversation_takes_no_more_messages(database: Database, clock: StandingClock, bot: ParrotBot) -> None:
    conversation = opened(database, clock)
    with database.write() as session:
        service.close(session, service.get_conversation(session, conversation), clock())
    with pytest.raises(Refused) as refusal:
        say(database, bot, clock, conversation, "还在吗")
    assert refusal.value.code == "conversation_closed"


@pytest.mark.parametrize("text", ["", "   ", "\x00", "长" * 2001])
def test_empty_and_overlong_messages_are_refused_and_not_recorded(
    database: Database, clock: StandingClock, bot: ParrotBot, text: str
) -> None:
    conversation = opened(database, clock)
    with pytest.raises(Refused):
        say(database, bot, clock, conversation, text, key="k")
    with database.read() as session:
        assert session.query(Turn).count() == 0
