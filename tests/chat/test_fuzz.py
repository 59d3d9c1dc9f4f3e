"""Whatever a stranger sends to chat, files, WeChat, SMS: a refusal or an answer, never a fault, and nothing hangs."""

import io
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from twilio.request_validator import RequestValidator
from wechatpy.crypto import WeChatCrypto
from wechatpy.utils import WeChatSigner
from xmltodict import parse

from backend.app import create_app
from tests.conftest import StandingClock, make_settings

TOKEN, AES_KEY, APP = "wechat-token", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "wx0123456789abcdef"
BASE = "http://127.0.0.1:8000"
fuzz = settings(
    max_examples=25, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TEXTS = st.text(max_size=300) | st.sampled_from(
    ["转人工", "/restart", "1", "确认", "26000-00014", "\x00", "<b>&", "﷽" * 50]
)
NAMES = st.sampled_from(
    [
        "MsgType",
        "FromUserName",
        "ToUserName",
        "CreateTime",
        "MsgId",
        "Content",
        "Event",
        "EventKey",
        "PicUrl",
        "Recognition",
        "Location_X",
        "Location_Y",
        "Label",
        "MediaId",
        "ScanCodeInfo",
        "SendLocationInfo",
    ]
)
IN_PATHS = st.text(st.characters(max_codepoint=127), max_size=60)
KINDS = st.sampled_from(
    ["text", "image", "voice", "video", "location", "link", "event", "device_text", "device_event", ""]
)
XML_TEXT = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=["Cc", "Cs"]), max_size=80
)


@pytest.fixture
def app(sqlite_url: str, clock: StandingClock, request: pytest.FixtureRequest) -> Flask:
    key = AES_KEY if getattr(request, "param", "") == "safe" else ""
    more = {"wechat_token": TOKEN, "wechat_app_id": APP, "wechat_aes_key": key}
    return create_app(make_settings(sqlite_url, **more), clock=clock)


@pytest.fixture
def chat(web: httpx.Client) -> tuple[str, dict[str, str]]:
    """The address of a chat, and the header with its secret."""
    began = web.post("/api/v1/conversations", json={}).json()
    return f"/api/v1/conversations/{began['id']}", {"X-Conversation-Token": began["token"]}


def jpeg() -> bytes:
    packed = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(packed, "JPEG")
    return packed.getvalue()


def test_anything_said_in_a_chat(web: httpx.Client, chat: tuple[str, dict[str, str]]) -> None:
    address, headers = chat

    @fuzz
    @given(TEXTS | st.none() | st.integers() | st.lists(st.text()), TEXTS | st.none())
    def holds(text: Any, key: Any) -> None:
        assert web.post(f"{address}/messages", json={"text": text, "key": key}, headers=headers).status_code < 500

    holds()


def test_any_body_and_any_address_of_a_chat(web: httpx.Client, chat: tuple[str, dict[str, str]]) -> None:
    address, headers = chat

    kinds = st.sampled_from(
        ["application/json", "multipart/form-data; boundary=x", "multipart/form-data", "text/plain"]
    )

    @fuzz
    @given(st.sampled_from(["messages", "photos", "typing"]), kinds, st.binary(max_size=200), IN_PATHS)
    def holds(end: str, kind: str, body: bytes, conversation: str) -> None:
        sent = headers | {"Content-Type": kind}
        assert web.post(f"{address}/{end}", content=body, headers=sent).status_code < 500
        other = f"/api/v1/conversations/{quote(conversation, safe='')}/turns"
        assert web.get(other, headers=headers).status_code < 500
        assert web.post("/api/v1/conversations", json={"leaving": conversation}, headers=headers).status_code < 500

    holds()


