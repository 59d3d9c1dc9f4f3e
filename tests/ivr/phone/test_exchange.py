"""The practice exchange does what Twilio does: its REST API, asked through the twilio package, and calls that meet."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from twilio.base.exceptions import TwilioRestException
from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.rest import Client

from ivr.phone.call import PRACTICE_ACCOUNT, PracticeCall
from ivr.phone.exchange import create_exchange, make_exchange
from ivr.phone.noise import Noise
from ivr.phone.switch import Manner, Switch
from ivr.phone.windows import replay
from ivr.provider import Provider
from tests.ivr.phone.test_call import BASE, TOKEN, Clock, Line

CITIZEN, OPERATOR, AGENCY, LINE = "+8613900000001", "client:operator1", "+8655112345678", "+8612345"
CALL_EVENTS = ["initiated", "ringing", "answered", "completed"]


class InProcess(HttpClient):
    """Brings the twilio package's requests to the exchange in this process."""

    def __init__(self, app: Any) -> None:
        self.http = httpx.Client(transport=httpx.WSGITransport(app), base_url="http://exchange.test")

    def request(self, method: str, uri: str, params=None, data=None, headers=None, auth=None, **_: Any) -> Response:
        uri = uri.removeprefix("https://api.twilio.com")
        answer = self.http.request(method, uri, params=params, data=data, headers=headers, auth=auth)
        return Response(answer.status_code, answer.text, answer.headers)


class Exchange:
    """An exchange over a line whose answers are written down."""

    def __init__(self, line: Line) -> None:
        self.line, self.clock = line, Clock()
        self.switch = Switch(BASE, auth_token=TOKEN, transport=line, clock=self.clock, randomness=random.Random(7))
        self.app = make_exchange(self.switch)
        self.rest = Client(PRACTICE_ACCOUNT, TOKEN, http_client=InProcess(self.app))

    def call(self, to: str = CITIZEN, **options: Any) -> Any:
        """Have the REST API make a call, and let it ring."""
        options = options or {"url": f"{BASE}/hello"}
        made = self.rest.calls.create(to=to, from_=LINE, **options)
        self.switch.tick()
        return made

    def status_of(self, call: Any) -> str:
        return str(self.rest.calls(call.sid).fetch().status)

    def heard(self, address: str) -> list[str]:
        """What was heard at a window: words said, else the event's name."""
        events = self.switch.logs.get(address, [])
        return [event.get("text") or event["type"] for event in events]

    def told(self, path: str, field: str) -> list[str]:
        """One field of all webhooks to a path, in order."""
        return [request.params.get(field, "") for request in self.line.requests if request.path == path]


def refused(act: Any) -> tuple[int, int]:
    """Twilio's error code and the HTTP status of what is refused."""
    with pytest.raises(TwilioRestException) as refusal:
        act()
    return refusal.value.code, refusal.value.status


@pytest.fixture
def exchange() -> Exchange:
    return Exchange(Line(hello="<Say>您好</Say><Gather/>", status=""))


# ---- calls that the line makes


def test_a_call_rings_is_answered_and_hears_its_document(exchange: Exchange) -> None:
    call = exchange.call(url=f"{BASE}/hello", status_callback=f"{BASE}/status", status_callback_event=CALL_EVENTS)
    assert exchange.status_of(call) == "ringing"
    assert exchange.heard(CITIZEN) == ["ringing"]
    exchange.switch.answer(CITIZEN)
    assert exchange.heard(CITIZEN) == ["ringing", "您好", "listening"]
    assert exchange.told("/hello", "Direction") == ["outbound-api"]
    assert exchange.told("/hello", "From") == [LINE]
    exchange.switch.act(CITIZEN, PracticeCall.hang_up)
    assert exchange.status_of(call) == "completed"
    assert exchange.told("/status", "CallStatus") == ["initiated", "ringing", "in-progress", "completed"]
    assert exchange.told("/status", "SequenceNumber") == ["0", "1", "2", "3"]


def test_a_call_rings_no_longer_than_it_may(exchange: Exchange) -> None:
    call = exchange.call(url=f"{BASE}/hello", timeout=20, status_callback=f"{BASE}/status")
    exchange.clock.now += 19
    exchange.switch.tick()
    assert exchange.status_of(call) == "ringing"
    exchange.clock.now += 1
    exchange.switch.tick()
    assert exchange.status_of(call) == "no-answer"
    assert exchange.told("/status", "CallStatus") == ["no-answer"]
    assert exchange.told("/status", "CallDuration") == ["0"]


