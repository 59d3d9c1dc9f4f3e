"""Twilio's REST API as far as the line uses it, over the practice exchange's switch: calls, conferences and their
participants, queues, recordings, text messages. Shapes and refusals as Twilio documents them, so that what the twilio
package asks of api.twilio.com can be asked of the exchange.

Facts: https://www.twilio.com/docs/voice/api/call-resource, /conference-resource, /conference-participant-resource,
/recording, /queue-resource, https://www.twilio.com/docs/messaging/api/message-resource; errors
https://www.twilio.com/docs/usage/twilios-response and https://www.twilio.com/docs/api/errors.
"""

from __future__ import annotations

import io
import re
import wave
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from ivr.phone.switch import (
    CALL_SECONDS,
    Callback,
    Conference,
    Detection,
    Instructions,
    Leg,
    Member,
    Outgoing,
    Recording,
    Switch,
    TextMessage,
)

API = "2010-04-01"
MAX_BODY = 1600  # characters of a text message, errors/21617
MAX_TWIML = 4000  # characters of the Twiml parameter, docs/voice/api/call-resource
MAX_SECONDS = 600  # of ringing
SAMPLE_RATE = 8000  # a telephone's
CALL_EVENTS = ("initiated", "ringing", "answered", "completed")

NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
CLIENT = re.compile(r"client:\S{1,121}")
WEB_ADDRESS = re.compile(r"https?://[^\s/]+(/\S*)?")


