"""The practice phone in a browser: `/phone`.

The server keeps nothing: the call's state travels with the page, signed so that it can't be forged.
Registered in development and tests only. A step calls the line's webhooks over HTTP while it is being
answered, so the server needs more than one thread (Flask's development server has them).
"""

from __future__ import annotations

import io
import json
import re
import wave
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol

from flask import Blueprint, Response, jsonify, render_template, request
from flask.typing import ResponseReturnValue
from itsdangerous import BadSignature, URLSafeSerializer

from ivr.phone.call import (
    DEFAULT_FROM,
    KEYS,
    CallState,
    Event,
    HttpTransport,
    PracticeCall,
    Transport,
    WebhookFailed,
)
from ivr.phone.terminal import read_texts

LANGUAGES = ("zh", "en")
MAX_TEXT = 1000  # characters in one thing said; far more than anyone says in a breath
MAX_SECONDS = 300  # of a practice recording
SAMPLE_RATE = 8000  # a telephone's

NUMBER = re.compile(r"\+?[0-9]{3,15}")
RECORDING_SID = re.compile(r"RE[0-9a-f]{32}")


class PhoneSettings(Protocol):
    """The settings that the page needs."""

    @property
    def secret_key(self) -> str: ...
    @property
    def twilio_auth_token(self) -> str: ...
    @property
    def base_url(self) -> str: ...
    @property
    def environment(self) -> str: ...


class BadStep(Exception):
    """The page sent something that no page of ours sends."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def make_phone_blueprint(settings: PhoneSettings, transport: Transport | None = None) -> Blueprint:
    """The pages under /phone. `transport` reaches the line, by default over HTTP at `settings.base_url`.

    Raises RuntimeError in production: whoever can sign webhooks for any number must not be on a public page.
    """
    if settings.environment == "production":
        raise RuntimeError("the practice phone is for development and tests only")
    blueprint = Blueprint("phone", __name__, url_prefix="/phone", template_folder="templates", static_folder="static")
    serializer = URLSafeSerializer(settings.secret_key, salt="practice-phone")
    line = transport or HttpTransport()

    @blueprint.get("")
    def page() -> ResponseReturnValue:
        wanted = request.args.get("lang", "zh")
        language = wanted if wanted in LANGUAGES else "zh"
        other = "en" if language == "zh" else "zh"
        keys = ("123", "456", "789", "*0#")
        return render_template(
            "phone.html", texts=read_texts(language), other=other, keys="".join(keys), caller=DEFAULT_FROM
        )

    @blueprint.post("/step")
    def step() -> ResponseReturnValue:
        try:
            state, act = _read_step()
            call = _start(settings, line, act) if state is None else _resume(settings, line, serializer, state)
            answer = _take_step(call, act)
        except BadStep as fault:
            return jsonify(code=fault.code, message=fault.message), HTTPStatus.BAD_REQUEST
        return jsonify(state=serializer.dumps(call.to_dict()), call=_summary(call), **answer)

    @blueprint.get("/recordings/<sid>")
    def recording(sid: str) -> ResponseReturnValue:
        if not RECORDING_SID.fullmatch(sid.removesuffix(".wav")):
            return jsonify(code="not_found", message="no such recording"), HTTPStatus.NOT_FOUND
        seconds = request.args.get("seconds", default=3, type=int)
        return Response(silent_wav(min(max(seconds, 0), MAX_SECONDS)), mimetype="audio/wav")

    return blueprint


def silent_wav(seconds: int) -> bytes:
    """A WAV file of that many seconds of silence, one channel of 8 bits (8 kB a second)."""
    file = io.BytesIO()
    with wave.open(file, "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(1)
        audio.setframerate(SAMPLE_RATE)
        audio.writeframes(b"\x80" * SAMPLE_RATE * seconds)  # 8-bit WAV is unsigned: silence is its middle
    return file.getvalue()


# ---- a step ------------------------------------------------------------------------------------------------


def _read_step() -> tuple[str | None, dict[str, Any]]:
    """The request's state (None for a new call) and input. Raises BadStep when it is not of that shape."""
    # The JSON type keeps other sites' forms out: a browser asks first before it sends it across sites.
    if not request.is_json:
        raise BadStep("bad_json", "the body must be application/json")
    try:
        body = json.loads(request.get_data())
    except ValueError as error:
        raise BadStep("bad_json", "the body is not JSON") from error
    if not isinstance(body, dict) or set(body) != {"state", "input"} or not isinstance(body["input"], dict):
        raise BadStep("bad_json", "the body must be {state, input}")
    if not (body["state"] is None or isinstance(body["state"], str)):
        raise BadStep("bad_state", "state must be null, or what the last step returned")
    return body["state"], body["input"]


