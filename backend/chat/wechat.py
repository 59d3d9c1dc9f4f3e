"""A WeChat official account (微信公众号) as a channel: its messages come to /wechat, signed and in its safe mode encrypted.

WeChat waits 5 seconds for an answer (被动回复). What takes longer, and what operators say, goes out as a customer-service
message (客服消息), by way of the outbox. Formats: developers.weixin.qq.com/doc/offiaccount, 接收普通消息, 接收事件推送,
被动回复用户消息, 消息加解密说明, 客服消息, 获取稳定版接口调用凭据. wechatpy reads, signs and encrypts.
"""

import logging
import re
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from xml.parsers.expat import ExpatError

import httpx
from flask import Blueprint, Response, request
from wechatpy import create_reply, parse_message
from wechatpy.crypto import WeChatCrypto
from wechatpy.exceptions import InvalidAppIdException, InvalidSignatureException
from wechatpy.utils import check_signature

from backend import outbox
from backend.chat import gateway
from backend.chat.texts import as_text, language_of, pieces
from backend.conversations.service import PHRASES
from backend.errors import Refused
from backend.outbox import NotSent, OutgoingMessage
from backend.parts import Parts, parts
from backend.settings import Settings
from backend.trusted import trusted

blueprint = Blueprint("wechat", __name__)
log = logging.getLogger(__name__)

IN_TIME = 4.0
"""Seconds after which the answer goes out as a customer-service message; WeChat gives up after 5 and asks again."""
LONGEST = 600
"""Characters of one message: WeChat takes 2048 bytes, a Chinese character has three."""
DONE = "success"
"""What WeChat is answered when there is nothing to say now."""
API = "https://api.weixin.qq.com"
EXPIRED = (40001, 40014, 42001)
"""Error codes of a token that is no longer good."""
FINAL = (40003, 43004, 45002, 45015, 45047, 48001, 48002, 50002)
"""Error codes with which trying again is no use: no such follower, too long, silent for 48 hours, too many, no right to."""
at_work = ThreadPoolExecutor(max_workers=16, thread_name_prefix="wechat")


@dataclass(frozen=True)
class Message:
    """What somebody sent, as far as the line understands it. `key` is WeChat's name for it; `kind`: text, photo, greeting,
    voice (that nobody put into words), other, nothing."""

    kind: str
    peer: str
    key: str
    words: str = ""


@blueprint.get("/wechat")
def verify() -> Response:
    """WeChat asks whether this is the account's server (接入指南)."""
    if not is_signed():
        return refuse()
    return Response(request.args.get("echostr", ""), content_type="text/plain; charset=utf-8")


@blueprint.post("/wechat")
def receive() -> Response:
    """A message or an event. The same one again, as WeChat sends it when it has no answer, is answered the same."""
    settings = parts().settings
    xml = open_envelope(settings, request.get_data())
    if xml is None:
        return refuse()
    try:
        received = parse_message(xml)
        message = understood(received)
    except (ExpatError, KeyError, TypeError, ValueError, AttributeError):
        log.warning("a message from WeChat could not be read")
        return done()
    if message is None:
        return done()
    text = answer(parts(), message)
    if not text:
        return done()
    reply = create_reply(text, message=received).render()
    if settings.wechat_aes_key:
        reply = crypto(settings).encrypt_message(reply, request.args["nonce"], request.args["timestamp"])
    return Response(reply, content_type="application/xml; charset=utf-8")


def done() -> Response:
    """Taken; nothing is said now."""
    return Response(DONE, content_type="text/plain; charset=utf-8")


def refuse() -> Response:
    """Not from WeChat."""
    if not parts().settings.wechat_token:
        raise Refused("not_found", 404)
    log.warning("refused a message with a wrong signature: %s", request.path)
    return Response("forbidden", 403)


def is_signed() -> bool:
    """Whether the address carries WeChat's signature."""
    token = parts().settings.wechat_token
    given = request.args
    try:
        check_signature(token, given.get("signature", ""), given.get("timestamp", ""), given.get("nonce", ""))
    except InvalidSignatureException:
        return False
    return bool(token)


def crypto(settings: Settings) -> WeChatCrypto:
    """Encrypts and decrypts with the account's key."""
    return WeChatCrypto(settings.wechat_token, settings.wechat_aes_key, settings.wechat_app_id)


def open_envelope(settings: Settings, body: bytes) -> str | None:
    """The XML of a message; None for what is not WeChat's. With a key only what is encrypted with it counts."""
    if not is_signed():
        return None
    try:
        text = body.decode()
        if not settings.wechat_aes_key:
            return text
        given = [request.args.get(name, "") for name in ("msg_signature", "timestamp", "nonce")]
        return str(crypto(settings).decrypt_message(text, *given))
    except (
        *(InvalidSignatureException, InvalidAppIdException),
        *(ExpatError, ValueError, KeyError, TypeError, AttributeError, IndexError, AssertionError),
    ):
        return None