def test_any_file_sent_as_a_photo(web: httpx.Client, chat: tuple[str, dict[str, str]]) -> None:
    address, headers = chat
    whole = jpeg()
    heads = st.sampled_from(
        [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\0\0\0\0WEBP", b"PK\x03\x04", b""]
    )
    broken = st.integers(0, len(whole)).map(lambda cut: whole[:cut])
    changed = st.tuples(st.integers(0, len(whole) - 1), st.integers(0, 255)).map(
        lambda at: whole[: at[0]] + bytes([at[1]]) + whole[at[0] + 1 :]
    )
    made = st.tuples(heads, st.binary(max_size=200)).map(b"".join)

    @fuzz
    @given(broken | changed | made, XML_TEXT)
    def holds(content: bytes, name: str) -> None:
        sent = web.post(f"{address}/photos", files={"photo": (name or "a", content)}, headers=headers)
        assert sent.status_code < 500

    holds()


def test_any_link_to_a_file(web: httpx.Client) -> None:
    @fuzz
    @given(IN_PATHS)
    def holds(token: str) -> None:
        assert web.get(f"/files/{quote(token, safe='')}").status_code in (404, 405, 308)

    holds()


def signed(*more: str) -> str:
    signer = WeChatSigner()
    signer.add_data(TOKEN, "1764100000", "nonce1", *more)
    return str(signer.signature)


@pytest.mark.parametrize("app", ["plain", "safe"], indirect=True)
def test_anything_that_a_stranger_sends_as_wechat_is_refused(web: httpx.Client) -> None:
    @fuzz
    @given(st.binary(max_size=200), st.text(max_size=60), st.text(max_size=20), st.text(max_size=60))
    def holds(body: bytes, signature: str, nonce: str, seal: str) -> None:
        query = {"signature": signature, "timestamp": "1", "nonce": nonce, "msg_signature": seal, "encrypt_type": "aes"}
        assert web.post("/wechat", params=query, content=body).status_code == 403
        assert web.get("/wechat", params=query).status_code == 403

    holds()


@pytest.mark.parametrize("app", ["plain", "safe"], indirect=True)
def test_any_message_that_carries_wechat_s_signature_is_answered(web: httpx.Client, app: Flask) -> None:
    """A follower writes the content; and WeChat may send a kind of message tomorrow that nobody knows today."""
    safe = bool(app.extensions["parts"].settings.wechat_aes_key)
    crypto = WeChatCrypto(TOKEN, AES_KEY, APP)
    follower = st.just({"FromUserName": "oFollower_1234", "ToUserName": "gh_1", "MsgId": "7"})

    @fuzz
    @given(KINDS, follower, st.dictionaries(NAMES, XML_TEXT, max_size=6), st.none() | st.binary(max_size=100))
    def holds(kind: str, known: dict[str, str], fields: dict[str, str], junk: bytes | None) -> None:
        inside = {"MsgType": kind} | known | fields
        xml = "".join(f"<{name}><![CDATA[{text.replace(']]>', '')}]]></{name}>" for name, text in inside.items())
        body, query = f"<xml>{xml}</xml>", {"signature": signed(), "timestamp": "1764100000", "nonce": "nonce1"}
        if safe:
            body = crypto.encrypt_message(body, "nonce1", "1764100000")
            query |= {"encrypt_type": "aes", "msg_signature": parse(body)["xml"]["MsgSignature"]}
        assert web.post("/wechat", params=query, content=body.encode()).status_code == 200
        if junk is not None:
            assert web.post("/wechat", params=query, content=junk).status_code in (200, 403)

    holds()


def test_anything_in_a_text_message(web: httpx.Client, app: Flask) -> None:
    token = app.extensions["parts"].settings.twilio_auth_token
    names = st.sampled_from(["From", "Body", "MessageSid", "NumMedia", "MediaUrl0", "MediaContentType0", "MediaUrl1"])
    sender = st.just({"From": "+8613800138000", "MessageSid": "SM1"})

    @fuzz
    @given(sender, st.dictionaries(names, TEXTS | st.sampled_from(["1", "-5", "99999", "image/jpeg", "https://x"])))
    def holds(known: dict[str, str], fields: dict[str, str]) -> None:
        form = known | {name: text.encode("utf-8", "ignore").decode() for name, text in fields.items()}
        signature = RequestValidator(token).compute_signature(f"{BASE}/ivr/sms", form)
        assert web.post("/ivr/sms", data=form, headers={"X-Twilio-Signature": signature}).status_code == 200
        assert web.post("/ivr/sms", data=form).status_code == 403

    holds()
