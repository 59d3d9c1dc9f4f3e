"""Calls through the signed webhooks, with a telephone that refuses what Twilio would refuse. The bot is down here, so
that what the line does by itself is seen; calls with the bot are in tests/end_to_end."""

import re
from collections.abc import Sequence

import httpx
import pytest
from flask import Flask
from twilio.request_validator import RequestValidator

from backend.cases.models import Case
from backend.conversations import service
from backend.conversations.models import Conversation, Turn
from backend.directory.models import Staff
from backend.parts import Parts
from ivr.models import Call
from ivr.phone.call import PracticeCall, spoken
from tests.conftest import StandingClock, practice_call

VOICE = "http://127.0.0.1:8000/ivr/voice"
WEBHOOKS = (
    *("voice", "turn", "wait", "left", "dialled", "recorded", "fallback", "status", "come-in", "queue-again"),
    *("leg", "leg-join", "leg-status", "whisper", "recording"),
)


def sentences(events: Sequence[object]) -> str:
    return spoken(events)  # type: ignore[arg-type]


def no_errors(events: Sequence[object]) -> None:
    assert not [event for event in events if event.type == "error"]  # type: ignore[attr-defined]


def in_queue(events: Sequence[object]) -> bool:
    return any(event.type == "queued" for event in events)  # type: ignore[attr-defined]


def test_the_line_opens_with_a_question_and_no_menu(call: PracticeCall) -> None:
    greeting = sentences(call.start(VOICE)).splitlines()[0]
    assert greeting.endswith("请问有什么可以帮您？")
    assert "按" not in greeting


def test_silence_gets_two_different_reprompts_and_then_a_message_is_taken(call: PracticeCall) -> None:
    call.start(VOICE)
    first, second = sentences(call.silence()), sentences(call.silence())
    assert first != second
    third = call.silence()
    no_errors(third)
    assert "留言" in sentences(third)
    assert call.status == "recording"


def test_wrong_keys_get_two_different_reprompts_and_then_a_person(call: PracticeCall, operator: Staff) -> None:
    call.start(VOICE)
    assert sentences(call.press("5")) != sentences(call.press("5"))
    assert in_queue(call.press("5"))


def test_speech_with_little_confidence_is_asked_for_again(call: PracticeCall) -> None:
    call.start(VOICE)
    assert "没有听清" in sentences(call.speak("嗯嗯啊啊", confidence=0.1))


@pytest.mark.parametrize(
    ("said", "number"),
    [("楼下着火了", "幺幺九"), ("煤气泄漏了", "幺幺九"), ("有人受伤了", "幺二零"), ("他们正在打人", "幺幺零")],
)
def test_danger_gets_its_number_before_anything_else(call: PracticeCall, said: str, number: str) -> None:
    call.start(VOICE)
    events = call.speak(said)
    no_errors(events)
    assert number in sentences(events)
    assert call.status == "listening"


def test_zero_means_a_person_at_once(call: PracticeCall, operator: Staff) -> None:
    call.start(VOICE)
    events = call.press("0")
    no_errors(events)
    assert in_queue(events)
    assert "第1位" in sentences(events)


def test_the_word_for_a_person_means_a_person_although_the_bot_is_down(call: PracticeCall, operator: Staff) -> None:
    call.start(VOICE)
    assert in_queue(call.speak("人工"))


def test_with_no_operator_there_the_caller_leaves_a_message_that_becomes_a_case(
    call: PracticeCall, parts: Parts
) -> None:
    call.start(VOICE)
    call.press("0")
    assert call.status == "recording"
    events = call.finish_recording(12)
    no_errors(events)
    assert "工单号" in sentences(events)
    with parts.database.read() as session:
        case = session.query(Case).one()
        assert case.recording_url
        assert case.contact == "+8613800138000"


