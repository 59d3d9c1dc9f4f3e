"""The windows of the practice phone, at the exchange: what a person does at one, and what is heard there.

A window is a telephone's address: +8613800138000, or client:operator1 for an operator's browser. `POST
/practice/windows/<address>` does one act, `GET` only looks; both return what was heard since `after`.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from ivr.phone.call import DEFAULT_TO, KEYS, PracticeCall, WebhookFailed
from ivr.phone.noise import Noise
from ivr.phone.switch import Manner, Switch

MAX_TEXT = 1000  # characters in one thing said; far more than anyone says in a breath
MAX_SECONDS = 300  # of a practice recording
LONGEST_PAUSE = 10.0  # seconds between two acts of a session that is played again
RECORDED_ACTS = 1000
ADDRESS = re.compile(r"\+?[0-9]{3,15}|client:[\w.-]{1,100}")


class BadAct(Exception):
    """A window sent something that no window of ours sends."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def make_windows_blueprint(switch: Switch, noise: Noise) -> Blueprint:
    """The addresses of windows, and the switches for tests: noise, how a telephone behaves, how much the REST API
    refuses."""
    blueprint = Blueprint("windows", __name__, url_prefix="/practice")
    session: list[dict[str, Any]] = []  # the acts so far: at, address, act

    @blueprint.get("/windows/<address>")
    def look(address: str) -> ResponseReturnValue:
        return jsonify(window_json(switch, _address(address), _after(request.args.get("after", "0"))))

    @blueprint.post("/windows/<address>")
    def act(address: str) -> ResponseReturnValue:
        act = _read_act()
        session.append({"at": switch.clock(), "address": _address(address), "act": act})
        del session[:-RECORDED_ACTS]
        answer = take_act(switch, address, noise.distort(act))
        return jsonify(window_json(switch, address, _after(act.get("after", 0))) | answer)

    @blueprint.get("/session")
    def recorded() -> ResponseReturnValue:
        """All acts so far, to be played again."""
        return jsonify(session)

    @blueprint.post("/session")
    def play() -> ResponseReturnValue:
        """Play a recorded session again, at the pace at which it was recorded; the windows show what happens."""
        acts = request.get_json(silent=True) if request.is_json else None
        if not isinstance(acts, list):
            raise BadAct("bad_json", "the body must be a recorded session")
        for each in acts:
            _check_recorded(each)
        threading.Thread(target=replay, args=(switch, noise, acts, time.sleep), daemon=True).start()
        return Response(status=HTTPStatus.ACCEPTED)

    @blueprint.post("/noise")
    def make_noise() -> ResponseReturnValue:
        """Switch noise on (a share above 0) or off, for all calls."""
        act = _read_act()
        noise.set(int(_number(act, "seed", 0, 2**32)), _number(act, "share", 0.0, 1.0))
        return Response(status=HTTPStatus.NO_CONTENT)

    @blueprint.post("/manners/<address>")
    def behave(address: str) -> ResponseReturnValue:
        """How the telephone answers calls and messages: the fields of Manner."""
        try:
            switch.manners[_address(address)] = Manner(**_read_act())
        except TypeError as error:
            raise BadAct("bad_input", "a manner has answers and messages") from error
        return Response(status=HTTPStatus.NO_CONTENT)

    @blueprint.post("/refusals")
    def refuse() -> ResponseReturnValue:
        """Let the REST API refuse the next so many requests as too many (20429)."""
        switch.refusals = int(_number(_read_act(), "requests", 0, 1000))
        return Response(status=HTTPStatus.NO_CONTENT)

    @blueprint.errorhandler(BadAct)
    def tell(fault: BadAct) -> ResponseReturnValue:
        return jsonify(code=fault.code, message=fault.message), HTTPStatus.BAD_REQUEST

    return blueprint


def window_json(switch: Switch, address: str, after: int) -> dict[str, Any]:
    """How the telephone stands, and what was heard there after event number `after`."""
    leg = switch.leg_of(address)
    events = switch.logs.get(address, [])[after:]
    if leg is None:
        status, position = ("ended" if switch.logs.get(address) else "new"), None
    else:
        status = leg.call.status if leg.ringing_until is None else "ringing"
        position = leg.call.state.queue_position if leg.call.state.queue else None
    return {
        "events": events,
        "last": len(switch.logs.get(address, [])),
        "status": status,
        "queue_position": position,
        "call_sid": leg.sid if leg else None,
    }