@pytest.mark.parametrize("why", ["busy", "failed", "no-answer"])
def test_a_telephone_that_can_not_be_reached(exchange: Exchange, why: Any) -> None:
    exchange.switch.manners[CITIZEN] = Manner(why)
    assert exchange.status_of(exchange.call()) == why


def test_a_declined_call_is_busy_and_a_canceled_one_stops_ringing(exchange: Exchange) -> None:
    declined = exchange.call()
    exchange.switch.decline(CITIZEN)
    assert exchange.status_of(declined) == "busy"
    canceled = exchange.call()
    exchange.rest.calls(canceled.sid).update(status="canceled")
    exchange.switch.tick()
    assert exchange.status_of(canceled) == "canceled"
    exchange.switch.answer(CITIZEN)
    assert exchange.line.asked == []


@pytest.mark.parametrize("who", ["human", "machine_start", "unknown"])
def test_the_document_learns_who_has_answered(exchange: Exchange, who: Any) -> None:
    exchange.switch.manners[CITIZEN] = Manner(who)
    call = exchange.call(url=f"{BASE}/hello", machine_detection="Enable")
    assert exchange.told("/hello", "AnsweredBy") == [who]
    assert exchange.rest.calls(call.sid).fetch().answered_by == who


def test_detection_beside_the_call_has_a_callback_of_its_own(exchange: Exchange) -> None:
    exchange.line.paths["/amd"] = ""
    exchange.switch.manners[CITIZEN] = Manner("machine_start")
    exchange.call(
        url=f"{BASE}/hello",
        machine_detection="DetectMessageEnd",
        async_amd="true",
        async_amd_status_callback=f"{BASE}/amd",
    )
    assert exchange.told("/hello", "AnsweredBy") == [""]
    assert exchange.told("/amd", "AnsweredBy") == ["machine_end_beep"]


def test_a_call_can_be_moved_to_another_document_and_ended(exchange: Exchange) -> None:
    exchange.line.paths["/other"] = "<Say>换一句</Say><Gather/>"
    call = exchange.call()
    exchange.switch.answer(CITIZEN)
    exchange.rest.calls(call.sid).update(url=f"{BASE}/other", method="POST")
    exchange.switch.tick()
    exchange.rest.calls(call.sid).update(twiml="<Response><Say>第三句</Say><Gather/></Response>")
    exchange.switch.tick()
    assert exchange.heard(CITIZEN)[-4:] == ["换一句", "listening", "第三句", "listening"]
    exchange.rest.calls(call.sid).update(status="completed")
    exchange.switch.tick()
    assert exchange.status_of(call) == "completed"
    assert refused(lambda: exchange.rest.calls(call.sid).update(url=f"{BASE}/other")) == (21220, 400)


# ---- what is refused


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"to": ""}, 21201),
        ({"to": "110"}, 21211),
        ({"from_": ""}, 21213),
        ({"from_": "12345"}, 21212),
        ({"from_": "+8613900000009"}, 21210),
        ({"url": ""}, 21205),
        ({"url": "/relative"}, 21205),
        ({"status_callback": f"{BASE}/status", "status_callback_event": ["answered", "eaten"]}, 21626),
        ({"machine_detection": "Perhaps"}, 20001),
        ({"twiml": "<Response>" + " " * 4000 + "</Response>"}, 20001),
    ],
)
def test_a_call_that_twilio_would_refuse(exchange: Exchange, options: dict[str, Any], code: int) -> None:
    asked = {"to": CITIZEN, "from_": LINE, "url": f"{BASE}/hello"} | options
    assert refused(lambda: exchange.rest.calls.create(**asked)) == (code, 400)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"to": ""}, 21604),
        ({"to": "client:operator1"}, 21211),
        ({"from_": ""}, 21603),
        ({"from_": "+8613900000009"}, 21606),
        ({"body": ""}, 21602),
        ({"body": "长" * 1601}, 21617),
        ({"status_callback": "nowhere"}, 21609),
    ],
)
def test_a_message_that_twilio_would_refuse(exchange: Exchange, options: dict[str, Any], code: int) -> None:
    asked = {"to": CITIZEN, "from_": LINE, "body": "已受理"} | options
    assert refused(lambda: exchange.rest.messages.create(**asked)) == (code, 400)


