"""The webhooks that Twilio calls, all under /ivr. Each is signed; the first of a call is POST /ivr/voice."""

import logging
import re
from collections.abc import Callable
from functools import wraps

from flask import Blueprint, Response, request
from sqlalchemy.exc import SQLAlchemyError

from backend.parts import parts
from ivr import bridge, queue
from ivr.calls import caller_of
from ivr.flow import Heard, confidence_of
from ivr.music import PIECES, waiting_music
from ivr.once import answer_once
from ivr.provider import CALL_OVER, signature_is_valid
from ivr.relay import RESUME_STEP, add_relay, connect, handed_off
from ivr.service import Line

blueprint = Blueprint("ivr", __name__, url_prefix="/ivr")
log = logging.getLogger(__name__)

LAST_STEP = 1_000_000
"""No call has so many; a higher number is none of ours."""


def signed(view: Callable[[], Response]) -> Callable[[], Response]:
    """Refuse (403) what doesn't carry a signature of this account, and calls without a CallSid (400)."""

    @wraps(view)
    def checked() -> Response:
        if not re.fullmatch(r"[\w:-]{1,100}", request.form.get("CallSid", "")):
            log.warning("refused a webhook without a call: %s", request.path)
            return Response("CallSid missing", 400)
        return view()

    return signed_by_account(checked)


def signed_by_account(view: Callable[[], Response]) -> Callable[[], Response]:
    """Refuse (403) what doesn't carry a signature of this account (provider.signature_is_valid)."""

    @wraps(view)
    def checked() -> Response:
        settings = parts().settings
        url = settings.base_url + request.full_path.rstrip("?")
        body = request.get_data()  # before the form is parsed from it
        if not signature_is_valid(settings, url, request.form, request.headers, body):
            log.warning("refused a webhook with a wrong signature: %s", request.path)
            return Response("forbidden", 403)
        return view()

    return checked


def step_of_request() -> int:
    """The number of this step, which the line itself put into the URL."""
    step = request.args.get("step", default=0, type=int)
    return step if 0 <= step <= LAST_STEP else 0


def leg_of_request() -> int:
    """The leg that this call is, which the line itself put into the URL; 0 is none."""
    return request.args.get("leg", default=0, type=int)


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
    line, call_sid = Line(parts()), request.form["CallSid"]
    caller, dialled = caller_of(request.form.get("From", "")), request.form.get("To", "")[:20]
    if line.parts.settings.conversation_mode == "relay":
        return once(lambda: connect(line.answer(call_sid, caller, dialled), step=1))
    return once(lambda: line.document(call_sid, line.begin(call_sid, caller, dialled), step=1))


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


@blueprint.post("/relayed")
@signed
def relayed() -> Response:
    """A stream has ended (the action of <Connect>, voice/twiml/connect/conversationrelay): what it handed over is done; when
    it has failed, the call goes on with <Gather>."""
    line, call_sid = Line(parts()), request.form["CallSid"]
    handed = handed_off(request.form.get("HandoffData", ""))
    if handed:
        following, step = handed
        return once(lambda: line.document(call_sid, following, step))
    return once(lambda: line.document(call_sid, line.resume(call_sid), RESUME_STEP))


@blueprint.post("/wait")
@signed
def wait() -> Response:
    """The caller waits in the queue; a round may be asked for any number of times."""
    keys, asked = request.form.get("Digits", ""), request.args.get("asked", "")
    return twiml(queue.wait(parts(), request.form["CallSid"], keys, asked, request.args.get("told", type=int)))


@blueprint.post("/left")
@signed
def left() -> Response:
    """The caller has left the queue."""
    result = request.form.get("QueueResult", "")
    return once(lambda: queue.left(parts(), request.form["CallSid"], step_of_request(), result))


@blueprint.post("/come-in")
@signed
def come_in() -> Response:
    """A job has redirected the caller out of the queue, to the operator."""
    return twiml(queue.come_in(parts(), request.form["CallSid"]))


@blueprint.post("/queue-again")
@signed
def queue_again() -> Response:
    """A job has redirected the caller back into the queue."""
    return twiml(queue.queue_again(parts(), request.form["CallSid"]))


@blueprint.post("/dialled")
@signed
def dialled() -> Response:
    """The talk with an operator is over, or the operator's telephone did not answer."""
    status = request.form.get("DialCallStatus", "")
    return once(lambda: queue.connected_ended(parts(), request.form["CallSid"], step_of_request(), status))


@blueprint.post("/leg")
@signed
def leg() -> Response:
    """A telephone that the line has rung is answered: an operator's, an agency's, a supervisor's, a citizen's."""
    return twiml(bridge.answered(parts(), leg_of_request(), request.form["CallSid"]))


@blueprint.post("/leg-join")
@signed
def leg_join() -> Response:
    """An operator or agency takes the call after the whisper."""
    return twiml(bridge.join(parts(), leg_of_request()))


@blueprint.post("/leg-status")
@signed
def leg_status() -> Response:
    """How a call that the line has made goes (status callback)."""
    bridge.leg_status(parts(), leg_of_request(), request.form.get("CallStatus", ""))
    return Response(status=204)


@blueprint.post("/whisper")
@signed
def whisper() -> Response:
    """An operator who was dialled from the caller's side has answered."""
    return twiml(bridge.whisper(parts(), request.args.get("conversation", "")))


@blueprint.post("/recording")
@signed_by_account
def recording() -> Response:
    """The recording of a talk is ready (recordingStatusCallback)."""
    bridge.recorded(parts(), request.args.get("conversation", ""), request.form)
    return Response(status=204)


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
    if request.form.get("CallStatus") in CALL_OVER:
        queue.call_over(parts(), request.form["CallSid"])
    return Response(status=204)


add_relay(blueprint)


@blueprint.get("/music.wav")
def music() -> Response:
    """The waiting music, whole or a piece of it; it is public, Twilio fetches it like any sound."""
    piece = request.args.get("piece", type=int)
    sound = waiting_music(piece % PIECES if piece is not None else None)
    return Response(sound, content_type="audio/wav", headers={"Cache-Control": "public, max-age=86400"})
