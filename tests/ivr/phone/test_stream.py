"""ConversationRelay as Twilio speaks it, to a real websocket of a line whose answers are written down."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, request
from flask_sock import Sock
from simple_websocket import Server
from twilio.request_validator import RequestValidator
from werkzeug.serving import make_server

from ivr.phone.call import Error, HungUp, Play, PracticeCall, Say
from tests.ivr.phone.test_call import TOKEN, Clock, Line, kinds
from tests.running_line import until

Answers = Callable[[dict[str, Any]], list[Any] | None]


class StreamingLine(Line):
    """A line that also has a websocket at /stream: `answers` gives the messages that follow one of Twilio's, None closes."""

    def __init__(self) -> None:
        super().__init__(handed="<Say>转人工</Say>", status="")
        self.received: list[dict[str, Any]] = []
        self.answers: Answers = lambda message: [text("您好", last=True)]
        app = Flask(__name__)
        sock = Sock(app)

        @sock.route("/stream")
        def stream(server: Server) -> None:
            url = f"ws://127.0.0.1:{self.port}/stream"
            assert RequestValidator(TOKEN).validate(url, {}, request.headers["X-Twilio-Signature"])
            while True:
                message = json.loads(server.receive())
                self.received.append(message)
                answers = self.answers(message)
                if answers is None:
                    return
                for answer in answers:
                    server.send(answer if isinstance(answer, str) else json.dumps(answer))

        self.server = make_server("127.0.0.1", 0, app, threaded=True)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def call(self, relay: str = "") -> PracticeCall:
        address = f"ws://127.0.0.1:{self.port}/stream"
        self.paths["/voice"] = (
            f'<Connect action="/handed"><ConversationRelay url="{address}" language="zh-CN" {relay}>'
            '<Parameter name="step" value="1"/></ConversationRelay></Connect>'
        )
        return PracticeCall.new(
            f"http://127.0.0.1:{self.port}",
            auth_token=TOKEN,
            transport=self,
            clock=Clock(),
            randomness=random.Random(3),
            status_callback="/status",
        )

    def handed(self, field: str) -> str | None:
        """What the Connect's action was told."""
        found: str | None
        (found,) = [request.params.get(field) for request in self.requests if request.path == "/handed"]
        return found


def text(token: str, last: bool = False, **more: Any) -> dict[str, Any]:
    return {"type": "text", "token": token, "last": last, **more}


@pytest.fixture
def line() -> Iterator[StreamingLine]:
    line = StreamingLine()
    yield line
    line.server.shutdown()


def test_the_line_is_told_about_the_call_and_greets(line: StreamingLine) -> None:
    call = line.call()
    assert call.start("/voice") == [Say("您好", "zh-CN")]
    assert call.status == "streaming"
    setup = line.received[0]
    assert (setup["type"], setup["callSid"], setup["from"]) == ("setup", call.state.call_sid, "+8613800138000")
    assert setup["customParameters"] == {"step": "1"}
    call.hang_up()
    assert line.handed("SessionStatus") == "completed"


def test_words_and_keys_reach_the_line_and_tokens_are_one_sentence(line: StreamingLine) -> None:
    call = line.call()
    call.start("/voice")
    line.answers = lambda message: [text("暖气"), text("不热", last=True)]
    assert call.speak("暖气") == [Say("暖气不热", "zh-CN")]
    assert line.received[-1] == {"type": "prompt", "voicePrompt": "暖气", "lang": "zh-CN", "last": True}
    call.interrupt("暖")
    call.press("1")
    until(lambda: [message["type"] for message in line.received[-2:]] == ["interrupt", "dtmf"], "the key")
    call.hang_up()


def test_the_language_changes_and_one_sentence_can_have_its_own(line: StreamingLine) -> None:
    line.answers = lambda message: [text("请讲"), text("Press 3 for English", last=True, lang="en-US")]
    call = line.call()
    assert call.start("/voice") == [Say("请讲", "zh-CN"), Say("Press 3 for English", "en-US")]
    line.answers = lambda message: [{"type": "language", "ttsLanguage": "en-US"}, text("Hello", last=True)]
    assert call.speak("英语") == [Say("Hello", "en-US")]
    call.hang_up()


def test_the_line_ends_the_session_and_hands_over(line: StreamingLine) -> None:
    call = line.call()
    call.start("/voice")
    line.answers = lambda message: [{"type": "end", "handoffData": '{"does": "person"}'}]
    assert call.press("0") == [Say("转人工"), HungUp("document_end")]
    assert (line.handed("SessionStatus"), line.handed("HandoffData")) == ("ended", '{"does": "person"}')


def test_a_line_that_breaks_the_stream_off_is_asked_what_next(line: StreamingLine) -> None:
    line.answers = lambda message: None
    assert kinds(line.call().start("/voice")) == ["error", "say", "hung_up"]
    assert (line.handed("SessionStatus"), line.handed("ErrorCode")) == ("failed", "64105")


def test_a_stream_that_can_not_be_opened_is_told(line: StreamingLine) -> None:
    call = line.call()
    line.paths["/voice"] = str(line.paths["/voice"]).replace("/stream", "/elsewhere")
    events = call.start("/voice")
    assert isinstance(events[0], Error) and events[0].code == 64102
    assert line.handed("SessionStatus") == "failed"


def test_no_stream_is_opened_outside_the_line(line: StreamingLine) -> None:
    call = line.call()
    line.paths["/voice"] = '<Connect><ConversationRelay url="wss://elsewhere.test/stream"/></Connect>'
    events = call.start("/voice")
    assert isinstance(events[0], Error) and line.received == []


def test_what_is_no_message_is_answered_with_an_error(line: StreamingLine) -> None:
    line.answers = lambda message: (
        ["not json", {"type": "sing"}, {"type": "play", "source": "https://x.test/a.mp3"}, text("好", last=True)]
        if message["type"] == "setup"
        else []
    )
    call = line.call()
    assert call.start("/voice") == [Play("https://x.test/a.mp3"), Say("好", "zh-CN")]
    line.answers = lambda message: [text("好", last=True)] if message["type"] == "prompt" else []
    call.speak("喂")
    assert [message["type"] for message in line.received] == ["setup", "error", "error", "prompt"]
    call.hang_up()


def test_a_welcome_greeting_is_heard_before_the_line_says_anything(line: StreamingLine) -> None:
    line.answers = lambda message: []
    call = line.call('welcomeGreeting="您好，这里是12345"')
    assert call.start("/voice") == [Say("您好，这里是12345", "zh-CN")]
    call.hang_up()


def test_the_line_can_move_the_call_while_it_streams(line: StreamingLine) -> None:
    call = line.call()
    call.start("/voice")
    assert call.redirected("/handed") == [Say("转人工"), HungUp("document_end")]
