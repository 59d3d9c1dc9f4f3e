"""The practice phone in a browser: `/phone`, a citizen's telephone, and `/phone?as=operator1`, an operator's.

The calls live at the practice exchange (exchange.py); this is the page, and passes on what its windows ask, with the
account's log-in, which no page knows. Registered in development and tests only.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Protocol

import httpx
from flask import Blueprint, Response, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from backend.trusted import trusted
from ivr.phone.call import DEFAULT_FROM, PRACTICE_ACCOUNT
from ivr.phone.rest import silent_wav
from ivr.phone.terminal import read_texts
from ivr.phone.windows import ADDRESS, MAX_SECONDS

LANGUAGES = ("zh", "en")
PATIENCE = 30  # seconds; an act lasts as long as the webhooks that it leads to
RECORDING_SID = re.compile(r"RE[0-9a-f]{32}")


class PhoneSettings(Protocol):
    """The settings that the page needs."""

    @property
    def twilio_account_sid(self) -> str: ...
    @property
    def twilio_auth_token(self) -> str: ...
    @property
    def exchange_port(self) -> int: ...
    @property
    def environment(self) -> str: ...


def make_phone_blueprint(settings: PhoneSettings, transport: httpx.BaseTransport | None = None) -> Blueprint:
    """The pages under /phone. `transport` reaches the exchange, by default over HTTP on this machine.

    Raises RuntimeError in production: whoever can sign webhooks for any number must not be on a public page.
    """
    if settings.environment == "production":
        raise RuntimeError("the practice phone is for development and tests only")
    blueprint = Blueprint("phone", __name__, url_prefix="/phone", template_folder="templates", static_folder="static")
    exchange = httpx.Client(
        base_url=f"http://127.0.0.1:{settings.exchange_port}/practice",
        auth=(settings.twilio_account_sid or PRACTICE_ACCOUNT, settings.twilio_auth_token),
        timeout=PATIENCE,
        transport=transport,
        trust_env=False,
        verify=trusted(),
    )

    @blueprint.get("")
    def page() -> ResponseReturnValue:
        wanted, operator = request.args.get("lang", "zh"), request.args.get("as", "")
        language = wanted if wanted in LANGUAGES else "zh"
        address = (operator if operator.startswith("+") else f"client:{operator}") if operator else DEFAULT_FROM
        return render_template(
            "phone.html",
            texts=read_texts(language),
            language=language,
            other="en" if language == "zh" else "zh",
            keys="123456789*0#",
            address=address if ADDRESS.fullmatch(address) else DEFAULT_FROM,
            operator=operator if ADDRESS.fullmatch(address) else "",
        )

    @blueprint.route("/windows/<address>", methods=["GET", "POST"])
    def window(address: str) -> ResponseReturnValue:
        return pass_on(f"/windows/{address}") if ADDRESS.fullmatch(address) else not_found()

    @blueprint.route("/session", methods=["GET", "POST"])
    def session() -> ResponseReturnValue:
        return pass_on("/session")

    @blueprint.post("/noise")
    def noise() -> ResponseReturnValue:
        return pass_on("/noise")

    def pass_on(path: str) -> ResponseReturnValue:
        """Ask the exchange what the page has asked, and answer what it answers."""
        headers = {"Content-Type": request.headers.get("Content-Type", "")}
        try:
            answer = exchange.request(
                request.method, path, params=request.args, content=request.get_data(), headers=headers
            )
        except httpx.HTTPError:
            return jsonify(code="no_exchange", message="the practice exchange does not answer"), 503
        return Response(answer.content, answer.status_code, content_type=answer.headers.get("Content-Type"))

    @blueprint.get("/recordings/<sid>")
    def recording(sid: str) -> ResponseReturnValue:
        if not RECORDING_SID.fullmatch(sid.removesuffix(".wav")):
            return not_found()
        seconds = request.args.get("seconds", default=3, type=int)
        return Response(silent_wav(min(max(seconds, 0), MAX_SECONDS)), mimetype="audio/wav")

    return blueprint


def not_found() -> ResponseReturnValue:
    """There is no such window or recording."""
    return jsonify(code="not_found", message="no such window or recording"), HTTPStatus.NOT_FOUND
