"""A WeChat official account over HTTP, in the formats that WeChat publishes: plain and safe mode, every kind of message, the
five seconds, and customer-service messages through a WeChat that refuses what the real one refuses."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpcore
import httpx
import pytest
import xmltodict
from flask import Flask
from sqlalchemy import select
from wechatpy.crypto import WeChatCrypto
from wechatpy.utils import WeChatSigner
from werkzeug.wrappers import Request, Response

from backend import outbox
from backend.app import create_app
from backend.attachments import Attachment
from backend.chat import wechat
from backend.chat.media import PhotoFetcher
from backend.chat.wechat import DONE, LONGEST, WeChatSender
from backend.conversations import service
from backend.conversations.models import Conversation, Turn
from backend.directory.models import Staff
from backend.outbox import OutgoingMessage
from backend.parts import Parts
from bot.client import Reply
from tests.chat.test_chat import picture
from tests.conftest import StandingClock, make_settings

TOKEN, AES_KEY, APP = "wechat-token", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "wx0123456789abcdef"
ACCOUNT, FOLLOWER = "gh_account", "oFollower_of-the-account_1234"
CRYPTO = WeChatCrypto(TOKEN, AES_KEY, APP)


class SlowBot:
    """A bot that answers when it is let."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.text = "路灯由城管局负责。"

    def send(self, *_: Any) -> list[Reply]:
        self.may_answer.wait(10)
        return [Reply(self.text, self.text)]

    def processes(self) -> dict[str, bool]:
        return {"here": True}


@dataclass
class WeChat:
    """WeChat's API, as far as the line uses it."""

    tokens: list[str] = field(default_factory=list)
    sent: list[tuple[str, str]] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    """Followers who have written nothing for 48 hours."""

    def __call__(self, environ: Any, start: Any) -> Any:
        return self.answer(Request(environ))(environ, start)

    def answer(self, request: Request) -> Response:
        body = json.loads(request.get_data())
        if request.path == "/cgi-bin/stable_token":
            if (body["grant_type"], body["appid"], body["secret"]) != ("client_credential", APP, "app-secret"):
                return told({"errcode": 40125, "errmsg": "invalid appsecret"})
            self.tokens = self.tokens or ["token-1"]
            return told({"access_token": self.tokens[-1], "expires_in": 7200})
        if request.path != "/cgi-bin/message/custom/send":
            return Response(status=404)
        text = body["text"]["content"]
        if request.args.get("access_token") not in self.tokens[-1:]:
            return told({"errcode": 40001, "errmsg": "invalid credential"})
        if body["touser"] in self.silent:
            return told({"errcode": 45015, "errmsg": "response out of time limit"})
        if len(text.encode()) > 2048:
            return told({"errcode": 45002, "errmsg": "content size out of limit"})
        self.sent.append((body["touser"], text))
        return told({"errcode": 0, "errmsg": "ok"})


def told(body: dict[str, Any]) -> Response:
    return Response(json.dumps(body), content_type="application/json")


@pytest.fixture
def bot() -> Iterator[SlowBot]:
    made = SlowBot()
    yield made
    made.may_answer.set()


@pytest.fixture
def app(sqlite_url: str, clock: StandingClock, bot: SlowBot, request: pytest.FixtureRequest) -> Flask:
    mode = getattr(request, "param", {})
    more = {"wechat_token": TOKEN, "wechat_app_id": APP, "wechat_app_secret": "app-secret", **mode}
    return create_app(make_settings(sqlite_url, **more), bot=bot, clock=clock)


safe_mode = pytest.mark.parametrize("app", [{"wechat_aes_key": AES_KEY}], indirect=True)


def signed(*more: str) -> str:
    signer = WeChatSigner()
    signer.add_data(TOKEN, "1764100000", "nonce1", *more)
    return str(signer.signature)


def query(**more: str) -> str:
    return urlencode({"signature": signed(), "timestamp": "1764100000", "nonce": "nonce1", **more})


def xml(kind: str, number: str = "23456789012345678", **fields: str) -> str:
    """A message as WeChat sends it."""
    inside = "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in fields.items())
    named = f"<MsgId>{number}</MsgId>" if number else ""
    return (
        f"<xml><ToUserName><![CDATA[{ACCOUNT}]]></ToUserName><FromUserName><![CDATA[{FOLLOWER}]]></FromUserName>"
        f"<CreateTime>1764100000</CreateTime><MsgType><![CDATA[{kind}]]></MsgType>{inside}{named}</xml>"
    )


def push(web: httpx.Client, body: str, address: str = "") -> httpx.Response:
    return web.post(f"/wechat?{address or query()}", content=body.encode(), headers={"Content-Type": "text/xml"})


def text_in(web: httpx.Client, words: str, number: str = "23456789012345678") -> str:
    """Write something; returns what is answered at once."""
    return reply_of(push(web, xml("text", number, Content=words)))


