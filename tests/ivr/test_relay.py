"""The call as a stream: the same flow over a websocket, with Twilio's side written from its documents
(voice/conversationrelay/websocket-messages)."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from simple_websocket import Client, ConnectionClosed
from twilio.request_validator import RequestValidator
from werkzeug.serving import make_server

from backend.app import create_app
from backend.directory.models import Staff
from backend.parts import Parts
from ivr.relay import Session, read
from ivr.service import Line
from tests.conftest import StandingClock, closed_port, make_settings

CALL = "CA" + "5" * 32
CALLER = "+8613800138000"
TOKEN = "12345"


class Stream:
    """Twilio's side of one call."""

    def __init__(self, base_url: str) -> None:
        self.base_url, self.signer = base_url, RequestValidator(TOKEN)
        self.web = httpx.Client(trust_env=False)

    def webhook(self, path: str, **more: str) -> str:
        form = {"CallSid": CALL, "From": CALLER, "To": "+8612345", **more}
        url = self.base_url + path
        response = self.web.post(
            url, data=form, headers={"X-Twilio-Signature": self.signer.compute_signature(url, form)}
        )
        assert response.status_code == 200, response.text
        return response.text

    def open(self, token: str = TOKEN) -> Client:
        url = "ws" + self.base_url.removeprefix("http") + "/ivr/relay"
        client = Client(url, headers={"X-Twilio-Signature": RequestValidator(token).compute_signature(url, {})})
        return client

    def begin(self) -> Client:
        client = self.open()
        send(client, {"type": "setup", "sessionId": "VX1", "callSid": CALL, "from": CALLER, "to": "+8612345"})
        return client


def send(client: Client, message: object) -> None:
    client.send(message if isinstance(message, str) else json.dumps(message))


def said(client: Client) -> list[dict[str, Any]]:
    """The messages of one turn: until the last text, or the end."""
    messages = []
    while True:
        received = client.receive(timeout=20)
        assert received is not None
        messages.append(json.loads(received))
        if messages[-1].get("last") or messages[-1]["type"] == "end":
            return messages


@pytest.fixture
def stream(sqlite_url: str, clock: StandingClock) -> Iterator[Stream]:
    port = closed_port()
    settings = make_settings(
        sqlite_url,
        port=port,
        conversation_mode="relay",
        twilio_auth_token=TOKEN,
        public_base_url=f"http://127.0.0.1:{port}",
    )
    server = make_server("127.0.0.1", port, create_app(settings, clock=clock), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Stream(settings.base_url)
    server.shutdown()
    thread.join()


def test_a_call_is_connected_to_the_stream_and_greeted_there(stream: Stream) -> None:
    document = stream.webhook("/ivr/voice")
    assert re.search(r'<ConversationRelay [^>]*url="ws://127\.0\.0\.1:\d+/ivr/relay"', document)
    assert 'dtmfDetection="true"' in document
    assert 'ttsProvider="Amazon"' in document
    texts = [message for message in said(stream.begin()) if message["type"] == "text"]
    assert texts[0]["token"].endswith("请问有什么可以帮您？")
    assert [text["lang"] for text in texts[1:]] == ["yue-CN", "en-US"]
    assert [text["last"] for text in texts] == [False, False, True]


def test_a_stream_with_a_wrong_signature_is_refused(stream: Stream) -> None:
    with pytest.raises(ConnectionClosed):
        stream.open(token="another").receive(timeout=20)


def test_danger_on_the_stream_gets_its_number_first(stream: Stream) -> None:
    client = stream.begin()
    said(client)
    send(client, {"type": "prompt", "voicePrompt": "楼下着火了", "lang": "cmn-Hans-CN", "last": True})
    assert "幺幺九" in said(client)[0]["token"]


def test_a_person_ends_the_stream_and_the_call_goes_on_in_the_queue(stream: Stream) -> None:
    client = stream.begin()
    said(client)
    send(client, {"type": "dtmf", "digit": "0"})
    (end,) = said(client)
    assert end["type"] == "end"
    document = stream.webhook("/ivr/relayed?step=1", SessionStatus="ended", HandoffData=end["handoffData"])
    assert "<Record" in document  # no operator is there in this test


def test_a_language_that_is_asked_for_is_spoken_and_recognised_from_then_on(stream: Stream) -> None:
    client = stream.begin()
    said(client)
    send(client, {"type": "dtmf", "digit": "9"})
    language, text = said(client)
    assert language == {"type": "language", "ttsLanguage": "en-US", "transcriptionLanguage": "en-US"}
    assert text["token"].startswith("All right")


def test_a_stream_that_fails_goes_on_with_gather_and_the_last_words(stream: Stream) -> None:
    client = stream.begin()
    greeting = said(client)[0]["token"]
    document = stream.webhook("/ivr/relayed?step=1", SessionStatus="failed", ErrorCode="64105")
    assert "<Gather" in document
    assert greeting in document
    assert "抱歉" in document


def test_without_the_bot_the_stream_ends_in_a_message(stream: Stream) -> None:
    client = stream.begin()
    said(client)
    send(client, {"type": "prompt", "voicePrompt": "暖气不热", "last": True})
    (end,) = said(client)
    assert json.loads(end["handoffData"])["does"] == "record"


@contextmanager
def session_of(parts: Parts) -> Iterator[Session]:
    session = Session(Line(parts))
    session.receive({"type": "setup", "callSid": CALL, "from": CALLER, "to": "+8612345"})
    yield session


def test_silence_on_the_stream_gets_two_different_reprompts_and_then_a_message(parts: Parts) -> None:
    with session_of(parts) as session:
        first, second = session.silence(), session.silence()
        assert first[0]["token"] != second[0]["token"]
        assert session.silence()[-1]["type"] == "end"
        assert session.over


def test_the_line_waits_while_its_own_words_are_spoken_and_no_longer_when_it_is_interrupted(parts: Parts) -> None:
    with session_of(parts) as session:
        patience = session.patience
        session.receive({"type": "interrupt", "utteranceUntilInterrupt": "您好", "durationUntilInterruptMs": 300})
        assert session.patience < patience


def test_keys_of_a_number_are_kept_until_hash(parts: Parts, operator: Staff) -> None:
    with session_of(parts) as session:
        session.expects_digits = True
        for digit in "2600000015":
            assert session.receive({"type": "dtmf", "digit": digit}) == []
        assert session.receive({"type": "dtmf", "digit": "#"})
        assert session.keys == ""


MESSAGES = st.one_of(
    st.fixed_dictionaries({"type": st.just("prompt"), "voicePrompt": st.text(max_size=20), "last": st.booleans()}),
    st.fixed_dictionaries({"type": st.just("dtmf"), "digit": st.sampled_from("123456789*#")}),
    st.dictionaries(st.sampled_from(["type", "last", "digit", "voicePrompt"]), st.none() | st.integers() | st.text()),
    st.just({"type": "interrupt"}),
    st.just({"type": "error", "description": None}),
)


@hypothesis_settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(messages=st.lists(MESSAGES, max_size=6))
def test_whatever_comes_over_the_stream_every_answer_is_one_that_twilio_knows(
    parts: Parts, messages: list[Any]
) -> None:
    with session_of(parts) as session:
        for message in messages:
            if session.over:
                break
            for answer in session.receive(message):
                assert answer["type"] in ("text", "language", "end")


@given(received=st.text() | st.binary())
def test_what_is_no_message_is_passed_over(received: str | bytes) -> None:
    assert isinstance(read(received), dict)