class RestRefused(Exception):
    """What Twilio answers with an error: its own `code`, the HTTP `status` and a sentence."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


def make_rest_blueprint(switch: Switch, numbers: Sequence[str]) -> Blueprint:
    """The REST API of the account that owns these telephone numbers."""
    blueprint = Blueprint("rest", __name__, url_prefix=f"/{API}/Accounts/{switch.account_sid}")

    @blueprint.before_request
    def refuse_too_many() -> None:
        if switch.refusals > 0:
            switch.refusals -= 1
            raise RestRefused(20429, "Too Many Requests", 429)

    # ---- calls

    @blueprint.post("/Calls.json")
    def create_call() -> ResponseReturnValue:
        outgoing = Outgoing(
            to=_called("To", 21201, 21211),
            from_=_caller(numbers, 21213, 21212, 21210),
            then=_instructions(21205),
            fallback_url=_web_address("FallbackUrl", 21205),
            callback=_callback("StatusCallback", CALL_EVENTS, ("completed",)),
            detection=_detection(),
            seconds=_seconds("Timeout"),
            recording=_callback("RecordingStatusCallback", None, ("completed",)) if _flag("Record") else None,
        )
        return jsonify(call_json(switch, switch.call(outgoing))), 201

    @blueprint.get("/Calls.json")
    def list_calls() -> ResponseReturnValue:
        wanted = {"To": request.args.get("To"), "From": request.args.get("From"), "Status": request.args.get("Status")}
        legs = [leg for leg in reversed(list(switch.legs.values()))]
        found = [
            leg
            for leg in legs
            if wanted["To"] in (None, leg.call.state.to)
            and wanted["From"] in (None, leg.call.state.from_)
            and wanted["Status"] in (None, leg.call.state.call_status)
        ]
        return jsonify(_page("calls", [call_json(switch, leg) for leg in found]))

    @blueprint.get("/Calls/<sid>.json")
    def get_call(sid: str) -> ResponseReturnValue:
        return jsonify(call_json(switch, _leg(switch, sid)))

    @blueprint.post("/Calls/<sid>.json")
    def update_call(sid: str) -> ResponseReturnValue:
        leg, status = _leg(switch, sid), request.form.get("Status")
        if leg.over:
            raise RestRefused(21220, "Call is not in-progress. Cannot redirect.")
        if status in ("completed", "canceled"):
            switch.hang_up(leg, only_if_unanswered=status == "canceled")
        elif status is not None:
            raise RestRefused(20001, f"Status {status} is not completed or canceled")
        elif leg.answered_at is None:
            raise RestRefused(21220, "Call is not in-progress. Cannot redirect.")
        else:
            switch.redirect(leg, _instructions(21205))
        return jsonify(call_json(switch, leg))

    # ---- conferences

    @blueprint.get("/Conferences.json")
    def list_conferences() -> ResponseReturnValue:
        name, status = request.args.get("FriendlyName"), request.args.get("Status")
        found = [
            conference_json(switch, conference)
            for conference in reversed(list(switch.conferences.values()))
            if name in (None, conference.name) and status in (None, conference.status)
        ]
        return jsonify(_page("conferences", found))

    @blueprint.get("/Conferences/<sid>.json")
    def get_conference(sid: str) -> ResponseReturnValue:
        return jsonify(conference_json(switch, _conference(switch, sid)))

    @blueprint.post("/Conferences/<sid>.json")
    def update_conference(sid: str) -> ResponseReturnValue:
        conference = _conference(switch, sid)
        announce = _heard("Announce")
        if announce.url:
            switch.announce(conference, announce)
        if request.form.get("Status") == "completed":
            switch.end_conference(conference)
        return jsonify(conference_json(switch, conference))

    @blueprint.post("/Conferences/<name>/Participants.json")
    def add_participant(name: str) -> ResponseReturnValue:
        if name.startswith("CF"):
            _conference(switch, name)
        outgoing = Outgoing(
            to=_called("To", 21201, 21211),
            from_=_caller(numbers, 21213, 21212, 21210),
            callback=_callback("StatusCallback", CALL_EVENTS, ("completed",)),
            detection=_detection(),
            seconds=_seconds("Timeout"),
            recording=_callback("RecordingStatusCallback", None, ("completed",)) if _flag("Record") else None,
        )
        coached = request.form.get("CallSidToCoach", "")
        member = Member(
            label=request.form.get("Label", ""),
            muted=_flag("Muted"),
            coached_sid=coached if _flag("Coaching") or coached else "",
            starts=_flag("StartConferenceOnEnter", default=True),
            ends=_flag("EndConferenceOnExit"),
        )
        conference = switch.open_conference(name)
        if not conference.callback.url:
            conference.callback = _callback("ConferenceStatusCallback", None, ())
        if request.form.get("ConferenceRecord") in ("true", "record-from-start") and not conference.recording:
            conference.recording = _callback("ConferenceRecordingStatusCallback", None, ("completed",))
        if request.form.get("WaitUrl"):
            conference.wait = _heard("Wait")
        leg = switch.call(outgoing, joins=(conference, member))
        return jsonify(participant_json(switch, conference, leg, member)), 201

    @blueprint.get("/Conferences/<sid>/Participants.json")
    def list_participants(sid: str) -> ResponseReturnValue:
        conference = _conference(switch, sid)
        found = [participant_json(switch, conference, leg, member) for leg, member in _participants(switch, conference)]
        return jsonify(_page("participants", found))

    @blueprint.get("/Conferences/<sid>/Participants/<call>.json")
    def get_participant(sid: str, call: str) -> ResponseReturnValue:
        conference = _conference(switch, sid)
        return jsonify(participant_json(switch, conference, *_participant(switch, conference, call)))

    @blueprint.post("/Conferences/<sid>/Participants/<call>.json")
    def update_participant(sid: str, call: str) -> ResponseReturnValue:
        conference = _conference(switch, sid)
        leg, member = _participant(switch, conference, call)
        flags = {"Muted": "muted", "Hold": "hold", "EndConferenceOnExit": "ends"}
        changes: dict[str, Any] = {field: _flag(name) for name, field in flags.items() if name in request.form}
        if "CallSidToCoach" in request.form or "Coaching" in request.form:
            coaches = _flag("Coaching", default=True)
            coached = request.form.get("CallSidToCoach") or member.coached_sid
            if coaches and not coached:
                raise RestRefused(20001, "Coaching needs CallSidToCoach")
            if coaches and coached not in {each.sid for each in conference.members}:
                raise RestRefused(16028, "Participant to be whispered is not present in the conference")
            changes["coached_sid"] = coached if coaches else ""
        switch.change_member(leg, changes, _heard("Hold"), _heard("Announce"))
        return jsonify(participant_json(switch, conference, leg, member))

    @blueprint.delete("/Conferences/<sid>/Participants/<call>.json")
    def remove_participant(sid: str, call: str) -> ResponseReturnValue:
        switch.remove_member(_participant(switch, _conference(switch, sid), call)[0])
        return Response(status=204)

    # ---- queues

    @blueprint.get("/Queues.json")
    def list_queues() -> ResponseReturnValue:
        names = {leg.call.state.queue.name for leg in switch.legs.values() if leg.call.state.queue and not leg.over}
        return jsonify(_page("queues", [queue_json(switch, name) for name in sorted(names)]))

    # ---- recordings

    @blueprint.get("/Recordings.json")
    def list_recordings() -> ResponseReturnValue:
        since, call_sid = _moment("DateCreated>"), request.args.get("CallSid")
        found = [
            recording_json(switch, recording)
            for recording in reversed(list(switch.recordings.values()))
            if (since is None or recording.started_at >= since) and call_sid in (None, recording.call_sid)
        ]
        return jsonify(_page("recordings", found))

    @blueprint.get("/Recordings/<sid>.json")
    def get_recording(sid: str) -> ResponseReturnValue:
        return jsonify(recording_json(switch, _recording(switch, sid)))

    @blueprint.get("/Recordings/<name>")
    def get_sound(name: str) -> ResponseReturnValue:
        recording = _recording(switch, name.removesuffix(".wav"))
        return Response(silent_wav(recording.seconds), mimetype="audio/x-wav")

    @blueprint.delete("/Recordings/<sid>.json")
    def delete_recording(sid: str) -> ResponseReturnValue:
        del switch.recordings[_recording(switch, sid).sid]
        return Response(status=204)

    # ---- text messages

    @blueprint.post("/Messages.json")
    def create_message() -> ResponseReturnValue:
        body = request.form.get("Body", "")
        to = _called("To", 21604, 21211)
        from_ = _caller(numbers, 21603, 21212, 21606)
        if not body:
            raise RestRefused(21602, "Message body is required.")
        if len(body) > MAX_BODY:
            raise RestRefused(21617, f"The concatenated message body exceeds the {MAX_BODY} character limit")
        callback = Callback(_web_address("StatusCallback", 21609))
        return jsonify(message_json(switch, switch.send_message(to, from_, body, callback))), 201

    @blueprint.get("/Messages.json")
    def list_messages() -> ResponseReturnValue:
        to = request.args.get("To")
        found = [each for each in reversed(list(switch.messages.values())) if to in (None, each.to)]
        return jsonify(_page("messages", [message_json(switch, message) for message in found]))

    @blueprint.get("/Messages/<sid>.json")
    def get_message(sid: str) -> ResponseReturnValue:
        if sid not in switch.messages:
            raise _not_found()
        return jsonify(message_json(switch, switch.messages[sid]))

    return blueprint


def refusal_json(refusal: RestRefused) -> tuple[Response, int]:
    """An error as Twilio words it."""
    more_info = f"https://www.twilio.com/docs/errors/{refusal.code}"
    body = {"code": refusal.code, "message": refusal.message, "more_info": more_info, "status": refusal.status}
    return jsonify(body), refusal.status


def silent_wav(seconds: int) -> bytes:
    """A WAV file of that many seconds of silence, one channel of 8 bits (8 kB a second)."""
    file = io.BytesIO()
    with wave.open(file, "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(1)
        audio.setframerate(SAMPLE_RATE)
        audio.writeframes(b"\x80" * SAMPLE_RATE * seconds)  # 8-bit WAV is unsigned: silence is its middle
    return file.getvalue()


# ---- what a request says -----------------------------------------------------------------------------------


def _called(name: str, missing: int, invalid: int) -> str:
    """Who is to be reached: a number in E.164, or client:name."""
    to = request.form.get(name, "")
    if not to:
        raise RestRefused(missing, f"A '{name}' phone number is required.")
    if not NUMBER.fullmatch(to) and not (CLIENT.fullmatch(to) and missing == 21201):
        raise RestRefused(invalid, f"The '{name}' number {to} is not a valid phone number.")
    return to


def _caller(numbers: Sequence[str], missing: int, invalid: int, foreign: int) -> str:
    """Who calls or sends: one of the account's own numbers, or for a call a client."""
    from_ = request.form.get("From", "")
    if not from_:
        raise RestRefused(missing, "A 'From' phone number is required.")
    if from_ in numbers or (CLIENT.fullmatch(from_) and foreign == 21210):
        return from_
    if not re.fullmatch(r"\+[0-9]{3,15}", from_):
        raise RestRefused(invalid, f"The 'From' number {from_} is not a valid phone number.")
    raise RestRefused(foreign, f"The source phone number provided, {from_}, is not yet verified for your account.")