def reply_of(response: httpx.Response) -> str:
    assert response.status_code == 200
    if response.text == DONE:
        return ""
    reply = xmltodict.parse(response.text)["xml"]
    assert (reply["ToUserName"], reply["FromUserName"], reply["MsgType"]) == (FOLLOWER, ACCOUNT, "text")
    return str(reply["Content"])


def said_in(parts: Parts) -> list[tuple[str, str]]:
    with parts.database.read() as session:
        return [(turn.speaker, turn.text) for turn in session.scalars(select(Turn).order_by(Turn.id))]


def deliver(parts: Parts, service_of: WeChat) -> None:
    http = httpx.Client(transport=httpx.WSGITransport(service_of))
    outbox.deliver(parts.database, parts.clock, {"wechat": WeChatSender(parts, http).send})


def out(parts: Parts) -> list[OutgoingMessage]:
    with parts.database.read() as session:
        return list(session.scalars(select(OutgoingMessage).order_by(OutgoingMessage.id)))


def test_the_server_s_address_is_verified(web: httpx.Client) -> None:
    assert web.get(f"/wechat?{query(echostr='echo-me')}").text == "echo-me"


def test_without_an_account_there_is_no_such_address(sqlite_url: str) -> None:
    web = httpx.Client(
        transport=httpx.WSGITransport(create_app(make_settings(sqlite_url))), base_url="http://127.0.0.1:8000"
    )
    assert web.get("/wechat").status_code == push(web, xml("text", Content="你好")).status_code == 404