def test_strangers_unknown_calls_and_too_many_requests_are_refused(exchange: Exchange) -> None:
    stranger = Client(PRACTICE_ACCOUNT, "wrong", http_client=InProcess(exchange.app))
    assert refused(lambda: stranger.calls("CA" + "0" * 32).fetch()) == (20003, 401)
    assert refused(lambda: exchange.rest.calls("CA" + "0" * 32).fetch()) == (20404, 404)
    assert refused(lambda: exchange.rest.applications("AP" + "0" * 32).fetch()) == (20404, 404)
    exchange.switch.refusals = 1
    assert refused(lambda: exchange.rest.calls("CA" + "0" * 32).fetch()) == (20429, 429)
    assert exchange.rest.calls.list() == []


# ---- two who talk


def dialled(exchange: Exchange, dial: str) -> None:
    """A citizen calls the line, which dials."""
    exchange.line.paths |= {
        "/ivr/voice": dial,
        "/ivr/status": "",
        "/ivr/fallback": "<Hangup/>",
        "/after": "<Say>再见</Say>",
    }
    exchange.switch.dial(CITIZEN)


def test_what_one_says_the_other_hears_until_one_hangs_up(exchange: Exchange) -> None:
    dialled(exchange, "<Dial action='/after'><Client>operator1</Client></Dial>")
    assert exchange.heard(OPERATOR) == ["ringing"]
    exchange.switch.answer(OPERATOR)
    exchange.switch.speak(CITIZEN, "暖气不热")
    exchange.switch.speak(OPERATOR, "请讲地址")
    exchange.switch.press(CITIZEN, "5")
    assert exchange.heard(OPERATOR)[-2:] == ["暖气不热", "heard_keys"]
    assert exchange.heard(CITIZEN)[-1] == "请讲地址"
    exchange.clock.now += 42
    exchange.switch.act(OPERATOR, PracticeCall.hang_up)
    assert exchange.told("/after", "DialCallStatus") == ["completed"]
    assert exchange.told("/after", "DialBridged") == ["true"]
    assert exchange.told("/after", "DialCallDuration") == ["42"]
    assert exchange.heard(CITIZEN)[-2:] == ["再见", "hung_up"]


def test_when_the_caller_hangs_up_the_other_is_hung_up_too(exchange: Exchange) -> None:
    dialled(exchange, "<Dial><Client>operator1</Client></Dial>")
    exchange.switch.answer(OPERATOR)
    exchange.switch.act(CITIZEN, PracticeCall.hang_up)
    assert exchange.heard(OPERATOR)[-1] == "hung_up"
    assert exchange.switch.leg_of(OPERATOR) is None


def test_a_caller_who_hangs_up_stops_the_ringing(exchange: Exchange) -> None:
    dialled(exchange, "<Dial><Client>operator1</Client></Dial>")
    exchange.switch.act(CITIZEN, PracticeCall.hang_up)
    assert exchange.switch.leg_of(OPERATOR) is None


def test_nobody_answers_a_dial(exchange: Exchange) -> None:
    dialled(exchange, "<Dial action='/after' timeout='25'><Client>operator1</Client></Dial>")
    exchange.clock.now += 25
    exchange.switch.tick()
    assert exchange.told("/after", "DialCallStatus") == ["no-answer"]
    assert exchange.told("/after", "DialBridged") == ["false"]


def test_of_several_who_ring_the_first_to_answer_gets_the_call(exchange: Exchange) -> None:
    dialled(exchange, f"<Dial action='/after'><Client>operator1</Client><Number>{AGENCY}</Number></Dial>")
    exchange.switch.answer(AGENCY)
    assert exchange.switch.leg_of(OPERATOR) is None
    exchange.switch.speak(AGENCY, "城管局")
    assert exchange.heard(CITIZEN)[-1] == "城管局"