def _instructions(invalid: int) -> Instructions:
    """The document to carry out: Twiml wins over Url (docs/voice/api/call-resource)."""
    twiml = request.form.get("Twiml", "")
    if len(twiml) > MAX_TWIML:
        raise RestRefused(20001, f"Twiml must be {MAX_TWIML} characters or fewer")
    if twiml:
        return Instructions(twiml=twiml)
    url = _web_address("Url", invalid)
    if not url:
        raise RestRefused(invalid, "Url parameter is required.")
    return Instructions(url, _method("Method"))


def _heard(what: str) -> Instructions:
    """What is to be heard beside a call's own document, as HoldUrl and HoldMethod say."""
    return Instructions(_web_address(f"{what}Url", 21205), _method(f"{what}Method"))


def _web_address(name: str, invalid: int) -> str:
    """An absolute address, or "" where there is none."""
    url = request.form.get(name, "")
    if url and not WEB_ADDRESS.fullmatch(url):
        raise RestRefused(invalid, f"{name} is not a valid URL: {url}")
    return url


def _method(name: str) -> str:
    method = request.form.get(name, "POST")
    if method not in ("GET", "POST"):
        raise RestRefused(20001, f"{name} must be GET or POST")
    return method


def _callback(name: str, allowed: Sequence[str] | None, default: tuple[str, ...]) -> Callback:
    """A status callback with its events, which come one by one or as words in one parameter."""
    events = tuple(word for value in request.form.getlist(f"{name}Event") for word in value.split()) or default
    if allowed is not None and not set(events) <= set(allowed):
        raise RestRefused(21626, f"Invalid {name}Event: {', '.join(events)}")
    return Callback(_web_address(name, 21205), _method(f"{name}Method"), events)