def test_a_wrong_signature_is_refused_and_noted(
    web: httpx.Client, parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = urlencode({"signature": "0" * 40, "timestamp": "1764100000", "nonce": "nonce1"})
    assert push(web, xml("text", Content="你好"), wrong).status_code == 403
    assert web.get(f"/wechat?{wrong}&echostr=x").status_code == 403
    assert caplog.text.count("wrong signature") == 2 and said_in(parts) == []


@safe_mode
def test_in_safe_mode_what_comes_and_what_goes_is_encrypted(web: httpx.Client) -> None:
    sealed = CRYPTO.encrypt_message(xml("text", Content="路灯谁管"), "nonce1", "1764100000")
    seal = xmltodict.parse(sealed)["xml"]["MsgSignature"]
    answered = push(web, sealed, query(encrypt_type="aes", msg_signature=seal))
    told = xmltodict.parse(answered.text)["xml"]
    opened = CRYPTO.decrypt_message(answered.text, told["MsgSignature"], told["TimeStamp"], told["Nonce"])
    assert xmltodict.parse(opened)["xml"]["Content"] == "路灯由城管局负责。"


@safe_mode
@pytest.mark.parametrize("break_it", ["plain", "seal", "other account", "no xml"])
def test_in_safe_mode_nothing_else_is_taken(web: httpx.Client, parts: Parts, break_it: str) -> None:
    sealed = CRYPTO.encrypt_message(xml("text", Content="路灯谁管"), "nonce1", "1764100000")
    if break_it == "other account":
        other = WeChatCrypto(TOKEN, AES_KEY, "wx9999999999999999")
        sealed = other.encrypt_message(xml("text", Content="路灯谁管"), "nonce1", "1764100000")
    seal = xmltodict.parse(sealed)["xml"]["MsgSignature"]
    if break_it == "seal":
        seal = "0" * 40
    elif break_it == "plain":
        sealed = xml("text", Content="路灯谁管")
    elif break_it == "no xml":
        sealed = "<xml"
    assert push(web, sealed, query(encrypt_type="aes", msg_signature=seal)).status_code == 403
    assert said_in(parts) == []


def test_a_message_is_answered_at_once_and_a_repeat_of_it_the_same(web: httpx.Client, parts: Parts) -> None:
    assert text_in(web, "路灯谁管") == text_in(web, "路灯谁管") == "路灯由城管局负责。"
    assert [who for who, _ in said_in(parts)] == ["citizen", "bot"]


def test_a_repeat_that_comes_after_the_conversation_has_ended_changes_nothing(web: httpx.Client, parts: Parts) -> None:
    text_in(web, "路灯谁管")
    with parts.database.write() as session:
        service.move(session, session.scalars(select(Conversation)).one(), "close", parts.clock())
    text_in(web, "路灯谁管")
    assert len(said_in(parts)) == 2
    text_in(web, "还有一件事", number="23456789012345679")
    with parts.database.read() as session:
        assert len(session.scalars(select(Conversation)).all()) == 2


def test_what_takes_too_long_follows_as_a_customer_service_message_once(
    web: httpx.Client, parts: Parts, bot: SlowBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wechat, "IN_TIME", 0.05)
    bot.may_answer.clear()
    assert text_in(web, "路灯谁管") == text_in(web, "路灯谁管") == ""
    bot.may_answer.set()
    there = WeChat()
    deliver(parts, there)
    assert there.sent == [(FOLLOWER, "路灯由城管局负责。")]
    assert [who for who, _ in said_in(parts)] == ["citizen", "bot"]


def test_a_long_answer_arrives_whole_within_what_wechat_takes(web: httpx.Client, parts: Parts, bot: SlowBot) -> None:
    bot.text = "".join(f"第{number}条，请带身份证到窗口办理。" for number in range(100))
    pieces = [text_in(web, "要带什么")]
    there = WeChat()
    deliver(parts, there)
    pieces += [text for _, text in there.sent]
    assert all(len(piece) <= LONGEST for piece in pieces)
    assert "".join(piece.split(")", 1)[1] for piece in pieces) == bot.text


def test_speech_that_wechat_put_into_words_is_taken_and_other_speech_is_asked_for_in_writing(
    web: httpx.Client, parts: Parts
) -> None:
    voice = {"MediaId": "media", "Format": "amr"}
    assert reply_of(push(web, xml("voice", "1", Recognition="路灯谁管。", **voice))) == "路灯由城管局负责。"
    assert "文字" in reply_of(push(web, xml("voice", "2", **voice)))
    assert said_in(parts)[0] == ("citizen", "路灯谁管。") and len(said_in(parts)) == 2


def test_a_place_is_taken_as_words(web: httpx.Client, parts: Parts) -> None:
    place = {"Location_X": "23.134521", "Location_Y": "113.358803", "Scale": "20", "Label": "明湖区软件园"}
    push(web, xml("location", **place))
    assert "明湖区软件园" in said_in(parts)[0][1] and "23.134521" in said_in(parts)[0][1]


@pytest.mark.parametrize("kind", ["video", "shortvideo", "link", "file", "unheard-of"])
def test_who_sends_what_the_line_can_not_take_is_told_so(web: httpx.Client, parts: Parts, kind: str) -> None:
    assert "文字" in reply_of(push(web, xml(kind, MediaId="media")))
    assert said_in(parts) == []


def test_a_new_follower_is_greeted_with_choices_that_a_number_chooses(web: httpx.Client, parts: Parts) -> None:
    greeting = reply_of(push(web, xml("event", "", Event="subscribe")))
    assert "回复数字" in greeting
    number = next(line.split()[0] for line in greeting.splitlines() if "转人工" in line)
    assert "转接人工" in text_in(web, number)


@pytest.mark.parametrize("event", ["unsubscribe", "CLICK", "VIEW", "LOCATION", "TEMPLATESENDJOBFINISH"])
def test_other_events_are_taken_without_a_word(web: httpx.Client, parts: Parts, event: str) -> None:
    assert reply_of(push(web, xml("event", "", Event=event, EventKey="key"))) == ""
    assert said_in(parts) == []


def test_a_photo_is_fetched_and_kept_once(web: httpx.Client, parts: Parts) -> None:
    for _ in range(2):
        push(web, xml("image", PicUrl="http://mmbiz.qpic.cn/mmbiz_jpg/a/0", MediaId="media"))
    content = picture()
    backend = httpcore.MockBackend([f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n\r\n".encode(), content])
    fetcher = PhotoFetcher(parts, httpcore.ConnectionPool(network_backend=backend))
    outbox.deliver(parts.database, parts.clock, {"photo": fetcher.send})
    with parts.database.read() as session:
        assert session.scalars(select(Attachment)).one().conversation_id is not None
    there = WeChat()
    deliver(parts, there)
    assert ["照片已收到" in text for _, text in there.sent] == [True]


def test_what_an_operator_says_goes_to_the_follower_with_a_token_that_is_renewed(
    web: httpx.Client, parts: Parts, operator: Staff
) -> None:
    text_in(web, "转人工")
    there = WeChat()
    for words, token in (("您好", "token-1"), ("请说地点", "token-2")):
        there.tokens.append(token)  # the one before is no longer good
        with parts.database.write() as session:
            talk, staff = session.scalars(select(Conversation)).one(), session.get_one(Staff, operator.id)
            if talk.state == "waiting":
                service.take(session, talk, staff, parts.clock())
            service.operator_says(session, talk, staff, words, parts.clock())
        deliver(parts, there)
    assert [text for _, text in there.sent][-2:] == ["您好", "请说地点"]


def test_whom_wechat_lets_nobody_write_to_any_more_is_not_tried_again(
    web: httpx.Client, parts: Parts, operator: Staff
) -> None:
    text_in(web, "转人工")
    with parts.database.write() as session:
        talk, staff = session.scalars(select(Conversation)).one(), session.get_one(Staff, operator.id)
        service.take(session, talk, staff, parts.clock())
    deliver(parts, WeChat(silent={FOLLOWER}))
    assert [(one.state, one.tries, one.fault) for one in out(parts)] == [("failed", 1, "WeChat error 45015")]