def test_the_operator_hears_a_whisper_before_being_connected(exchange: Exchange) -> None:
    exchange.line.paths["/whisper"] = "<Say>市民反映暖气</Say><Pause length='1'/>"
    exchange.line.paths["/leg"] = ""
    dialled(
        exchange,
        "<Dial><Client url='/whisper' statusCallback='/leg' statusCallbackEvent='initiated ringing answered completed'>"
        "operator1</Client></Dial>",
    )
    exchange.switch.answer(OPERATOR)
    assert exchange.heard(OPERATOR)[1:] == ["市民反映暖气", "pause"]
    exchange.switch.speak(CITIZEN, "喂")  # the line doesn't listen yet, and nor does the operator
    assert exchange.heard(OPERATOR)[-1] == "pause"
    exchange.switch.wait(OPERATOR)
    exchange.switch.speak(CITIZEN, "喂")
    assert exchange.heard(OPERATOR)[-2:] == ["connected", "喂"]
    parent = exchange.switch.leg_of(CITIZEN)
    assert parent and exchange.told("/whisper", "ParentCallSid") == [parent.sid]
    assert exchange.told("/leg", "CallStatus") == ["initiated", "ringing", "in-progress"]


def test_hanging_up_in_the_whisper_is_answered_but_not_connected(exchange: Exchange) -> None:
    exchange.line.paths["/whisper"] = "<Gather/>"
    dialled(exchange, "<Dial action='/after'><Client url='/whisper'>operator1</Client></Dial>")
    exchange.switch.answer(OPERATOR)
    exchange.switch.act(OPERATOR, PracticeCall.hang_up)
    assert exchange.told("/after", "DialCallStatus") == ["completed"]
    assert exchange.told("/after", "DialBridged") == ["false"]


def test_a_whisper_can_not_dial(exchange: Exchange) -> None:
    exchange.line.paths["/whisper"] = f"<Dial>{AGENCY}</Dial>"
    dialled(exchange, "<Dial action='/after'><Client url='/whisper'>operator1</Client></Dial>")
    exchange.switch.answer(OPERATOR)
    assert exchange.heard(OPERATOR)[-2:] == ["error", "hung_up"]


def test_a_telephone_in_a_call_is_busy(exchange: Exchange) -> None:
    exchange.call()
    exchange.switch.answer(CITIZEN)
    assert exchange.status_of(exchange.call()) == "busy"
    with pytest.raises(ValueError, match="in a call"):
        exchange.switch.dial(CITIZEN)


def test_a_recorded_conversation_is_told_and_can_be_fetched(exchange: Exchange) -> None:
    exchange.line.paths["/recording"] = ""
    dialled(
        exchange,
        "<Dial record='record-from-answer' recordingStatusCallback='/recording'><Client>operator1</Client></Dial>",
    )
    exchange.switch.answer(OPERATOR)
    exchange.clock.now += 9
    exchange.switch.act(OPERATOR, PracticeCall.hang_up)
    assert exchange.told("/recording", "RecordingDuration") == ["9"]
    (recording,) = exchange.rest.recordings.list()
    assert (recording.duration, recording.source) == ("9", "DialVerb")
    sound = httpx.Client(transport=httpx.WSGITransport(exchange.app), auth=(PRACTICE_ACCOUNT, TOKEN))
    assert sound.get(exchange.told("/recording", "RecordingUrl")[0]).content[:4] == b"RIFF"


# ---- queues


def test_who_waits_longest_is_fetched_from_the_queue_and_goes_on_afterwards(exchange: Exchange) -> None:
    exchange.line.paths |= {
        "/wait": "<Play>/music.wav</Play>",
        "/left": "<Say>谢谢</Say>",
        "/taken": "<Say>马上接通</Say>",
    }
    dialled(exchange, "<Enqueue waitUrl='/wait' action='/left'>operators</Enqueue>")
    exchange.clock.now += 5
    exchange.switch.dial(AGENCY)
    assert exchange.told("/wait", "QueuePosition") == ["1", "2"]
    (waiting,) = exchange.rest.queues.list()
    assert (waiting.friendly_name, waiting.current_size) == ("operators", 2)

    exchange.line.paths["/hello"] = "<Dial><Queue url='/taken'>operators</Queue></Dial>"
    exchange.call(OPERATOR)
    exchange.switch.answer(OPERATOR)
    assert "马上接通" in exchange.heard(CITIZEN)
    exchange.switch.speak(OPERATOR, "您好")
    assert exchange.heard(CITIZEN)[-1] == "您好"
    exchange.switch.act(OPERATOR, PracticeCall.hang_up)
    assert exchange.told("/left", "QueueResult") == ["bridged"]
    assert exchange.heard(CITIZEN)[-2:] == ["谢谢", "hung_up"]


