"""The webhooks that Twilio calls, all under /ivr. Each is signed; the first of a call is POST /ivr/voice."""

import logging
import re
from collections.abc import Callable
from functools import wraps

from flask import Blueprint, Response, request
from sqlalchemy.exc import SQLAlchemyError
from twilio.request_validator import RequestValidator

from backend.parts import parts
from ivr.flow import Heard, confidence_of
from ivr.music import waiting_music
from ivr.once import answer_once
from ivr.service import Line

blueprint = Blueprint("ivr", __name__, url_prefix="/ivr")
log = logging.getLogger(__name__)

LAST_STEP = 1_000_000
"""No call has so many; a higher number is none of ours."""


def signed(view: Callable[[], Response]) -> Callable[[], Response]:
    """Refuse (403) what doesn't carry the X-Twilio-Signature of this account, and calls without a CallSid (400).

    The signature covers the public URL and all form fields (usage/webhooks/webhooks-security).
    """

    @wraps(view)
    def checked() -> Response:
        settings = parts().settings
        url = settings.base_url + request.full_path.rstrip("?")
        signature = request.headers.get("X-Twilio-Signature", "")
        if not RequestValidator(settings.twilio_auth_token).validate(url, request.form, signature):
            log.warning("refused a webhook with a wrong signature: %s", request.path)
            return Response("forbidden", 403)
        if not re.fullmatch(r"[\w-]{1,40}", request.form.get("CallSid", "")):
            log.warning("refused a webhook without a call: %s", request.path)
            return Response("CallSid missing", 400)
        return view()

    return checked


def step_of_request() -> int:
    """The number of this step, which the line itself put into the URL."""
    step = request.args.get("step", default=0, type=int)
    return step if 0 <= step <= LAST_STEP else 0


def once(work: Callable[[], str]) -> Response:
    """Answer with the TwiML of `work`, or of its first time when Twilio repeats the step."""
    shared = parts()
    name = f"{request.path.removeprefix('/ivr/')}:{step_of_request()}"
    return twiml(answer_once(shared.database, shared.clock, request.form["CallSid"], name, work))


def twiml(document: str) -> Response:
    """A document for Twilio."""
    return Response(document, content_type="text/xml; charset=utf-8")


@blueprint.post("/voice")
@signed
def voice() -> Response:
    """A call comes in."""
    caller = request.form.get("From", "")
    known = caller if re.fullmatch(r"\+\d{5,15}", caller) else None
    dialled = request.form.get("To", "")[:20]
    return once(lambda: Line(parts()).begin(request.form["CallSid"], known, dialled))


@blueprint.post("/turn")
@signed
def turn() -> Response:
    """A <Gather> has ended: speech, keys, or nothing."""
    heard = Heard(
        speech=request.form.get("SpeechResult", ""),
        confidence=confidence_of(request.form.get("Confidence")),
        digits=request.form.get("Digits", ""),
    )
    line, call_sid, step = Line(parts()), request.form["CallSid"], step_of_request()
    return twiml(line.document(call_sid, line.turn(call_sid, step, heard), step + 1))


@blueprint.post("/wait")
@signed
def wait() -> Response:
    """The caller waits in the queue; nothing is changed here, so it may be asked any number of times."""
    waited = request.form.get("QueueTime", default=0, type=int)
    return twiml(Line(parts()).wait(request.form["CallSid"], request.form.get("Digits", ""), waited))


@blueprint.post("/left")
@signed
def left() -> Response:
    """The caller has left the queue."""
    result = request.form.get("QueueResult", "")
    return once(lambda: Line(parts()).left_queue(request.form["CallSid"], step_of_request(), result))


@blueprint.post("/dialled")
@signed
def dialled() -> Response:
    """The operator's telephone has hung up or did not answer."""
    status = request.form.get("DialCallStatus", "")
    return once(lambda: Line(parts()).dialled(request.form["CallSid"], step_of_request(), status))


@blueprint.post("/recorded")
@signed
def recorded() -> Response:
    """A message has been recorded, or nothing was said."""
    url = request.form.get("RecordingUrl") or None
    return once(lambda: Line(parts()).recorded(request.form["CallSid"], url))


@blueprint.post("/fallback")
@signed
def fallback() -> Response:
    """Twilio asks here when another webhook failed (the number's fallback URL)."""
    log.error("fallback: error %s at a webhook", request.form.get("ErrorCode", "unknown")[:10])
    try:
        return twiml(Line(parts()).fall_back(request.form["CallSid"]))
    except SQLAlchemyError:  # the record itself is down: the message is at least recorded, by Twilio
        log.exception("fallback without the record")
        return twiml(Line(parts()).message_without_record())


@blueprint.post("/status")
@signed
def status() -> Response:
    """The number's status callback: the call is over."""
    if request.form.get("CallStatus") in {"completed", "busy", "failed", "no-answer", "canceled"}:
        Line(parts()).ended(request.form["CallSid"])
    return Response(status=204)


@blueprint.get("/music.wav")
def music() -> Response:
    """The waiting music; it is public, Twilio fetches it like any sound."""
    return Response(waiting_music(), content_type="audio/wav", headers={"Cache-Control": "public, max-age=86400"})