def _detection() -> Detection | None:
    """Answering-machine detection; asynchronous with AsyncAmd (docs/voice/answering-machine-detection)."""
    mode = request.form.get("MachineDetection")
    if mode is None:
        return None
    if mode not in ("Enable", "DetectMessageEnd"):
        raise RestRefused(20001, "MachineDetection must be Enable or DetectMessageEnd")
    beside = Callback(_web_address("AsyncAmdStatusCallback", 21205), _method("AsyncAmdStatusCallbackMethod"))
    return Detection(mode == "DetectMessageEnd", beside if _flag("AsyncAmd") else None)


def _flag(name: str, default: bool = False) -> bool:
    """A boolean parameter: anything but true is false (docs/voice/api/conference-participant-resource)."""
    return request.form.get(name, str(default)).lower() == "true"


def _seconds(name: str) -> int:
    value = request.form.get(name, str(CALL_SECONDS))
    if not value.isdecimal() or int(value) > MAX_SECONDS:
        raise RestRefused(20001, f"{name} must be a number of seconds up to {MAX_SECONDS}")
    return int(value)


def _moment(name: str) -> float | None:
    """A moment in a query, in ISO 8601; seconds since 1970."""
    value = request.args.get(name)
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise RestRefused(20001, f"{name} is not a date: {value}") from None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def _not_found() -> RestRefused:
    return RestRefused(20404, f"The requested resource {request.path} was not found", 404)