def test_an_empty_queue_is_waited_for_and_then_given_up(exchange: Exchange) -> None:
    exchange.line.paths["/hello"] = "<Dial timeout='10' action='/after'><Queue>operators</Queue></Dial>"
    exchange.line.paths["/after"] = "<Say>没有人</Say>"
    exchange.call(OPERATOR)
    exchange.switch.answer(OPERATOR)
    exchange.clock.now += 10
    exchange.switch.tick()
    assert exchange.heard(OPERATOR)[-2:] == ["没有人", "hung_up"]


def test_a_queued_caller_can_be_moved_to_a_conference(exchange: Exchange) -> None:
    exchange.line.paths |= {
        "/wait": "<Play>/music.wav</Play>",
        "/left": "",
        "/meet": "<Dial><Conference>c1</Conference></Dial>",
    }
    dialled(exchange, "<Enqueue waitUrl='/wait' action='/left'>operators</Enqueue>")
    leg = exchange.switch.leg_of(CITIZEN)
    assert leg
    exchange.rest.calls(leg.sid).update(url=f"{BASE}/meet", method="POST")
    exchange.switch.tick()
    assert exchange.told("/left", "QueueResult") == ["redirected"]
    assert [each.friendly_name for each in exchange.rest.conferences.list(status="init")] == ["c1"]


# ---- conferences

MEET = (
    "<Dial action='/after'><Conference endConferenceOnExit='true' statusCallback='/conf' "
    "statusCallbackEvent='start end join leave mute hold announcement' waitUrl='/music'>c1</Conference></Dial>"
)


@pytest.fixture
def meeting(exchange: Exchange) -> Exchange:
    """The citizen, an operator and an agency in one conference."""
    exchange.line.paths |= {"/conf": "", "/music": "<Play>/music.wav</Play>"}
    dialled(exchange, MEET)
    for address, label in ((OPERATOR, "operator"), (AGENCY, "agency")):
        exchange.rest.conferences("c1").participants.create(to=address, from_=LINE, label=label, early_media=True)
        exchange.switch.tick()
        exchange.switch.answer(address)
    return exchange


def conference_of(exchange: Exchange) -> Any:
    (found,) = exchange.rest.conferences.list(friendly_name="c1", status="in-progress", limit=1)
    return exchange.rest.conferences(found.sid)


def test_a_caller_alone_hears_music_and_everybody_hears_everybody_later(meeting: Exchange) -> None:
    assert meeting.heard(CITIZEN)[:4] == ["dialling", "connected", "on_hold", "play"]
    meeting.switch.speak(CITIZEN, "大家好")
    assert meeting.heard(OPERATOR)[-1] == meeting.heard(AGENCY)[-1] == "大家好"
    meeting.switch.speak(AGENCY, "我们来处理")
    assert meeting.heard(OPERATOR)[-1] == meeting.heard(CITIZEN)[-1] == "我们来处理"
    assert meeting.told("/conf", "StatusCallbackEvent") == [
        "participant-join",
        "participant-join",
        "conference-start",
        "participant-join",
    ]
    assert meeting.told("/conf", "SequenceNumber") == ["1", "2", "3", "4"]


def test_on_hold_one_neither_hears_nor_is_heard(meeting: Exchange) -> None:
    meeting.line.paths["/hold"] = "<Say>请稍候</Say>"
    citizen = meeting.switch.leg_of(CITIZEN)
    assert citizen
    held = conference_of(meeting).participants(citizen.sid).update(hold=True, hold_url=f"{BASE}/hold")
    assert held.hold is True
    meeting.switch.tick()
    assert meeting.heard(CITIZEN)[-2:] == ["on_hold", "请稍候"]
    meeting.switch.speak(OPERATOR, "他在听吗")
    meeting.switch.speak(CITIZEN, "喂")
    assert meeting.heard(CITIZEN)[-1] == "请稍候"
    assert "喂" not in meeting.heard(OPERATOR)
    conference_of(meeting).participants(citizen.sid).update(hold=False)
    meeting.switch.tick()
    meeting.switch.speak(OPERATOR, "回来了")
    assert meeting.heard(CITIZEN)[-2:] == ["off_hold", "回来了"]


