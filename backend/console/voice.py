"""The telephone side of the console: what may be done with a call, and the operator's telephone in the browser."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from flask import jsonify, make_response, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session
from twilio.jwt.access_token import AccessToken
from twilio.jwt.access_token.grants import VoiceGrant

from backend.cases.service import contact_number
from backend.console.forms import field
from backend.console.log_in import Person, allowed, me
from backend.conversations import telephone
from backend.conversations.models import Conversation, Leg, Recording
from backend.conversations.rules import SUPERVISING
from backend.directory.categories import first_level
from backend.directory.models import Agency, Category, Staff
from backend.directory.service import present_operators
from backend.errors import Refused
from backend.parts import parts
from backend.settings import Settings

TOKEN_LASTS = 3600
"""Seconds; the page asks for a new token before that (Device's event tokenWillExpire)."""

SOFTPHONE_POLICY = (
    "default-src 'self'; style-src 'self'; script-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'; media-src mediastream: https://sdk.twilio.com; "
    "connect-src 'self' https://eventgw.twilio.com wss://voice-js.roaming.twilio.com https://sdk.twilio.com"
)
"""What Twilio's Voice SDK needs (README of @twilio/voice-sdk, Content Security Policy)."""


@dataclass(frozen=True)
class Calls:
    """Who is in a call, and whom the operator may bring in."""

    legs: list[Leg]
    recordings: list[Recording]
    agencies: dict[str, str]  # code -> name of those in the call
    colleagues: list[Staff]
    skills: list[Category]
    reachable: list[Agency]
    holding: bool
    talks: bool
    held: bool
    supervising: Leg | None  # the own leg of a supervisor who is in the call, or is rung to be
    may_supervise: bool


def calls(session: Session, found: Conversation, person: Person, now: datetime) -> Calls | None:
    """What the page shows of the telephones of a conversation; None for a chat."""
    if found.channel != "phone":
        return None
    legs = list(session.scalars(select(Leg).where(Leg.conversation_id == found.id).order_by(Leg.id)))
    live = [leg for leg in legs if leg.state != "over"]
    codes = {leg.agency_code for leg in legs if leg.agency_code}
    holding = found.state == "operator" and found.operator_id == person.id
    citizens = [leg for leg in live if leg.party == "citizen" and leg.state == "talking"]
    talks = bool(citizens) and any(leg.party == "operator" and leg.state == "talking" for leg in live)
    supervising = next((leg for leg in live if leg.party in SUPERVISING and leg.staff_id == person.id), None)
    return Calls(
        legs=[leg for leg in legs if leg.party != "citizen"],
        recordings=list(session.scalars(select(Recording).where(Recording.conversation_id == found.id))),
        agencies={agency.code: agency.name for agency in session.scalars(select(Agency).where(Agency.code.in_(codes)))},
        colleagues=[one for one in present_operators(session, now) if one.id != person.id and one.telephone],
        skills=first_level(session),
        reachable=list(session.scalars(select(Agency).where(Agency.level <= 2).order_by(Agency.level, Agency.code)))
        if holding and talks
        else [],
        holding=holding,
        talks=talks,
        held=any(leg.held for leg in citizens),
        supervising=supervising,
        may_supervise=person.role == "supervisor" and talks and not holding,
    )


def transfer(session: Session, found: Conversation, staff: Staff, now: datetime) -> None:
    """To another operator."""
    to = session.get(Staff, int(field("staff"))) if field("staff").isdecimal() else None
    if to is None:
        raise Refused("bad_request", 400)
    telephone.transfer(session, found, staff, to, now)


def send_to_queue(session: Session, found: Conversation, staff: Staff, now: datetime) -> None:
    """To whoever knows the matter."""
    skill = session.get(Category, field("skill"))
    telephone.send_to_queue(session, found, staff, skill.code if skill else "", now)


def add_agency(session: Session, found: Conversation, staff: Staff, now: datetime) -> None:
    """An agency joins the talk, at its own telephone or at the one typed."""
    agency = session.get(Agency, field("agency"))
    if agency is None:
        raise Refused("unknown_agency", agency=field("agency"))
    number = contact_number(field("number") or agency.telephone)
    if number is None:
        raise Refused("bad_contact")
    telephone.add_agency(session, found, staff, agency, number, now)


ACTS: dict[str, Callable[[Session, Conversation, Staff, datetime], None]] = {
    "transfer": transfer,
    "queue": send_to_queue,
    "agency": add_agency,
    "hold": lambda session, found, staff, now: telephone.hold(session, found, staff, True, now),
    "resume": lambda session, found, staff, now: telephone.hold(session, found, staff, False, now),
    "listener": lambda session, found, staff, now: telephone.supervise(session, found, staff, "listener", now),
    "coach": lambda session, found, staff, now: telephone.supervise(session, found, staff, "coach", now),
    "barge": lambda session, found, staff, now: telephone.supervise(session, found, staff, "barge", now),
    "drop": lambda session, found, staff, now: telephone.drop(
        session, found, staff, request.form.get("leg", default=0, type=int), now
    ),
}
"""What the buttons of a call do."""


@allowed("conversations")
def show_softphone() -> ResponseReturnValue:
    """The telephone in the browser, in a window of its own: a call must not end because the operator opens another page."""
    response = make_response(
        render_template("console/softphone.html", configured=is_configured(parts().settings), practice=practice_phone())
    )
    response.headers["Content-Security-Policy"] = SOFTPHONE_POLICY
    return response


@allowed("conversations")
def give_token() -> ResponseReturnValue:
    """A token with which the browser of this operator takes calls to their `client:name`, and can do nothing else
    (iam/access-tokens, VoiceGrant with incomingAllow)."""
    settings, name = parts().settings, (me().telephone or "").removeprefix("client:")
    if not is_configured(settings) or name == me().telephone or not name:
        raise Refused("no_softphone", 404)
    token = AccessToken(
        settings.twilio_account_sid,
        settings.twilio_api_key,
        settings.twilio_api_secret,
        identity=name,
        ttl=TOKEN_LASTS,
    )
    token.add_grant(VoiceGrant(incoming_allow=True))
    return jsonify({"token": token.to_jwt()})


def practice_phone() -> str | None:
    """Where calls to this operator ring on a line without an account: the practice phone's second window."""
    name = (me().telephone or "").removeprefix("client:")
    return f"/phone?as={name}" if parts().settings.environment == "development" and name else None


def is_configured(settings: Settings) -> bool:
    """Whether there is an account whose API key can sign tokens."""
    return bool(settings.twilio_account_sid and settings.twilio_api_key and settings.twilio_api_secret)