def understood(received: Any) -> Message | None:
    """What was received, in our words; None for what nobody can have sent."""
    peer = received.source or ""
    number = str(received.id or "")
    if not re.fullmatch(r"[\w-]{6,64}", peer):
        return None
    key = f"wechat:{number}"
    if received.type == "event":
        return Message("greeting" if received.event.startswith("subscribe") else "nothing", peer, key)
    if not re.fullmatch(r"\d{1,30}", number):
        return None
    if received.type == "text":
        return Message("text", peer, key, (received.content or "").strip())
    if received.type == "voice":
        heard = (received.recognition or "").strip()
        return Message("text" if heard else "voice", peer, key, heard)
    if received.type == "image":
        return Message("photo", peer, key, re.sub(r"^http://", "https://", received.image or ""))
    if received.type == "location":
        facts = {"label": received.label or "", "latitude": received.location_x, "longitude": received.location_y}
        return Message("text", peer, key, PHRASES.say("text_place", "zh", **facts).text)
    return Message("other", peer, key)


def answer(parts: Parts, message: Message) -> str:
    """What is said at once; empty: nothing, or what there is to say follows as a customer-service message."""
    if message.kind == "greeting":
        return as_text([gateway.greet(parts, "wechat", message.peer, "zh")], "zh")
    if message.kind in ("voice", "other"):
        return PHRASES.say("text_only_words", "zh").text
    if message.kind == "photo":
        put_photo(parts, message)
        return ""
    if message.kind == "nothing" or not message.words:
        return ""
    turn: Future[str] = at_work.submit(take, parts, message.peer, message.words, message.key)
    try:
        text = turn.result(IN_TIME)
    except TookTooLong:
        with parts.database.write() as session:
            body = {"said": message.words, "key": message.key}
            outbox.put(session, f"{message.key}:answer", "wechat", message.peer, body, parts.clock())
        return ""
    return first_of(parts, message, text)


def take(parts: Parts, peer: str, words: str, key: str) -> str:
    """Take a message into its conversation; returns what is answered."""
    locale = language_of(words)
    try:
        return as_text(gateway.correspond(parts, "wechat", peer, locale, words, key).replies, locale)
    except Refused as refusal:
        return refusal.sentence(locale)


def first_of(parts: Parts, message: Message, text: str) -> str:
    """The first piece of what is said; the others follow."""
    first, *others = pieces(text, LONGEST)
    if others:
        with parts.database.write() as session:
            for number, part in enumerate(others, start=2):
                outbox.put(session, f"{message.key}/{number}", "wechat", message.peer, {"text": part}, parts.clock())
    return first


def put_photo(parts: Parts, message: Message) -> None:
    """Have the photo fetched."""
    body = {"channel": "wechat", "peer": message.peer, "key": message.key}
    with parts.database.write() as session:
        outbox.put(session, f"photo:{message.key}", "photo", message.words, body, parts.clock())


@dataclass
class WeChatSender:
    """Sends the outbox' customer-service messages."""

    parts: Parts
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=10, verify=trusted()))
    token: str = ""
    good_until: datetime | None = None

    def send(self, message: OutgoingMessage) -> None:
        """Send one message, or take one whose answer was not there in time and send that. A long one goes in pieces, of
        which the later ones become messages of their own. Raises NotSent."""
        body = message.body
        text = take(self.parts, message.recipient, body["said"], body["key"]) if "said" in body else str(body["text"])
        if not text:
            return
        first, *others = pieces(text, LONGEST)
        with self.parts.database.write() as session:
            for number, part in enumerate(others, start=2):
                key = f"{message.key}/{number}"
                outbox.put(session, key, "wechat", message.recipient, {"text": part}, self.parts.clock())
        code = self.post(message.recipient, first)
        if code in EXPIRED:
            self.token = ""
            code = self.post(message.recipient, first)
        if code:
            raise NotSent(f"WeChat error {code}", final=code in FINAL)

    def post(self, peer: str, text: str) -> int:
        """Send words to a follower; returns WeChat's error code, 0 is none. Raises NotSent."""
        words = {"touser": peer, "msgtype": "text", "text": {"content": text}}
        told = self.call("/cgi-bin/message/custom/send", words, {"access_token": self.access_token()})
        return int(told.get("errcode", 0))

    def access_token(self) -> str:
        """A token that is good now; all processes get the same one (stable_token). Raises NotSent."""
        settings, now = self.parts.settings, self.parts.clock()
        if not settings.wechat_app_id or not settings.wechat_app_secret:
            raise NotSent("no WeChat account")
        if not self.token or self.good_until is None or now >= self.good_until:
            asked = {
                "grant_type": "client_credential",
                "appid": settings.wechat_app_id,
                "secret": settings.wechat_app_secret,
            }
            told = self.call("/cgi-bin/stable_token", asked)
            if "access_token" not in told:
                raise NotSent(f"WeChat gives no token: error {told.get('errcode')}")
            self.token = str(told["access_token"])
            self.good_until = now + timedelta(seconds=int(told.get("expires_in", 0)) - 60)
        return self.token

    def call(self, path: str, body: dict[str, Any], query: dict[str, str] | None = None) -> dict[str, Any]:
        """Ask WeChat's API. Raises NotSent."""
        try:
            answered = self.http.post(f"{API}{path}", params=query, json=body)
            answered.raise_for_status()
            told = answered.json()
        except (httpx.HTTPError, ValueError) as error:
            raise NotSent(f"WeChat: {type(error).__name__}") from None
        return told if isinstance(told, dict) else {}
