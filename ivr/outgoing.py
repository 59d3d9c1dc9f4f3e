"""The webhooks of what the line itself begins, return visits and text messages; all under /ivr, each signed."""

import logging
import re

from flask import Blueprint, Response, request

from backend import outbox
from backend.parts import parts
from ivr.flow import Heard, confidence_of
from ivr.texting import answer_text
from ivr.twiml import NOTHING
from ivr.views import once, signed, signed_by_account, step_of_request, twiml
from ivr.visits import Visit

blueprint = Blueprint("outgoing", __name__, url_prefix="/ivr")
log = logging.getLogger(__name__)
PHOTOS_LIMIT = 10
"""Media of one message (messaging/guides/accepting-mms)."""


def visit_of_request() -> int:
    """The visit that this call is for, which the line itself put into the URL; 0 is none."""
    return request.args.get("visit", default=0, type=int)


@blueprint.post("/visit")
@signed
def visit() -> Response:
    """Somebody has answered a return visit; who or what is in AnsweredBy (voice/answering-machine-detection)."""
    answered_by = request.form.get("AnsweredBy", "")
    return once(lambda: Visit(parts()).answered(request.form["CallSid"], visit_of_request(), answered_by))


@blueprint.post("/visit-turn")
@signed
def visit_turn() -> Response:
    """A <Gather> of a return visit has ended."""
    heard = Heard(
        speech=request.form.get("SpeechResult", ""),
        confidence=confidence_of(request.form.get("Confidence")),
        digits=request.form.get("Digits", ""),
    )
    return once(lambda: Visit(parts()).turn(request.form["CallSid"], step_of_request(), heard))


@blueprint.post("/visit-status")
@signed
def visit_status() -> Response:
    """The status callback of a return visit."""
    Visit(parts()).ended(request.form["CallSid"], visit_of_request(), request.form.get("CallStatus", ""))
    return Response(status=204)


@blueprint.post("/sms")
@signed_by_account
def sms() -> Response:
    """A text message to the line, perhaps with pictures (messaging/twiml)."""
    sender, sid = request.form.get("From", ""), request.form.get("MessageSid", "")
    if not re.fullmatch(r"\+\d{5,15}", sender) or not re.fullmatch(r"\w{3,40}", sid):
        return twiml(NOTHING)
    photos = [
        request.form[f"MediaUrl{number}"]
        for number in range(min(request.form.get("NumMedia", default=0, type=int), PHOTOS_LIMIT))
        if request.form.get(f"MediaContentType{number}", "").startswith("image/")
        and f"MediaUrl{number}" in request.form
    ]
    return twiml(answer_text(parts(), sender, request.form.get("Body", ""), sid, photos))


@blueprint.post("/sms-status")
@signed_by_account
def sms_status() -> Response:
    """The status callback of a text message: one that the network could not deliver is shown as failed
    (messaging/guides/outbound-message-status-in-status-callbacks)."""
    if request.form.get("MessageStatus") in {"failed", "undelivered"}:
        code = request.form.get("ErrorCode", "")[:10]
        log.warning("a text message was not delivered: error %s", code or "unknown")
        with parts().database.write() as session:
            outbox.delivery_failed(session, request.form.get("MessageSid", ""), f"error {code}")
    return Response(status=204)