def take_act(switch: Switch, address: str, act: dict[str, Any]) -> dict[str, Any]:
    """Do what the window says. Returns what there is to show besides what is heard. Raises BadAct."""
    take = ACTS.get(act["type"]) if isinstance(act.get("type"), str) else None
    if take is None:
        raise BadAct("bad_input", "no such act")
    return take(switch, address, act) or {}


def replay(switch: Switch, noise: Noise, acts: list[dict[str, Any]], sleep: Callable[[float], None]) -> None:
    """Do a recorded session's acts again. What was refused then is refused again, and passed over."""
    last = acts[0]["at"] if acts else 0.0
    for each in acts:
        sleep(min(max(each["at"] - last, 0.0), LONGEST_PAUSE))
        last = each["at"]
        with contextlib.suppress(BadAct):
            take_act(switch, each["address"], noise.distort(each["act"]))


# ---- acts --------------------------------------------------------------------------------------------------


def _dial(switch: Switch, address: str, act: dict[str, Any]) -> None:
    to = act.get("to", DEFAULT_TO)
    if not isinstance(to, str) or not re.fullmatch(r"\+?[0-9]{3,15}", to):
        raise BadAct("bad_input", "to must be a phone number")
    try:
        switch.dial(address, to)
    except ValueError as error:
        raise BadAct("busy", str(error)) from error


def _press(switch: Switch, address: str, act: dict[str, Any]) -> None:
    digits = _text(act, "digits")
    if not digits or any(key not in KEYS for key in digits):
        raise BadAct("bad_input", "digits must be keys of a phone")
    switch.press(address, digits, then_wait=False)


def _speak(switch: Switch, address: str, act: dict[str, Any]) -> None:
    switch.speak(address, _text(act, "text"), _number(act, "confidence", 0.9, 1.0))


def _finish_recording(switch: Switch, address: str, act: dict[str, Any]) -> None:
    seconds = int(_number(act, "seconds", 0, MAX_SECONDS))
    switch.act(address, lambda call: call.finish_recording(seconds))


def _repeat(switch: Switch, address: str, act: dict[str, Any]) -> dict[str, Any]:
    leg = switch.leg_of(address)
    if leg is None:
        raise BadAct("not_repeated", "there is no call")
    try:
        with switch.lock:
            return {"repeated": leg.call.repeat_last_webhook()}
    except (WebhookFailed, ValueError) as failure:
        raise BadAct("not_repeated", str(failure)) from failure


ACTS: dict[str, Callable[[Switch, str, dict[str, Any]], dict[str, Any] | None]] = {
    "dial": _dial,
    "answer": lambda switch, address, act: switch.answer(address),
    "decline": lambda switch, address, act: switch.decline(address),
    "press": _press,
    "speak": _speak,
    "finish_recording": _finish_recording,
    "silence": lambda switch, address, act: switch.act(address, PracticeCall.silence),
    "wait": lambda switch, address, act: switch.wait(address),
    "hang_up": lambda switch, address, act: switch.act(address, PracticeCall.hang_up),
    "repeat": _repeat,
}


# ---- what a request says -----------------------------------------------------------------------------------


def _read_act() -> dict[str, Any]:
    """The request's JSON object. The JSON type keeps other sites' forms out: a browser asks before it sends it."""
    body = request.get_json(silent=True) if request.is_json else None
    if not isinstance(body, dict):
        raise BadAct("bad_json", "the body must be a JSON object")
    return body


def _check_recorded(each: Any) -> None:
    """Refuse what is no act of a recorded session."""
    named = isinstance(each, dict) and set(each) == {"at", "address", "act"} and isinstance(each["act"], dict)
    if not named or isinstance(each["at"], bool) or not isinstance(each["at"], int | float):
        raise BadAct("bad_json", "an act of a session has at, address and act")
    _address(str(each["address"]))


def _address(address: str) -> str:
    if not ADDRESS.fullmatch(address):
        raise BadAct("bad_address", "a window is a phone number or client:name")
    return address


def _after(value: Any) -> int:
    try:
        return max(0, int(value))
    except (TypeError, ValueError) as error:
        raise BadAct("bad_input", "after must be a number") from error


def _text(act: dict[str, Any], name: str) -> str:
    value = act.get(name)
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise BadAct("bad_input", f"{name} must be text of up to {MAX_TEXT} characters")
    return value


def _number(act: dict[str, Any], name: str, default: float, most: float) -> float:
    value = act.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise BadAct("bad_input", f"{name} must be a number from 0 to {most}")
    return value
