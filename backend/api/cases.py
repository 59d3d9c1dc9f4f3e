"""/api/v1/cases: filing, looking up, and the acts of a case's life, for the bot and integrators."""

from typing import Any

from flask_smorest import Blueprint
from sqlalchemy.orm import Session

from backend.api.access import caller, wants
from backend.api.schemas import ActIn, CaseIn, CaseOut, CaseStateIn, CaseStateOut, NeighboursIn, NeighboursOut
from backend.cases import neighbours, service
from backend.cases.lookup import look_up
from backend.cases.models import Case
from backend.cases.numbers import spoken
from backend.cases.rules import BEFORE_REPLY
from backend.cases.service import Actor, Filing
from backend.cases.words import answer_of, day_spoken, day_words, hold_words, state_words
from backend.conversations.models import Conversation
from backend.errors import Refused
from backend.parts import parts

blueprint = Blueprint("cases", __name__, url_prefix="/api/v1/cases", description="Cases")


def case_json(case: Case) -> dict[str, Any]:
    """A case as the API shows it."""
    return {
        "number": case.number,
        "number_spoken": spoken(case.number, case.locale),
        "version": case.version,
        "state": case.state,
        "what": case.what,
        "place": case.place,
        "since": case.since,
        "category": case.category.name,
        "agency": case.agency.name,
        "agency_code": case.agency_code,
        "certainty": round(case.certainty, 3),
        "filed_at": case.filed_at,
        "due_at": case.due_at,
        "due": day_words(case.due_at, case.locale),
        "due_spoken": day_spoken(case.due_at, case.locale),
    }


@blueprint.post("")
@wants("cases:file")
@blueprint.arguments(CaseIn)
@blueprint.response(201, CaseOut)
def file_case(body: dict[str, Any]) -> dict[str, Any]:
    """File a case. The same `key` again gives the case that it filed the first time."""
    shared = parts()
    now = shared.clock()
    with shared.database.read() as session:
        conversation = conversation_of(session, body)
        filing = Filing(
            what=body["what"],
            place=body["place"],
            since=body["since"],
            contact=contact_of(conversation, body),
            channel=conversation.channel if conversation else "api",
            locale=conversation.locale if conversation else body["locale"],
            conversation_id=conversation.id if conversation else None,
            key=body["key"],
        )
        proposal = service.propose_for(session, shared.knowledge, filing, now)
    actor = Actor("bot" if conversation else "citizen", system=caller().name)
    with shared.database.write() as session:
        case = neighbours.file_with_answer(
            session, shared.knowledge, filing, body["together"], actor, now, shared.settings.jurisdiction, proposal
        )
        return case_json(case)


def conversation_of(session: Session, body: dict[str, Any]) -> Conversation | None:
    """The conversation that the body names. Raises Refused (404) when there is none with that id."""
    conversation = session.get(Conversation, body["conversation_id"]) if body["conversation_id"] else None
    if body["conversation_id"] and conversation is None:
        raise Refused("conversation_not_found", 404)
    return conversation


def contact_of(conversation: Conversation | None, body: dict[str, Any]) -> str | None:
    """Whom to call back, in E.164; `caller` is the conversation's own telephone. Raises Refused."""
    return service.contact_number(
        conversation.caller if conversation and body["contact"] == "caller" else body["contact"]
    )


@blueprint.post("/neighbours")
@wants("cases:file")
@blueprint.arguments(NeighboursIn)
@blueprint.response(200, NeighboursOut)
def tell_of_neighbours(body: dict[str, Any]) -> dict[str, Any]:
    """How many neighbours have reported what is about to be filed. Ask the citizen whether theirs is the same, and file it
    with `together`."""
    with parts().database.read() as session:
        contact = contact_of(conversation_of(session, body), body)
        found = neighbours.offer(session, body["what"], body["place"], contact, parts().clock())
        return {"citizens": found.citizens if found else 0, "place": found.place if found else ""}


@blueprint.get("/<number>")
@wants("cases:read")
@blueprint.response(200, CaseOut)
def get_case(number: str) -> dict[str, Any]:
    """One case by its number; with an agency's key one that this agency may see."""
    with parts().database.read() as session:
        case = service.get_case(session, number)
        agency = caller().agency_code
        if agency and not service.may_see(session, case, agency):
            raise Refused("case_not_found", 404)
        return case_json(case)


@blueprint.post("/<number>/state")
@blueprint.arguments(CaseStateIn)
@blueprint.response(200, CaseStateOut)
def case_state(body: dict[str, Any], number: str) -> dict[str, Any]:
    """Where a case stands, for a citizen who knows the last four digits of its telephone. This needs no key: whoever tries
    digits is stopped after a few."""
    shared, locale = parts(), body["locale"]

    def told(case: Case) -> dict[str, Any]:
        return {
            "number": case.number,
            "state": state_words(case.state, locale),
            "agency": case.agency.name,
            "due": day_words(case.due_at, locale) if case.state in BEFORE_REPLY else "",
            "due_spoken": day_spoken(case.due_at, locale) if case.state in BEFORE_REPLY else "",
            "note": answer_of(case, locale) or hold_words(case, locale),
            "to_rate": case.state == "replied",
        }

    return look_up(shared.database, number, body["last_digits"], shared.clock(), told)


@blueprint.post("/<number>/acts/<act>")
@wants("cases:act")
@blueprint.arguments(ActIn)
@blueprint.response(200, CaseOut)
def act_on_case(body: dict[str, Any], number: str, act: str) -> dict[str, Any]:
    """Do one act of the case's life: with an agency's key as that agency (sign, reply …), else as the city's dispatching
    (accept, dispatch, close …). With the `version` that the case had when it was looked at, 409 if it has changed since."""
    shared, seen = parts(), body.pop("version")
    with shared.database.write() as session:
        if seen is not None and service.get_case(session, number).version != seen:
            raise Refused("case_changed", 409)
        case = service.act_on(session, number, act, caller().actor, body, shared.clock())
        return case_json(case)