def _leg(switch: Switch, sid: str) -> Leg:
    if sid not in switch.legs:
        raise _not_found()
    return switch.legs[sid]


def _conference(switch: Switch, sid: str) -> Conference:
    if sid not in switch.conferences:
        raise _not_found()
    return switch.conferences[sid]


def _recording(switch: Switch, sid: str) -> Recording:
    if sid not in switch.recordings:
        raise _not_found()
    return switch.recordings[sid]


def _participants(switch: Switch, conference: Conference) -> list[tuple[Leg, Member]]:
    """Who is in the conference, and who is being called into it."""
    inside = [(leg, leg.member) for leg in conference.members]
    legs = [leg for leg in switch.legs.values() if leg.joins and not leg.over]
    return inside + [(leg, leg.joins[1]) for leg in legs if leg.joins and leg.joins[0] is conference]


def _participant(switch: Switch, conference: Conference, call: str) -> tuple[Leg, Member]:
    """A participant by the call's SID, or by the label."""
    for leg, member in _participants(switch, conference):
        if call in (leg.sid, member.label):
            return leg, member
    raise _not_found()


# ---- what is answered --------------------------------------------------------------------------------------


def call_json(switch: Switch, leg: Leg) -> dict[str, Any]:
    """A call (docs/voice/api/call-resource#call-properties)."""
    state = leg.call.state
    uri = f"/{API}/Accounts/{switch.account_sid}/Calls/{leg.sid}"
    lasted = int(leg.ended_at - leg.answered_at) if leg.ended_at and leg.answered_at else None
    return {
        "sid": leg.sid,
        "account_sid": switch.account_sid,
        "parent_call_sid": state.parent_call_sid or None,
        "to": state.to,
        "to_formatted": state.to,
        "from": state.from_,
        "from_formatted": state.from_,
        "phone_number_sid": None,
        "status": state.call_status if state.call_status != "initiated" else "queued",
        "direction": state.direction,
        "answered_by": state.answered_by or None,
        "start_time": _date(leg.answered_at),
        "end_time": _date(leg.ended_at),
        "duration": None if lasted is None else str(lasted),
        "date_created": _date(leg.created_at),
        "date_updated": _date(leg.ended_at or leg.answered_at or leg.created_at),
        "api_version": API,
        "annotation": None,
        "caller_name": None,
        "forwarded_from": None,
        "group_sid": None,
        "price": None,
        "price_unit": "USD",
        "queue_time": "0",
        "trunk_sid": None,
        "uri": f"{uri}.json",
        "subresource_uris": {"recordings": f"{uri}/Recordings.json"},
    }


def conference_json(switch: Switch, conference: Conference) -> dict[str, Any]:
    """A conference (docs/voice/api/conference-resource)."""
    uri = f"/{API}/Accounts/{switch.account_sid}/Conferences/{conference.sid}"
    return {
        "sid": conference.sid,
        "account_sid": switch.account_sid,
        "friendly_name": conference.name,
        "status": conference.status,
        "region": "us1",
        "reason_conference_ended": conference.reason or None,
        "call_sid_ending_conference": conference.ended_by or None,
        "date_created": _date(conference.created_at),
        "date_updated": _date(conference.updated_at),
        "api_version": API,
        "uri": f"{uri}.json",
        "subresource_uris": {"participants": f"{uri}/Participants.json", "recordings": f"{uri}/Recordings.json"},
    }


def participant_json(switch: Switch, conference: Conference, leg: Leg, member: Member) -> dict[str, Any]:
    """Somebody in a conference, or on the way there (docs/voice/api/conference-participant-resource)."""
    on_the_way = {"ringing": "ringing", "in-progress": "connecting"}.get(leg.call.state.call_status, "queued")
    return {
        "account_sid": switch.account_sid,
        "call_sid": leg.sid,
        "label": member.label or None,
        "conference_sid": conference.sid,
        "muted": member.muted,
        "hold": member.hold,
        "coaching": member.is_coach,
        "call_sid_to_coach": member.coached_sid or None,
        "start_conference_on_enter": member.starts,
        "end_conference_on_exit": member.ends,
        "status": "connected" if leg.conference is conference else on_the_way,
        "queue_time": None,
        "date_created": _date(leg.created_at),
        "date_updated": _date(leg.answered_at or leg.created_at),
        "uri": f"/{API}/Accounts/{switch.account_sid}/Conferences/{conference.sid}/Participants/{leg.sid}.json",
    }


