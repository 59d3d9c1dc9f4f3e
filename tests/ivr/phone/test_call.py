"""A practice call does what Twilio does: the same requests, in the same order, for the same documents."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from ivr.phone.call import (
    DOCUMENTS_IN_A_ROW,
    Connected,
    Dialling,
    Error,
    Event,
    HttpTransport,
    HungUp,
    Keys,
    Listening,
    NotHeard,
    Pause,
    Play,
    PracticeCall,
    Queued,
    Recording,
    Say,
    WebhookFailed,
    spoken,
)
from ivr.phone.exchange import make_exchange
from ivr.phone.rest import silent_wav
from ivr.phone.switch import Switch
from ivr.phone.terminal import Terminal, read_texts
from ivr.phone.views import make_phone_blueprint

BASE = "https://line.test"
TOKEN = "practice-token"
Reply = str | int | tuple[str, str] | Callable[[dict[str, str]], str]


class Line:
    """A line whose answers are written down: path -> TwiML (inside Response), HTTP status, or (type, body).

    A list is used up answer by answer; the last one stays. Every request's signature is checked.
    """

    def __init__(self, **paths: Reply | list[Reply]) -> None:
        self.paths: dict[str, Reply | list[Reply]] = {"/" + name: reply for name, reply in paths.items()}
        self.requests: list[SimpleNamespace] = []

    def post(self, url: str, params: dict[str, str], headers: dict[str, str]) -> tuple[int, str, bytes]:
        assert RequestValidator(TOKEN).validate(url, params, headers["X-Twilio-Signature"])
        return self._answer("POST", url, params, headers)

    def get(self, url: str, headers: dict[str, str]) -> tuple[int, str, bytes]:
        assert RequestValidator(TOKEN).validate(url, {}, headers["X-Twilio-Signature"])
        return self._answer("GET", url, dict(parse_qsl(urlsplit(url).query)), headers)

    def _answer(self, method: str, url: str, params: dict[str, str], headers: dict[str, str]) -> tuple[int, str, bytes]:
        path = urlsplit(url).path
        self.requests.append(
            SimpleNamespace(
                method=method,
                url=url,
                path=path,
                params=params,
                token=headers["I-Twilio-Idempotency-Token"],
                signature=headers["X-Twilio-Signature"],
            )
        )
        reply = self.paths.get(path, 404)
        if isinstance(reply, list):
            reply = reply.pop(0) if len(reply) > 1 else reply[0]
        if callable(reply):
            reply = reply(params)
        if reply == 0:
            raise WebhookFailed("no answer")
        if isinstance(reply, int):
            return reply, "text/plain", b""
        if isinstance(reply, tuple):
            return 200, reply[0], reply[1].encode()
        return 200, "text/xml", f"<Response>{reply}</Response>".encode()

    @property
    def asked(self) -> list[str]:
        return [request.path for request in self.requests]

    @property
    def last(self) -> dict[str, str]:
        params: dict[str, str] = self.requests[-1].params
        return params


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make_call(line: Line, clock: Clock | None = None, **settings_: str) -> PracticeCall:
    return PracticeCall.new(
        BASE,
        auth_token=TOKEN,
        transport=line,
        clock=clock or Clock(),
        randomness=random.Random(12345),
        **settings_,
    )


def started(line: Line, clock: Clock | None = None, **settings_: str) -> PracticeCall:
    call = make_call(line, clock, **settings_)
    call.start("/voice")
    return call


def kinds(events: list[Event]) -> list[str]:
    return [event.type for event in events]


# ---- requests


def test_the_first_request_tells_what_twilio_tells() -> None:
    line = Line(voice="<Hangup/>")
    make_call(line, from_="+8613900000001", to="+8655112345").start("/voice")
    told = line.requests[0].params
    assert (
        told.items()
        >= {
            "AccountSid": "AC" + "0" * 32,
            "From": "+8613900000001",
            "Caller": "+8613900000001",
            "To": "+8655112345",
            "Called": "+8655112345",
            "CallStatus": "ringing",
            "Direction": "inbound",
            "ApiVersion": "2010-04-01",
            "FromCountry": "CN",
            "ToCountry": "CN",
        }.items()
    )
    assert told["CallSid"].startswith("CA") and len(told["CallSid"]) == 34
    assert "ForwardedFrom" not in told


def test_every_request_is_signed_as_twilio_signs() -> None:
    line = Line(voice='<Redirect method="GET">next?x=一</Redirect>', next="<Hangup/>", status="")
    started(line, status_callback="/status")
    assert [(request.method, request.path) for request in line.requests] == [
        ("POST", "/voice"),
        ("GET", "/next"),
        ("POST", "/status"),
    ]  # and Line has checked each signature


def test_a_signature_of_another_account_does_not_fit() -> None:
    line = Line(voice="<Hangup/>")
    started(line)
    request = line.requests[0]
    assert not RequestValidator("another").validate(request.url, request.params, request.signature)


def test_addresses_are_relative_to_the_current_document() -> None:
    line = Line(**{"ivr/voice": "<Redirect>turn/1</Redirect>", "ivr/turn/1": "<Gather action='2'/>"})
    line.paths["/ivr/turn/2"] = "<Hangup/>"
    call = make_call(line)
    call.start("/ivr/voice")
    call.press("1")
    assert line.asked == ["/ivr/voice", "/ivr/turn/1", "/ivr/turn/2"]


def test_nothing_outside_the_line_is_called() -> None:
    line = Line(voice="<Redirect>https://elsewhere.test/x</Redirect>")
    events = make_call(line).start("/voice")
    assert line.asked == ["/voice"]
    assert events[0] == Error(
        11200, "the practice phone calls only its own line, https://line.test/", "https://elsewhere.test/x"
    )


def test_a_repeated_webhook_is_the_same_to_the_letter() -> None:
    line = Line(voice="<Gather action='/turn'/>", turn=["<Say>第一次</Say>", "<Say>第二次</Say>"])
    call = started(line)
    call.press("1")
    assert call.repeat_last_webhook() == "<Response><Say>第二次</Say></Response>"
    first, again = line.requests[-2:]
    assert (again.url, again.params, again.token, again.signature) == (
        first.url,
        first.params,
        first.token,
        first.signature,
    )
    assert line.requests[0].token != first.token


@pytest.mark.parametrize(
    ("overrides", "tries"), [("", 1), ("#rc=2&rp=5xx", 3), ("#rc=2&rp=4xx", 1), ("#rc=9&rp=all", 6)]
)
def test_a_failed_webhook_is_tried_again_as_its_address_says(overrides: str, tries: int) -> None:
    line = Line(voice=f"<Redirect>/next{overrides.replace('&', '&amp;')}</Redirect>", next=503)
    make_call(line).start("/voice")
    assert line.asked == ["/voice"] + ["/next"] * tries
    assert len({request.token for request in line.requests[1:]}) == 1


def test_a_line_that_can_not_be_connected_to_is_tried_once_more() -> None:
    tries = []

    def refuse(request: httpx.Request) -> httpx.Response:
        tries.append(request.headers["I-Twilio-Idempotency-Token"])
        raise httpx.ConnectError("refused")

    transport = HttpTransport(httpx.Client(transport=httpx.MockTransport(refuse)))
    PracticeCall.new(BASE, auth_token=TOKEN, transport=transport).start("/voice")
    assert len(tries) == 2 and len(set(tries)) == 1


def test_nothing_can_be_repeated_before_the_call() -> None:
    with pytest.raises(ValueError, match="no webhook"):
        make_call(Line()).repeat_last_webhook()


# ---- plain verbs


def test_the_call_ends_with_the_document() -> None:
    call = make_call(Line(voice="<Say voice='Polly.Zhiyu' language='cmn-CN'>您好</Say><Play>/a.mp3</Play>"))
    assert call.start("/voice") == [
        Say("您好", "cmn-CN", "Polly.Zhiyu"),
        Play("https://line.test/a.mp3"),
        HungUp("document_end"),
    ]
    assert call.status == "ended"


def test_hangup_ends_the_call_before_the_rest() -> None:
    assert make_call(Line(voice="<Hangup/><Say>不</Say>")).start("/voice") == [HungUp("line")]


def test_reject_does_not_answer() -> None:
    line = Line(voice="<Reject reason='busy'/>", status="")
    assert make_call(line, status_callback="/status").start("/voice") == [HungUp("busy")]
    assert line.last["CallStatus"] == "busy"


def test_a_pause_waits_for_time_to_pass() -> None:
    call = make_call(Line(voice="<Pause length='3'/><Say>好了</Say>"))
    assert call.start("/voice") == [Pause(3)]
    assert call.status == "paused"
    assert spoken(call.wait()) == "好了"


def test_documents_that_lead_in_a_circle_give_the_caller_a_turn() -> None:
    line = Line(voice="<Say>请稍候</Say><Redirect>/voice</Redirect>")
    call = started(line)
    assert call.status == "paused"
    assert len(line.requests) == DOCUMENTS_IN_A_ROW + 1
    assert call.hang_up()[0] == HungUp("caller")


# ---- Gather


def test_a_gather_prompts_and_then_listens() -> None:
    call = make_call(
        Line(
            voice="<Gather input='speech dtmf' hints='暖气, 物业' numDigits='4' timeout='7'"
            " language='cmn-Hans-CN'><Say>请讲</Say><Pause/></Gather>"
        )
    )
    assert call.start("/voice") == [
        Say("请讲"),
        Pause(1),
        Listening("dtmf speech", 4, "#", 7, ("暖气", "物业"), "cmn-Hans-CN"),
    ]


def test_what_is_said_reaches_the_action() -> None:
    line = Line(voice="<Gather input='speech' action='/turn'/>", turn="<Say>明白</Say><Gather input='speech'/>")
    call = started(line)
    assert spoken(call.speak("暖气不热", confidence=0.72)) == "明白"
    assert line.last["SpeechResult"] == "暖气不热"
    assert line.last["Confidence"] == "0.72"
    assert line.last["CallStatus"] == "in-progress"
    assert "Digits" not in line.last


def test_without_an_action_the_current_document_is_asked() -> None:
    line = Line(voice=["<Gather/>", "<Hangup/>"])
    started(line).press("1#")
    assert line.asked == ["/voice", "/voice"]
    assert line.last["Digits"] == "1"


@pytest.mark.parametrize(
    ("gather", "pressed", "sent"),
    [
        ("<Gather action='/turn'/>", "123#", "123"),
        ("<Gather action='/turn' numDigits='2'/>", "1234", "12"),
        ("<Gather action='/turn' finishOnKey='*'/>", "1#2*", "1#2"),
        ("<Gather action='/turn' finishOnKey=''/>", "1#", "1#"),
        ("<Gather action='/turn'/>", "12", "12"),
    ],
)
def test_keys_end_as_the_gather_says(gather: str, pressed: str, sent: str) -> None:
    line = Line(voice=gather, turn="<Hangup/>")
    started(line).press(pressed)
    assert line.last["Digits"] == sent


def test_keys_pressed_one_by_one_are_collected() -> None:
    line = Line(voice="<Gather action='/turn' numDigits='3'/>", turn="<Hangup/>")
    call = started(line)
    assert call.press("1", then_wait=False) == [Keys("1")]
    assert call.press("2", then_wait=False) == [Keys("12")]
    call.press("3", then_wait=False)
    assert line.last["Digits"] == "123"


def test_keys_that_are_not_finished_are_sent_after_a_silence() -> None:
    line = Line(voice="<Gather action='/turn'/>", turn="<Hangup/>")
    call = started(line)
    call.press("12", then_wait=False)
    call.silence()
    assert line.last["Digits"] == "12"


def test_the_finishing_key_alone_is_no_input() -> None:
    line = Line(voice="<Gather action='/turn'/><Say>没有听到</Say>")
    assert spoken(started(line).press("#")) == "没有听到"
    assert line.asked == ["/voice"]


def test_silence_falls_through_to_the_next_verb() -> None:
    line = Line(voice="<Gather action='/turn'/><Say>没有听到</Say>")
    assert spoken(started(line).silence()) == "没有听到"
    assert line.asked == ["/voice"]


def test_silence_reaches_an_action_that_wants_empty_results() -> None:
    line = Line(voice="<Gather action='/turn' actionOnEmptyResult='true'/><Say>不</Say>", turn="<Hangup/>")
    assert spoken(started(line).silence()) == ""
    assert line.asked == ["/voice", "/turn"]
    assert not {"Digits", "SpeechResult", "Confidence"} & set(line.last)


def test_saying_nothing_is_silence() -> None:
    assert spoken(started(Line(voice="<Gather input='speech'/><Say>没有听到</Say>")).speak("  ")) == "没有听到"


def test_a_gather_for_keys_does_not_hear_words_nor_one_for_words_keys() -> None:
    call = started(Line(voice="<Gather/>"))
    assert call.speak("喂") == [NotHeard("喂")]
    assert call.status == "listening"
    call = started(Line(voice="<Gather input='speech'/>"))
    assert call.press("1") == [NotHeard("1")]


def test_keys_have_precedence_over_words() -> None:
    call = started(Line(voice="<Gather input='dtmf speech'/>"))
    call.press("1", then_wait=False)
    assert call.speak("喂") == [NotHeard("喂")]


def test_a_gather_can_ask_by_get() -> None:
    line = Line(voice="<Gather method='GET' action='/turn?call=1'/>", turn="<Hangup/>")
    started(line).press("5")
    assert line.requests[-1].method == "GET"
    assert line.last["call"] == "1" and line.last["Digits"] == "5"


def test_keys_that_phones_do_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match="not keys"):
        started(Line(voice="<Gather/>")).press("1a")


# ---- Record


RECORD = "<Record action='/recorded' maxLength='60' {}/><Say>没有录到</Say>"


def test_a_recording_reaches_the_action() -> None:
    line = Line(voice=RECORD.format("finishOnKey='#'"), recorded="<Say>已记录</Say>")
    call = make_call(line)
    assert call.start("/voice") == [Recording(60, True, "#")]
    assert spoken(call.finish_recording(12)) == "已记录"
    assert line.last["RecordingDuration"] == "12"
    assert line.last["RecordingUrl"] == f"{BASE}/phone/recordings/{line.last['RecordingSid']}"
    assert line.last["RecordingSid"].startswith("RE") and len(line.last["RecordingSid"]) == 34
    assert "Digits" not in line.last


def test_a_recording_is_no_longer_than_it_may_be() -> None:
    line = Line(voice=RECORD.format(""), recorded="<Hangup/>")
    started(line).finish_recording(600)
    assert line.last["RecordingDuration"] == "60"


def test_nothing_recorded_falls_through() -> None:
    for act in (PracticeCall.silence, lambda call: call.finish_recording(0)):
        line = Line(voice=RECORD.format(""))
        assert spoken(act(started(line))) == "没有录到"
        assert line.asked == ["/voice"]


def test_a_finishing_key_ends_the_recording(clock: Clock) -> None:
    line = Line(voice=RECORD.format("finishOnKey='#'"), recorded="<Hangup/>")
    call = started(line, clock)
    assert call.press("5") == [NotHeard("5")]
    clock.now += 9
    call.press("#")
    assert (line.last["Digits"], line.last["RecordingDuration"]) == ("#", "9")


def test_hanging_up_keeps_what_was_recorded(clock: Clock) -> None:
    line = Line(voice=RECORD.format(""), recorded="<Say>不会听到</Say>")
    call = started(line, clock)
    clock.now += 20
    assert call.hang_up() == [HungUp("caller")]
    assert (line.last["Digits"], line.last["RecordingDuration"]) == ("hangup", "20")
    assert line.last["CallStatus"] == "completed"


def test_the_recording_status_callback_follows_the_action() -> None:
    line = Line(
        voice=RECORD.format("recordingStatusCallback='/done'"),
        recorded="<Gather/>",
        done=("text/plain", "ok"),
    )
    assert kinds(started(line).finish_recording(5)) == ["listening"]
    assert line.asked == ["/voice", "/recorded", "/done"]
    assert line.last["RecordingStatus"] == "completed"
    assert line.last["RecordingSid"] == line.requests[1].params["RecordingSid"]


def test_a_transcript_is_sent_where_one_is_asked_for() -> None:
    line = Line(voice=RECORD.format("transcribe='true' transcribeCallback='/words'"), recorded="<Hangup/>", words="")
    started(line).speak("我家停水了")
    assert next(r for r in line.requests if r.path == "/words").params["TranscriptionText"] == "我家停水了"


# ---- Enqueue


ENQUEUE = "<Enqueue action='/left' waitUrl='/wait'>人工</Enqueue><Say>之后</Say>"


def test_a_queued_caller_hears_the_waiting_document() -> None:
    line = Line(voice=ENQUEUE, wait="<Say>请稍候</Say><Play>/music.mp3</Play>")
    call = make_call(line)
    assert call.start("/voice") == [Queued("人工", 1), Say("请稍候"), Play(f"{BASE}/music.mp3")]
    assert call.status == "queued"
    asked = line.last
    assert (asked["QueuePosition"], asked["CurrentQueueSize"], asked["QueueTime"]) == ("1", "1", "0")
    assert {"QueueSid", "AvgQueueTime", "MaxQueueSize"} <= set(asked)


def test_the_waiting_document_is_asked_for_again_and_again(clock: Clock) -> None:
    line = Line(voice=ENQUEUE, wait=["<Say>第一遍</Say>", "<Say>第二遍</Say><Pause length='9'/><Say>还在</Say>"])
    call = started(line, clock)
    clock.now += 30
    call.state.queue_position = 2
    assert call.wait() == [Say("第二遍"), Pause(9)]
    assert (line.last["QueueTime"], line.last["QueuePosition"]) == ("30", "2")
    assert call.wait() == [Say("还在")]
    assert spoken(call.wait()) == "第二遍"


def test_without_a_wait_url_there_is_music() -> None:
    call = make_call(Line(voice="<Enqueue>人工</Enqueue>"))
    assert kinds(call.start("/voice")) == ["queued", "play"]
    assert kinds(call.wait()) == ["play"]


def test_a_queued_caller_can_press_a_key_to_leave(clock: Clock) -> None:
    line = Line(
        voice=ENQUEUE,
        wait="<Gather numDigits='1' action='/choice'><Say>按1留言</Say></Gather>",
        choice="<Leave/>",
        left="<Say>请留言</Say><Record/>",
    )
    call = started(line, clock)
    assert call.status == "listening"
    clock.now += 45
    events = call.press("1")
    assert kinds(events) == ["say", "recording"]
    assert line.asked == ["/voice", "/wait", "/choice", "/left"]
    assert (line.last["QueueResult"], line.last["QueueTime"]) == ("leave", "45")
    assert line.last["QueueSid"] == line.requests[1].params["QueueSid"]


def test_silence_in_the_queue_goes_round_again() -> None:
    line = Line(voice=ENQUEUE, wait="<Gather><Say>按1留言</Say></Gather>")
    assert kinds(started(line).silence()) == ["say", "listening"]
    assert line.asked == ["/voice", "/wait", "/wait"]


def test_leaving_without_an_action_goes_on_after_the_enqueue() -> None:
    line = Line(voice="<Enqueue waitUrl='/wait'>人工</Enqueue><Say>之后</Say>", wait="<Leave/>")
    assert spoken(make_call(line).start("/voice")) == "之后"


def test_hanging_up_in_the_queue_is_told(clock: Clock) -> None:
    line = Line(voice=ENQUEUE, wait="<Pause/>", left="<Say>不会听到</Say>")
    call = started(line, clock)
    clock.now += 7
    assert call.hang_up() == [HungUp("caller")]
    assert line.last.items() >= {"QueueResult": "hangup", "QueueTime": "7", "CallStatus": "completed"}.items()


def test_an_operator_takes_the_caller_out_of_the_queue() -> None:
    line = Line(voice=ENQUEUE, wait="<Pause/>", left="<Say>再见</Say>")
    call = started(line)
    assert call.other_side_answers() == [Connected()]
    assert spoken(call.other_side_hangs_up()) == "再见"
    assert line.last["QueueResult"] == "bridged"


def test_a_waiting_document_with_a_verb_for_calls_is_refused() -> None:
    line = Line(voice=ENQUEUE, wait="<Dial>+8613800138000</Dial>", left="")
    events = make_call(line).start("/voice")
    assert [event.code for event in events if isinstance(event, Error)] == [12200]


def test_the_line_can_redirect_a_queued_call() -> None:
    line = Line(voice=ENQUEUE, wait="<Pause/>", left="", bridge="<Dial><Client>op-1</Client></Dial>")
    assert started(line).redirected("/bridge") == [Dialling("client", "op-1")]
    assert line.requests[-2].params["QueueResult"] == "redirected"


# ---- Dial


DIAL = "<Dial action='/dialled'><Client><Identity>operator-7</Identity></Client></Dial><Say>之后</Say>"


def test_a_dialled_phone_rings_and_is_answered() -> None:
    call = make_call(Line(voice=DIAL))
    assert call.start("/voice") == [Dialling("client", "operator-7")]
    assert call.wait() == [Connected()]
    assert call.status == "connected"


def test_the_action_learns_how_the_conversation_went(clock: Clock) -> None:
    line = Line(voice=DIAL, dialled="<Say>请评价</Say><Gather/>")
    call = started(line, clock)
    call.other_side_answers()
    clock.now += 90
    assert spoken(call.other_side_hangs_up()) == "请评价"
    assert line.last.items() >= {"DialCallStatus": "completed", "DialCallDuration": "90"}.items()


@pytest.mark.parametrize("why", ["no-answer", "busy", "failed"])
def test_the_action_learns_why_nobody_was_reached(why: Any) -> None:
    line = Line(voice=DIAL, dialled="<Hangup/>")
    started(line).dial_fails(why)
    assert line.last["DialCallStatus"] == why
    assert "DialCallDuration" not in line.last


def test_without_an_action_the_call_goes_on_after_the_dial() -> None:
    call = started(Line(voice="<Dial>+8613800138000</Dial><Say>之后</Say>"))
    assert spoken(call.other_side_hangs_up()) == "之后"


def test_hanging_up_ends_a_conversation(clock: Clock) -> None:
    line = Line(voice=DIAL, dialled="")
    call = started(line, clock)
    call.wait()
    clock.now += 5
    assert call.hang_up() == [HungUp("caller")]
    assert (line.last["DialCallStatus"], line.last["CallStatus"]) == ("completed", "completed")


def test_star_ends_a_conversation_where_the_dial_says_so() -> None:
    call = started(Line(voice="<Dial hangupOnStar='true'>12345</Dial><Say>之后</Say>"))
    call.wait()
    assert spoken(call.press("*")) == "之后"


# ---- the end, and failures


def test_the_end_is_told_with_the_length_of_the_call(clock: Clock) -> None:
    line = Line(voice="<Gather/>", status="")
    call = started(line, clock, status_callback="/status")
    clock.now += 61
    call.hang_up()
    assert line.last.items() >= {"CallStatus": "completed", "CallDuration": "61"}.items()


@pytest.mark.parametrize(
    ("reply", "code"),
    [(500, 11200), (404, 11200), (0, 11200), (("text/html", "<html/>"), 12300), ("<Shout>喂</Shout>", 12200)],
)
def test_a_failure_goes_to_the_fallback(reply: Reply, code: int) -> None:
    line = Line(voice=reply, fallback="<Say>请留言</Say><Record/>")
    events = make_call(line, fallback_url="/fallback").start("/voice")
    assert kinds(events) == ["error", "say", "recording"]
    assert line.last.items() >= {"ErrorCode": str(code), "ErrorUrl": f"{BASE}/voice"}.items()


def test_a_failure_in_the_middle_of_a_call_goes_to_the_fallback() -> None:
    line = Line(voice="<Gather action='/turn'/>", turn=500, fallback="<Say>请留言</Say><Record/>")
    assert kinds(started(line, fallback_url="/fallback").press("1")) == ["error", "say", "recording"]


def test_without_a_fallback_a_failure_ends_the_call() -> None:
    events = make_call(Line(voice=503)).start("/voice")
    assert events == [Error(11200, "HTTP status 503", f"{BASE}/voice"), HungUp("error")]


def test_a_fallback_that_fails_ends_the_call() -> None:
    events = make_call(Line(voice=500, fallback=500), fallback_url="/fallback").start("/voice")
    assert kinds(events) == ["error", "error", "hung_up"]


def test_a_failing_status_callback_is_noticed() -> None:
    events = make_call(Line(voice="<Hangup/>", status=500), status_callback="/status").start("/voice")
    assert kinds(events) == ["hung_up", "error"]


def test_nothing_is_heard_after_the_end() -> None:
    line = Line(voice="<Hangup/>")
    call = started(line)
    assert call.speak("喂") == [NotHeard("喂")]
    assert call.silence() == call.wait() == call.hang_up() == []
    assert line.asked == ["/voice"]


def test_a_call_is_started_once() -> None:
    with pytest.raises(ValueError, match="already"):
        started(Line(voice="<Gather/>")).start("/voice")


# ---- the state


ACTS: dict[str, Callable[[PracticeCall], list[Event]]] = {
    "press": lambda call: call.press("1", then_wait=False),
    "press #": lambda call: call.press("#"),
    "speak": lambda call: call.speak("喂"),
    "silence": PracticeCall.silence,
    "wait": PracticeCall.wait,
    "record": lambda call: call.finish_recording(3),
    "answers": PracticeCall.other_side_answers,
    "other hangs up": PracticeCall.other_side_hangs_up,
    "fails": lambda call: call.dial_fails("busy"),
    "redirected": lambda call: call.redirected("/voice"),
    "hang up": PracticeCall.hang_up,
}


@settings(deadline=None)
@given(st.lists(st.sampled_from(sorted(ACTS)), max_size=12))
def test_whatever_the_caller_does_the_call_goes_on_or_ends(acts: list[str]) -> None:
    line = Line(
        voice="<Gather input='speech dtmf' action='/turn'/><Record action='/turn'/>" + DIAL,
        turn=["<Pause/><Redirect>/queue</Redirect>", "<Gather/>", 500],
        queue=ENQUEUE,
        wait=["<Gather action='/leave'/><Pause/>", "<Play>/m.mp3</Play>", "<Leave/>"],
        leave="<Leave/>",
        left=DIAL,
        dialled="<Redirect>/voice</Redirect>",
        fallback="<Record/>",
    )
    call = started(line, fallback_url="/fallback")
    for act in acts:
        events = ACTS[act](call)
        assert call.status not in ("new", "talking")
        assert ("hung_up" in kinds(events)) <= (call.status == "ended")
        json.dumps([event.to_dict() for event in events])


# ---- the terminal


def converse(line: Line, typed: str) -> str:
    """What the terminal prints when this is piped into it."""
    out = io.StringIO()
    Terminal(make_call(line), read_texts("zh"), io.StringIO(typed), out, sleep=lambda _: None).run("/voice")
    return out.getvalue()


def test_a_conversation_through_a_pipe_reads_as_one() -> None:
    line = Line(voice="<Gather input='speech' action='/turn'><Say>您好，请讲</Say></Gather>", turn="<Say>明白</Say>")
    assert converse(line, "暖气不热\n").splitlines() == [
        "📞 您好，请讲",
        "🗣  暖气不热",
        "📞 明白",
        "   通话结束",
    ]


def test_the_end_of_the_input_hangs_up() -> None:
    assert converse(Line(voice="<Gather/>"), "").splitlines() == ["   您已挂断"]


def test_the_terminal_takes_keys_silence_and_commands() -> None:
    line = Line(
        voice="<Gather input='dtmf speech' action='/turn'/><Redirect>/voice</Redirect>",
        turn="<Redirect>/voice</Redirect>",
    )
    converse(line, "0\n\n/说 12345\n/重发\n/帮助\n/不知道\n/挂\n")
    sent = [request.params for request in line.requests if request.path == "/turn"]
    assert [params.get("Digits") or params.get("SpeechResult") for params in sent] == ["0", "12345"]


def test_the_terminal_sits_out_pauses_by_itself() -> None:
    assert "好了" in converse(Line(voice="<Pause/><Pause/><Say>好了</Say>"), "")


# ---- the page


SETTINGS = SimpleNamespace(
    twilio_account_sid="", twilio_auth_token=TOKEN, exchange_port=8002, environment="development"
)


@pytest.fixture
def line() -> Line:
    return Line(
        **{
            "ivr/voice": "<Gather input='dtmf speech' action='/ivr/turn'><Say>您好，请讲</Say></Gather>",
            "ivr/turn": "<Enqueue>人工</Enqueue>",
            "ivr/status": "",
        }
    )


@pytest.fixture
def page(line: Line) -> FlaskClient:
    app = Flask(__name__)
    exchange = make_exchange(Switch(BASE, auth_token=TOKEN, transport=line, clock=Clock()))
    app.register_blueprint(make_phone_blueprint(SETTINGS, transport=httpx.WSGITransport(exchange)))
    return app.test_client()


def take(page: FlaskClient, address: str = "+8613900000009", **act: Any) -> Any:
    return page.post(f"/phone/windows/{address}", json=act)


def test_the_page_speaks_chinese_and_english_without_inline_scripts(page: FlaskClient) -> None:
    chinese, english = page.get("/phone").text, page.get("/phone?lang=en").text
    assert "练习电话" in chinese and "Practice phone" in english
    for test_id in ("call", "hangup", "speech-input", "send", "transcript", "status", "keys", "key-#"):
        assert f'data-testid="{test_id}"' in chinese
    assert "style=" not in chinese and "onclick" not in chinese and "<style" not in chinese
    assert chinese.count("<script") == 2 and '<script type="application/json"' in chinese


def test_both_languages_have_the_same_texts() -> None:
    def names(texts: dict[str, Any]) -> set[str]:
        return set(texts) | {f"{k}.{n}" for k, v in texts.items() if isinstance(v, dict) for n in v}

    assert names(read_texts("zh")) == names(read_texts("en"))


def test_an_operators_page_is_the_operators_window(page: FlaskClient) -> None:
    assert 'data-address="client:operator1"' in page.get("/phone?as=operator1").text
    assert 'data-address="+8613900000002"' in page.get("/phone?as=%2B8613900000002").text
    assert "<script>" not in page.get("/phone?as=<script>").text


def test_the_page_takes_a_call_act_by_act(page: FlaskClient, line: Line) -> None:
    first = take(page, type="dial").json
    assert [event["type"] for event in first["events"]] == ["say", "listening"]
    assert first["status"] == "listening"
    second = take(page, type="speak", text="转人工", confidence=0.8, after=first["last"]).json
    assert second["queue_position"] == 1
    third = take(page, type="hang_up", after=second["last"]).json
    assert third["events"][-1] == {"number": third["last"], "type": "hung_up", "reason": "caller"}
    assert line.requests[0].params["From"] == "+8613900000009"


def test_the_page_can_repeat_a_webhook(page: FlaskClient) -> None:
    take(page, type="dial")
    assert "您好" in take(page, type="repeat").json["repeated"]


def test_what_was_done_can_be_kept(page: FlaskClient) -> None:
    take(page, type="dial")
    (kept,) = page.get("/phone/session").json or []
    assert (kept["address"], kept["act"]) == ("+8613900000009", {"type": "dial"})


def test_what_no_page_sends_is_refused(page: FlaskClient) -> None:
    assert take(page, type="explode").status_code == 400
    assert take(page, address="me", type="dial").status_code == 404


def test_a_form_of_another_site_is_refused(page: FlaskClient, line: Line) -> None:
    answer = page.post("/phone/windows/+8613900000009", data=b'{"type": "dial"}', content_type="text/plain")
    assert answer.status_code == 400
    assert line.asked == []


def test_without_the_exchange_the_page_says_so(line: Line) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    app = Flask(__name__)
    app.register_blueprint(make_phone_blueprint(SETTINGS, transport=httpx.MockTransport(refuse)))
    answer = take(app.test_client(), type="dial")
    assert (answer.status_code, answer.json["code"]) == (503, "no_exchange")


def test_a_recording_can_be_fetched_as_a_wav(page: FlaskClient) -> None:
    for ending in ("", ".wav"):
        answer = page.get(f"/phone/recordings/RE{'0' * 32}{ending}?seconds=2")
        assert answer.mimetype == "audio/wav"
        assert answer.data == silent_wav(2)
    assert len(silent_wav(2)) == 44 + 16_000
    assert page.get("/phone/recordings/nothing").status_code == 404


def test_production_has_no_practice_phone() -> None:
    with pytest.raises(RuntimeError, match="development"):
        make_phone_blueprint(SimpleNamespace(**{**vars(SETTINGS), "environment": "production"}))
