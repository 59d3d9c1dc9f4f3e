"""The line speaks as the caller wishes: Mandarin, Cantonese or English, and slowly."""

import httpx
import pytest
from flask import Flask
from sqlalchemy import select

from backend.conversations import service as conversations
from backend.conversations.models import Conversation
from backend.database import Database
from backend.outbox import OutgoingMessage
from backend.parts import Parts
from bot.client import Reply
from ivr.models import CallerWish
from ivr.phone.call import Event, PracticeCall, Say
from ivr.recognition import HINT_LIMIT, in_written_words, speech_hints
from tests.conftest import practice_call

VOICE = "http://127.0.0.1:8000/ivr/voice"


def said(events: list[Event]) -> list[Say]:
    return [event for event in events if isinstance(event, Say)]


def test_the_opening_question_comes_before_the_languages_which_are_offered_in_their_own_voices(
    call: PracticeCall,
) -> None:
    greeting, *offers = said(call.start(VOICE))
    assert greeting.text.endswith("请问有什么可以帮您？")
    assert [(offer.language, offer.voice) for offer in offers] == [
        ("yue-CN", "Polly.Hiujin-Neural"),
        ("en-US", "Polly.Joanna"),
    ]


@pytest.mark.parametrize(("wish", "language"), [("9", "en-US"), ("8", "yue-CN")])
def test_a_key_changes_the_language_of_the_voice(call: PracticeCall, wish: str, language: str) -> None:
    call.start(VOICE)
    assert {one.language for one in said(call.press(wish))} == {language}
    assert {one.language for one in said(call.silence())} == {language}


def test_speech_is_recognised_in_the_language_that_was_asked_for(call: PracticeCall) -> None:
    call.start(VOICE)
    listening = [event for event in call.speak("speak English") if event.type == "listening"]
    assert [event.language for event in listening] == ["en-US"]  # type: ignore[attr-defined]


def test_the_same_key_again_goes_back_to_mandarin(call: PracticeCall) -> None:
    call.start(VOICE)
    call.press("9")
    assert {one.language for one in said(call.press("9"))} == {"cmn-CN"}


def test_a_number_is_greeted_in_its_language_the_next_time_and_not_offered_others(
    call: PracticeCall, app: Flask
) -> None:
    call.start(VOICE)
    call.press("9")
    call.hang_up()
    again = said(practice_call(app).start(VOICE))
    assert {one.language for one in again} == {"en-US"}
    assert len(again) == 1


def test_what_is_remembered_of_a_number_is_not_the_number(call: PracticeCall, parts: Parts) -> None:
    call.start(VOICE)
    call.press("8")
    with parts.database.read() as session:
        wish = session.scalars(select(CallerWish)).one()
    assert wish.language == "yue"
    assert call.state.from_.lstrip("+") not in wish.number_hash


def test_a_repeated_webhook_does_not_change_the_language_back(call: PracticeCall) -> None:
    call.start(VOICE)
    call.press("9")
    assert "en-US" in str(call.repeat_last_webhook())
    assert {one.language for one in said(call.silence())} == {"en-US"}


def test_slower_is_slower_words_and_longer_patience(call: PracticeCall, web: httpx.Client) -> None:
    call.start(VOICE)
    events = call.speak("请说慢一点")
    listening = next(event for event in events if event.type == "listening")
    assert listening.timeout == 10  # type: ignore[attr-defined]
    assert 'rate="80%"' in str(call.repeat_last_webhook())
    assert any(event.type == "pause" for event in events)


def test_the_second_reprompt_tells_the_keys_at_most_four_in_a_breath(call: PracticeCall) -> None:
    call.start(VOICE)
    call.silence()
    last = said(call.silence())[-1].text
    assert "反映问题，请按一" in last
    assert "人工，请按零" in last
    assert last.count("请按") <= 4


def test_cantonese_is_read_in_the_words_that_the_bot_knows() -> None:
    assert in_written_words("我屋企冇暖氣，應該搵邊個", "yue") == "我家里没有暖气，应该找谁"
    assert in_written_words("唔知點算", "yue") == "不知道怎么办"
    assert in_written_words("係", "zh") == "係"


@pytest.mark.parametrize("language", ["zh", "yue", "en"])
def test_recognition_is_given_as_many_hints_as_twilio_takes(database: Database, language: str) -> None:
    with database.read() as session:
        hints = speech_hints(session)[language].split(",")
    assert 20 < len(hints) <= HINT_LIMIT
    assert all(hints)


def test_the_last_answer_is_sent_whole_as_a_text_message_and_only_once(call: PracticeCall, parts: Parts) -> None:
    call.start(VOICE)
    with parts.database.write() as session:
        conversation = session.query(Conversation).one()
        answer = Reply("先联系供热单位。\n依据：供热条例", "先联系供热单位。", act="answer")
        conversations.record_reply(session, conversation, answer, parts.clock())
    assert "短信" in said(call.speak("发短信给我"))[0].text
    call.repeat_last_webhook()
    with parts.database.read() as session:
        [message] = session.query(OutgoingMessage)
    assert (message.recipient, message.body) == (call.state.from_, {"text": answer.text})


def test_without_an_answer_there_is_nothing_to_send(call: PracticeCall, parts: Parts) -> None:
    call.start(VOICE)
    assert "还没有" in said(call.press("6"))[0].text
    with parts.database.read() as session:
        assert session.query(OutgoingMessage).count() == 0