def test_a_supervisor_listens_muted_and_coaches_one(meeting: Exchange) -> None:
    operator, supervisor = meeting.switch.leg_of(OPERATOR), "client:supervisor1"
    assert operator
    made = meeting.rest.conferences("c1").participants.create(to=supervisor, from_=LINE, muted=True)
    meeting.switch.tick()
    meeting.switch.answer(supervisor)
    meeting.switch.speak(CITIZEN, "听得见吗")
    meeting.switch.speak(supervisor, "听得见")
    assert meeting.heard(supervisor)[-1] == meeting.heard(OPERATOR)[-1] == "听得见吗"
    conference_of(meeting).participants(made.call_sid).update(
        muted=False, coaching=True, call_sid_to_coach=operator.sid
    )
    meeting.switch.tick()
    meeting.switch.speak(supervisor, "问问地址")
    assert meeting.heard(OPERATOR)[-1] == "问问地址"
    assert meeting.heard(CITIZEN)[-1] != "问问地址"


def test_nobody_coaches_who_is_not_in_the_conference(meeting: Exchange) -> None:
    operator, stranger = meeting.switch.leg_of(OPERATOR), "CA" + "0" * 32
    assert operator
    with pytest.raises(TwilioRestException) as refused:  # docs/api/errors/16028
        conference_of(meeting).participants(operator.sid).update(coaching=True, call_sid_to_coach=stranger)
    assert refused.value.code == 16028


def test_who_is_taken_out_hangs_up_and_the_others_go_on(meeting: Exchange) -> None:
    conference_of(meeting).participants("operator").delete()
    meeting.switch.tick()
    assert meeting.heard(OPERATOR)[-1] == "hung_up"
    meeting.switch.speak(AGENCY, "还在")
    assert meeting.heard(CITIZEN)[-1] == "还在"
    labels = [each.label for each in conference_of(meeting).participants.list()]
    assert labels == [None, "agency"]


def test_when_who_ends_it_leaves_the_conference_is_over_for_all(meeting: Exchange) -> None:
    meeting.switch.act(CITIZEN, PracticeCall.hang_up)
    assert meeting.heard(OPERATOR)[-1] == meeting.heard(AGENCY)[-1] == "hung_up"
    assert meeting.told("/conf", "StatusCallbackEvent")[-1] == "conference-end"
    (over,) = meeting.rest.conferences.list(status="completed")
    assert over.reason_conference_ended == "participant-with-end-conference-on-exit-left"


def test_ending_the_conference_lets_the_callers_go_on_after_their_dial(meeting: Exchange) -> None:
    conference_of(meeting).update(status="completed")
    meeting.switch.tick()
    assert meeting.told("/after", "DialCallStatus") == ["completed"]
    assert meeting.heard(CITIZEN)[-2:] == ["再见", "hung_up"]
    assert meeting.heard(OPERATOR)[-1] == "hung_up"


def test_an_operator_who_does_not_answer_never_joins(exchange: Exchange) -> None:
    exchange.line.paths |= {"/conf": "", "/music": "<Play>/music.wav</Play>"}
    dialled(exchange, MEET)
    made = exchange.rest.conferences("c1").participants.create(to=OPERATOR, from_=LINE, timeout=20)
    assert made.status == "queued"
    exchange.switch.tick()
    exchange.clock.now += 20
    exchange.switch.tick()
    assert exchange.rest.calls(made.call_sid).fetch().status == "no-answer"
    assert exchange.told("/conf", "StatusCallbackEvent") == ["participant-join"]


# ---- text messages


def test_a_message_is_delivered_and_told(exchange: Exchange) -> None:
    exchange.line.paths["/sms"] = ""
    message = exchange.rest.messages.create(to=CITIZEN, from_=LINE, body="工单已受理", status_callback=f"{BASE}/sms")
    assert message.status == "queued"
    exchange.switch.tick()
    assert exchange.told("/sms", "MessageStatus") == ["sent", "delivered"]
    assert exchange.heard(CITIZEN) == ["工单已受理"]
    assert [each.body for each in exchange.rest.messages.list(to=CITIZEN)] == ["工单已受理"]