def test_when_the_bot_is_down_the_caller_is_told_and_what_was_said_becomes_a_case(
    call: PracticeCall, parts: Parts
) -> None:
    call.start(VOICE)
    assert "智能服务暂时不能回答" in sentences(call.speak("我们楼三天没有暖气了"))
    assert call.status == "recording"
    said = sentences(call.finish_recording(20))
    with parts.database.read() as session:
        case = session.query(Case).one()
        assert "我们楼三天没有暖气了" in case.what
        assert case.recording_url
        assert case.conversation_id
    assert re.search(r"工单号是[零幺二三四五六七八九，]+", said)


def test_a_caller_who_says_nothing_after_the_tone_still_has_a_case(call: PracticeCall, parts: Parts) -> None:
    call.start(VOICE)
    call.speak("我们楼三天没有暖气了")
    call.silence()
    with parts.database.read() as session:
        assert "暖气" in session.query(Case).one().what


def test_a_webhook_repeated_gets_the_same_answer_and_changes_nothing(call: PracticeCall, parts: Parts) -> None:
    call.start(VOICE)
    first_voice = call.repeat_last_webhook()
    call.silence()
    again = call.repeat_last_webhook()
    assert call.repeat_last_webhook() == again != first_voice
    call.silence()
    with parts.database.read() as session:
        assert session.query(Call).one().silences == 2
        assert session.query(Conversation).count() == 1


def test_a_recorded_message_repeated_is_one_case(call: PracticeCall, parts: Parts) -> None:
    call.start(VOICE)
    call.press("0")
    call.finish_recording(5)
    call.repeat_last_webhook()
    with parts.database.read() as session:
        assert session.query(Case).count() == 1


def test_two_calls_at_once_do_not_mix(app: Flask, parts: Parts) -> None:
    one, two = practice_call(app), practice_call(app)
    one.start(VOICE)
    two.start(VOICE)
    one.silence()
    assert "没有听到" in sentences(two.silence())
    with parts.database.read() as session:
        assert session.query(Conversation).count() == 2


def test_the_caller_waits_with_music_and_position_until_an_operator_takes_the_call(
    call: PracticeCall, parts: Parts, operator: Staff, clock: StandingClock
) -> None:
    call.start(VOICE)
    assert "第1位" in sentences(call.press("0"))
    with parts.database.write() as session:
        conversation = session.query(Conversation).one()
        service.take(session, conversation, session.get_one(Staff, operator.id), clock())
    events = call.wait()
    no_errors(events)
    assert call.status in ("dialling", "connected")
    call.other_side_answers()
    ended = call.other_side_hangs_up()
    assert "感谢" in sentences(ended)


def test_an_operators_telephone_that_does_not_answer_brings_the_caller_to_a_message(
    call: PracticeCall, parts: Parts, operator: Staff, clock: StandingClock
) -> None:
    call.start(VOICE)
    call.press("0")
    with parts.database.write() as session:
        conversation = session.query(Conversation).one()
        service.take(session, conversation, session.get_one(Staff, operator.id), clock())
    call.wait()
    events = call.dial_fails("no-answer")
    assert "留言" in sentences(events)
    assert call.status == "recording"


def test_one_in_the_queue_leaves_a_message_instead(call: PracticeCall, operator: Staff) -> None:
    call.start(VOICE)
    call.press("0")
    events = call.press("1")
    no_errors(events)
    assert call.status == "recording"


def test_when_the_last_operator_goes_the_waiting_caller_is_not_left_alone(
    call: PracticeCall, operator: Staff, clock: StandingClock
) -> None:
    call.start(VOICE)
    call.press("0")
    clock.advance(minutes=2)
    call.wait()
    assert call.status == "recording"


def test_a_caller_who_hangs_up_in_the_queue_is_called_back(call: PracticeCall, parts: Parts, operator: Staff) -> None:
    call.start(VOICE)
    call.press("0")
    call.hang_up()
    with parts.database.read() as session:
        [missed] = service.queue(session)
        assert missed.callback_at is not None
        assert missed.callback_to == call.state.from_