def _start(settings: PhoneSettings, line: Transport, act: dict[str, Any]) -> PracticeCall:
    """A new call, as the input asks for."""
    number = act.get("from", DEFAULT_FROM)
    if act.get("type") != "start" or not isinstance(number, str) or not NUMBER.fullmatch(number):
        raise BadStep("bad_input", "without state, the input must be a start, from a phone number")
    return PracticeCall.new(
        settings.base_url,
        auth_token=settings.twilio_auth_token,
        transport=line,
        from_=number,
        fallback_url="/ivr/fallback",
        status_callback="/ivr/status",
    )


def _resume(settings: PhoneSettings, line: Transport, serializer: URLSafeSerializer, token: str) -> PracticeCall:
    """The call whose state this is. Raises BadStep for a state that is not ours, or is another line's."""
    try:
        state = CallState.from_dict(serializer.loads(token))
    except (BadSignature, ValueError, TypeError) as error:
        raise BadStep("bad_state", "the state is not one that this phone gave") from error
    if state.base_url.rstrip("/") != settings.base_url.rstrip("/"):
        raise BadStep("wrong_line", "the state belongs to another line")
    return PracticeCall(state, auth_token=settings.twilio_auth_token, transport=line)


def _take_step(call: PracticeCall, act: dict[str, Any]) -> dict[str, Any]:
    """Do what the input says; the answer's events, or what a repeated webhook returned."""
    if act.get("type") == "repeat":
        try:
            return {"events": [], "repeated": call.repeat_last_webhook()}
        except (WebhookFailed, ValueError) as failure:
            raise BadStep("not_repeated", str(failure)) from failure
    take = INPUTS.get(act["type"]) if isinstance(act.get("type"), str) else None
    if take is None:
        raise BadStep("bad_input", "no such input")
    return {"events": [event.to_dict() for event in take(call, act)]}


def _text(act: dict[str, Any], name: str) -> str:
    value = act.get(name)
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise BadStep("bad_input", f"{name} must be text of up to {MAX_TEXT} characters")
    return value


def _number(act: dict[str, Any], name: str, default: float, most: float) -> float:
    value = act.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise BadStep("bad_input", f"{name} must be a number from 0 to {most}")
    return value


def _start_call(call: PracticeCall, act: dict[str, Any]) -> list[Event]:
    if call.status != "new":
        raise BadStep("bad_input", "the call has been started already")
    return call.start("/ivr/voice")


def _press(call: PracticeCall, act: dict[str, Any]) -> list[Event]:
    digits = _text(act, "digits")
    if not digits or any(key not in KEYS for key in digits):
        raise BadStep("bad_input", "digits must be keys of a phone")
    return call.press(digits, then_wait=False)


def _speak(call: PracticeCall, act: dict[str, Any]) -> list[Event]:
    return call.speak(_text(act, "text"), _number(act, "confidence", 0.9, 1.0))


def _finish_recording(call: PracticeCall, act: dict[str, Any]) -> list[Event]:
    return call.finish_recording(int(_number(act, "seconds", 0, MAX_SECONDS)))


INPUTS: dict[str, Callable[[PracticeCall, dict[str, Any]], list[Event]]] = {
    "start": _start_call,
    "press": _press,
    "speak": _speak,
    "finish_recording": _finish_recording,
    "silence": lambda call, act: call.silence(),
    "wait": lambda call, act: call.wait(),
    "hang_up": lambda call, act: call.hang_up(),
    "other_side_hangs_up": lambda call, act: call.other_side_hangs_up(),
}


def _summary(call: PracticeCall) -> dict[str, Any]:
    """What the page shows of the state that it can't read."""
    return {
        "status": call.status,
        "queue_position": call.state.queue_position if call.state.queue else None,
        "call_sid": call.state.call_sid,
    }