def test_a_message_that_does_not_arrive_says_so(exchange: Exchange) -> None:
    exchange.switch.manners[CITIZEN] = Manner(messages="undelivered")
    message = exchange.rest.messages.create(to=CITIZEN, from_=LINE, body="工单已受理")
    exchange.switch.tick()
    assert exchange.rest.messages(message.sid).fetch().status == "undelivered"
    assert exchange.heard(CITIZEN) == []


# ---- the line's own adapter


def test_the_lines_adapter_finds_at_the_exchange_what_it_would_find_at_twilio(exchange: Exchange) -> None:
    settings_: Any = SimpleNamespace(
        telephone_provider="twilio",
        twilio_account_sid="",
        twilio_auth_token=TOKEN,
        twilio_api_key="",
        twilio_api_secret="",
        twilio_api_url="",
        environment="development",
        exchange_port=8002,
        line_number="",
    )
    provider = Provider(settings_, httpx.Client(transport=httpx.WSGITransport(exchange.app)))
    exchange.line.paths |= {"/hello": "<Record action='/after'/>", "/after": "<Hangup/>", "/sms": ""}
    since = datetime.fromtimestamp(exchange.clock.now, UTC)
    call = provider.call(CITIZEN, f"{BASE}/hello", f"{BASE}/status", machine_detection=True)
    exchange.switch.tick()
    exchange.switch.answer(CITIZEN)
    exchange.clock.now += 8
    exchange.switch.act(CITIZEN, lambda act: act.finish_recording(8))
    (recording,) = provider.recordings_since(since)
    assert (recording.call_sid, recording.seconds) == (call, 8)
    assert provider.fetch_recording(recording.url)[:4] == b"RIFF"
    assert provider.recordings_since(since + timedelta(hours=1)) == []
    assert provider.parties_of(call) == (LINE, CITIZEN)

    operator = provider.add_participant("c1", OPERATOR, label="operator")
    provider.add_participant("c1", AGENCY)
    exchange.switch.tick()
    exchange.switch.answer(OPERATOR)
    exchange.switch.answer(AGENCY)
    provider.update_participant("c1", operator, hold=True)
    exchange.switch.tick()
    assert exchange.heard(OPERATOR)[-2:] == ["on_hold", "play"]
    provider.remove_participant("c1", operator)
    exchange.switch.tick()
    assert exchange.heard(OPERATOR)[-1] == "hung_up"
    provider.send_sms(CITIZEN, "工单已受理", f"{BASE}/sms")
    exchange.switch.tick()
    assert exchange.told("/sms", "MessageStatus") == ["sent", "delivered"]


# ---- whatever happens

ACTS = {
    "dial": lambda switch, who: switch.leg_of(who) or switch.dial(who),
    "answer": lambda switch, who: switch.answer(who),
    "decline": lambda switch, who: switch.decline(who),
    "hang up": lambda switch, who: switch.act(who, PracticeCall.hang_up),
    "wait": lambda switch, who: switch.wait(who),
    "speak": lambda switch, who: switch.speak(who, "喂"),
    "press": lambda switch, who: switch.press(who, "1"),
    "tick": lambda switch, who: switch.tick(),
}
WHOLE = [
    MEET,
    "<Dial action='/after'><Client url='/whisper'>operator1</Client><Number>+8613900000002</Number></Dial>",
    "<Enqueue action='/after'>operators</Enqueue>",
    "<Dial><Queue>operators</Queue></Dial>",
    "<Gather/>",
]


@settings(max_examples=150, deadline=None)
@given(
    documents=st.lists(st.sampled_from(WHOLE), min_size=1, max_size=4),
    acts=st.lists(
        st.tuples(st.sampled_from(sorted(ACTS)), st.sampled_from([CITIZEN, OPERATOR, "+8613900000002"])), max_size=30
    ),
)
def test_whatever_happens_nobody_stays_connected_with_nobody(documents: list[str], acts: list[tuple[str, str]]) -> None:
    line = Line(conf="", music="<Play>/m.wav</Play>", whisper="<Say>提示</Say>", after="<Gather/>")
    line.paths |= {"/ivr/voice": list(documents), "/ivr/status": "", "/ivr/fallback": "<Hangup/>"}
    exchange = Exchange(line)
    for act, who in acts:
        ACTS[act](exchange.switch, who)
        exchange.clock.now += 4
    exchange.switch.tick()
    legs = [leg for leg in exchange.switch.legs.values() if not leg.over]
    for leg in legs:
        if leg.partner:
            assert leg.partner.partner is leg and leg.partner in legs
            assert leg.call.status == leg.partner.call.status == "connected"
        elif leg.call.status == "connected":
            assert leg.conference is not None and leg in leg.conference.members
    assert len({leg.address for leg in legs}) == len(legs)