def test_a_caller_who_hangs_up_before_saying_anything_is_not_called_back(call: PracticeCall, parts: Parts) -> None:
    call.start(VOICE)
    call.hang_up()
    with parts.database.read() as session:
        assert session.query(Conversation).one().state == "closed"


def test_everything_that_was_said_and_heard_is_on_the_record(call: PracticeCall, parts: Parts) -> None:
    call.start(VOICE)
    call.speak("楼下着火了")
    call.hang_up()
    with parts.database.read() as session:
        assert [turn.speaker for turn in session.query(Turn).order_by(Turn.number)] == ["bot", "citizen", "bot", "line"]


@pytest.mark.parametrize("webhook", WEBHOOKS)
def test_a_forged_signature_is_refused_and_logged(
    web: httpx.Client, webhook: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = {"CallSid": "CA" + "0" * 32, "From": "+8613800000000"}
    for headers in ({}, {"X-Twilio-Signature": "forged"}):
        assert web.post(f"/ivr/{webhook}", data=body, headers=headers).status_code == 403
    assert "wrong signature" in caplog.text
    assert "13800000000" not in caplog.text


def test_a_signature_for_other_fields_is_refused(web: httpx.Client, app: Flask) -> None:
    token = app.extensions["parts"].settings.twilio_auth_token
    signature = RequestValidator(token).compute_signature(VOICE, {"CallSid": "CA1"})
    response = web.post("/ivr/voice", data={"CallSid": "CA2"}, headers={"X-Twilio-Signature": signature})
    assert response.status_code == 403


@pytest.mark.parametrize("webhook", WEBHOOKS)
@pytest.mark.parametrize(
    "fields",
    [
        {"CallSid": "CA9"},
        {"CallSid": "CA9", "SpeechResult": "<Say>&\x00" + "长" * 5000, "Confidence": "many", "Digits": "x" * 999},
        {"CallSid": "CA9", "QueueTime": "soon", "QueueResult": "?", "DialCallStatus": "?", "CallStatus": "completed"},
    ],
)
def test_whatever_a_signed_webhook_carries_it_is_answered(
    web: httpx.Client, app: Flask, webhook: str, fields: dict[str, str]
) -> None:
    url = f"http://127.0.0.1:8000/ivr/{webhook}?step=abc"
    token = app.extensions["parts"].settings.twilio_auth_token
    signature = RequestValidator(token).compute_signature(url, fields)
    response = web.post(url, data=fields, headers={"X-Twilio-Signature": signature})
    assert response.status_code in (200, 204)


def test_a_signed_webhook_without_a_call_is_refused(web: httpx.Client, app: Flask) -> None:
    token = app.extensions["parts"].settings.twilio_auth_token
    signature = RequestValidator(token).compute_signature(VOICE, {"From": "x"})
    assert web.post(VOICE, data={"From": "x"}, headers={"X-Twilio-Signature": signature}).status_code == 400


def test_the_fallback_takes_a_message(web: httpx.Client, app: Flask, parts: Parts) -> None:
    url, fields = "http://127.0.0.1:8000/ivr/fallback", {"CallSid": "CA7", "ErrorCode": "11200"}
    signature = RequestValidator(parts.settings.twilio_auth_token).compute_signature(url, fields)
    response = web.post(url, data=fields, headers={"X-Twilio-Signature": signature})
    assert "<Record" in response.text


def test_the_waiting_music_is_a_sound(web: httpx.Client) -> None:
    music = web.get("/ivr/music.wav")
    assert music.headers["content-type"] == "audio/wav"
    assert music.content[:4] == b"RIFF"


def test_a_turn_repeated_while_the_bot_is_down_is_told_the_same_and_nothing_twice(
    call: PracticeCall, parts: Parts
) -> None:
    call.start(VOICE)
    call.speak("我们楼三天没有暖气了")
    assert call.repeat_last_webhook() == call.repeat_last_webhook()
    with parts.database.read() as session:
        assert [turn.speaker for turn in session.query(Turn).order_by(Turn.number)] == ["bot", "citizen", "bot"]