def queue_json(switch: Switch, name: str) -> dict[str, Any]:
    """A queue (docs/voice/api/queue-resource)."""
    waiting = switch.waiting(name)
    waits = [switch.clock() - leg.call.state.queue.since for leg in waiting if leg.call.state.queue]
    sid = switch.queue_sid(name)
    return {
        "sid": sid,
        "account_sid": switch.account_sid,
        "friendly_name": name,
        "current_size": len(waiting),
        "average_wait_time": int(sum(waits) / len(waits)) if waits else 0,
        "max_size": 1000,
        "date_created": None,
        "date_updated": None,
        "uri": f"/{API}/Accounts/{switch.account_sid}/Queues/{sid}.json",
    }


def recording_json(switch: Switch, recording: Recording) -> dict[str, Any]:
    """A recording (docs/voice/api/recording)."""
    ended = recording.started_at + recording.seconds
    return {
        "sid": recording.sid,
        "account_sid": switch.account_sid,
        "call_sid": recording.call_sid or None,
        "conference_sid": recording.conference_sid or None,
        "status": "completed",
        "source": recording.source,
        "channels": 1,
        "duration": str(recording.seconds),
        "start_time": _date(recording.started_at),
        "date_created": _date(recording.started_at),
        "date_updated": _date(ended),
        "error_code": None,
        "price": None,
        "price_unit": "USD",
        "encryption_details": None,
        "api_version": API,
        "media_url": recording.url,
        "uri": f"/{API}/Accounts/{switch.account_sid}/Recordings/{recording.sid}.json",
        "subresource_uris": {},
    }


def message_json(switch: Switch, message: TextMessage) -> dict[str, Any]:
    """A text message (docs/messaging/api/message-resource). A segment of text that is not all Latin holds 70 characters
    alone, 67 as one of several; of other text 160 and 153 (docs/glossary/what-sms-character-limit)."""
    alone, each = (160, 153) if message.body.isascii() else (70, 67)
    segments = 1 if len(message.body) <= alone else -(-len(message.body) // each)
    return {
        "sid": message.sid,
        "account_sid": switch.account_sid,
        "messaging_service_sid": None,
        "to": message.to,
        "from": message.from_,
        "body": message.body,
        "status": message.status,
        "direction": "outbound-api",
        "num_segments": str(segments),
        "num_media": "0",
        "error_code": 30003 if message.status == "undelivered" else None,
        "error_message": None,
        "price": None,
        "price_unit": "USD",
        "date_created": _date(message.created_at),
        "date_sent": _date(message.created_at) if message.status != "queued" else None,
        "date_updated": _date(message.created_at),
        "api_version": API,
        "uri": f"/{API}/Accounts/{switch.account_sid}/Messages/{message.sid}.json",
        "subresource_uris": {},
    }


def _page(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """One page of a list, as long as PageSize (docs/usage/twilios-response#pagination)."""
    size = request.args.get("PageSize", default=50, type=int)
    page = request.args.get("Page", default=0, type=int)
    rows, more = rows[page * size : (page + 1) * size], len(rows) > (page + 1) * size
    here = f"{request.path}?PageSize={size}&Page="
    return {
        name: rows,
        "page": page,
        "page_size": size,
        "start": page * size,
        "end": page * size + max(len(rows) - 1, 0),
        "uri": f"{here}{page}",
        "first_page_uri": f"{here}0",
        "previous_page_uri": f"{here}{page - 1}" if page else None,
        "next_page_uri": f"{here}{page + 1}" if more else None,
    }


def _date(moment: float | None) -> str | None:
    """A moment as Twilio writes it (RFC 2822, UTC)."""
    return None if moment is None else format_datetime(datetime.fromtimestamp(moment, UTC))