# ---- windows


@pytest.fixture
def window(exchange: Exchange) -> FlaskClient:
    exchange.line.paths |= {
        "/ivr/voice": "<Say>您好</Say><Gather action='/turn'/>",
        "/ivr/status": "",
        "/turn": "<Hangup/>",
    }
    client = exchange.app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = httpx.BasicAuth(PRACTICE_ACCOUNT, TOKEN)._auth_header
    return client


def test_a_window_acts_and_hears_only_what_is_new(window: FlaskClient) -> None:
    first = window.post(f"/practice/windows/{CITIZEN}", json={"type": "dial"}).get_json()
    assert [event["type"] for event in first["events"]] == ["say", "listening"]
    assert first["status"] == "listening"
    again = window.get(f"/practice/windows/{CITIZEN}?after={first['last']}").get_json()
    assert again["events"] == []
    last = window.post(f"/practice/windows/{CITIZEN}", json={"type": "press", "digits": "1", "after": first["last"]})
    assert [event["type"] for event in last.get_json()["events"]] == ["keys"]


@pytest.mark.parametrize(
    ("act", "code"),
    [
        ({"type": "sing"}, "bad_input"),
        ({"type": ["dial"]}, "bad_input"),
        ({"type": "press", "digits": "x"}, "bad_input"),
        ({"type": "speak", "text": "长" * 1001}, "bad_input"),
        ({"type": "speak", "text": "喂", "confidence": True}, "bad_input"),
        ({"type": "dial", "to": "everybody"}, "bad_input"),
        ({"type": "finish_recording", "seconds": 301}, "bad_input"),
        ({"type": "repeat"}, "not_repeated"),
        ({"type": "wait", "after": "x"}, "bad_input"),
        ([], "bad_json"),
    ],
)
def test_what_no_window_sends_is_refused(window: FlaskClient, act: Any, code: str) -> None:
    answer = window.post(f"/practice/windows/{CITIZEN}", json=act)
    assert (answer.status_code, answer.get_json()["code"]) == (400, code)


def test_how_a_telephone_behaves_and_what_is_refused_can_be_set_from_outside(
    exchange: Exchange, window: FlaskClient
) -> None:
    assert window.post(f"/practice/manners/{CITIZEN}", json={"answers": "machine_start"}).status_code == 204
    assert exchange.switch.manners[CITIZEN].answers == "machine_start"
    assert window.post("/practice/refusals", json={"requests": 2}).status_code == 204
    assert exchange.switch.refusals == 2


def test_a_recorded_session_can_be_played_again(exchange: Exchange, window: FlaskClient) -> None:
    window.post(f"/practice/windows/{CITIZEN}", json={"type": "dial"})
    exchange.clock.now += 3
    window.post(f"/practice/windows/{CITIZEN}", json={"type": "hang_up"})
    session = window.get("/practice/session").get_json()
    again = Exchange(exchange.line)
    slept: list[float] = []
    replay(again.switch, Noise(), session, slept.append)
    assert again.heard(CITIZEN) == exchange.heard(CITIZEN)
    assert slept == [0, 3]


@pytest.mark.parametrize("session", [{}, [1], [{"at": "x", "address": CITIZEN, "act": {}}], [{"at": 1}]])
def test_what_is_no_session_is_not_played(window: FlaskClient, session: Any) -> None:
    assert window.post("/practice/session", json=session).status_code == 400


def test_a_window_needs_the_accounts_log_in(exchange: Exchange) -> None:
    assert exchange.app.test_client().get(f"/practice/windows/{CITIZEN}").status_code == 401


def test_production_has_no_exchange() -> None:
    with pytest.raises(RuntimeError, match="development"):
        create_exchange(SimpleNamespace(environment="production"))
