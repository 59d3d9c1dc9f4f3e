"""The dispatcher's desk: one case after another, disputes first, then what routing was least sure of."""

from typing import Any, Final

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from backend.cases import neighbours, roots, service
from backend.cases.models import Case
from backend.cases.rules import SEND_BACKS
from backend.cases.service import Actor
from backend.console.cases import NOTE_LIMIT, by_district, due_mark
from backend.console.forms import field
from backend.console.log_in import allowed, me
from backend.console.people import staff_names
from backend.directory.models import Staff
from backend.directory.service import agencies
from backend.errors import Refused
from backend.locale import current_locale
from backend.parts import parts

SHOWN: Final = 50
SKIPS_KEPT: Final = 30
WAITING: Final = ("filed", "accepted", "disputed")
OTHERS: Final = 3
"""Of the next best agencies so many have a key of their own."""
NEAR_SHOWN: Final = 12
RULINGS: Final = ("dispatch", "reject", "designate")


@allowed("dispatch")
def show_dispatch() -> ResponseReturnValue:
    """The case whose turn it is, or that of ?number=, and what waits behind it."""
    return page()


def waiting(session: Session) -> list[Case]:
    """What waits for a dispatcher: what routing was least sure of first; disputes, about which nobody can be sure, before
    all. What was sent back too often is only for who may designate."""
    query = (
        select(Case)
        .where(Case.state.in_(WAITING))
        .options(selectinload(Case.agency), selectinload(Case.category), selectinload(Case.history))
        .order_by(Case.state != "disputed", Case.urgency != "emergency", Case.certainty, Case.id)
    )
    if me().role != "supervisor":
        query = query.where((Case.state != "disputed") | (Case.send_backs < SEND_BACKS))
    return list(session.scalars(query.limit(SHOWN)))


def skipped() -> list[str]:
    """Numbers of cases that were left for later."""
    return [number[:11] for number in request.args.getlist("skip")][-SKIPS_KEPT:]


def page(refused: Refused | None = None, number: str = "") -> ResponseReturnValue:
    """The page, after a refusal with its sentence and the same case."""
    wanted, left = number or request.args.get("number", ""), skipped()
    with parts().database.read() as session:
        cases = waiting(session)
        case = next((one for one in cases if one.number == wanted), None)
        case = case or next((one for one in cases if one.number not in left), cases[0] if cases else None)
        every_agency = agencies(session)
        html = render_template(
            "console/dispatch.html",
            case=case,
            elsewhere="" if case is None or wanted in ("", case.number) else wanted[:11],
            cases=cases,
            skips=left,
            names={agency.code: agency.name for agency in every_agency},
            agency_names={agency.code: agency.name for agency in every_agency},
            agency_groups=by_district(every_agency),
            staff_names=staff_names(session, (event.staff_id for event in case.history) if case else ()),
            may_designate=me().role == "supervisor",
            send_backs=SEND_BACKS,
            note_limit=NOTE_LIMIT,
            typed=request.form,
            refusal=refused.sentence(current_locale()) if refused else None,
            now=parts().clock(),
            due_mark=due_mark,
            near_shown=NEAR_SHOWN,
            here=url_for("console.dispatch"),
            **(explained(case) if case else {}),
            near=neighbours.propose(session, case, parts().clock()) if case else None,
            in_root=roots.root_of(session, case.id) if case else None,
        )
    return html, refused.status if refused else 200


def explained(case: Case) -> dict[str, Any]:
    """What routing proposed and why, the next best agencies with their probabilities, and the last send-back."""
    filed = case.history[0].details
    why = filed.get("why", {})
    proposal = filed.get("proposal", case.agency_code)
    others = [(code, share) for code, share in why.get("others", []) if share >= 0.01 and code != proposal][:OTHERS]
    sent_back = next((event for event in reversed(case.history) if event.act == "send_back"), None)
    return {"proposal": proposal, "why": why, "others": others, "sent_back": sent_back}


@allowed("dispatch")
def dispatch_case(number: str) -> ResponseReturnValue:
    """Send the case to the agency named, accepting it first where nobody has; the next one comes."""
    agency, now = field("agency"), parts().clock()
    try:
        with parts().database.write() as session:
            actor = Actor(me().role, session.get_one(Staff, me().id))
            if service.get_case(session, number).state == "filed":
                service.act_on(session, number, "accept", actor, {}, now)
            service.act_on(session, number, "dispatch", actor, {"agency": agency}, now)
    except Refused as refused:
        return told(refused, number)
    return redirect(url_for("console.dispatch", skip=skipped()))


@allowed("dispatch")
def rule_on_dispute(number: str, act: str) -> ResponseReturnValue:
    """Rule on a send-back: another agency, back to the same one with a reason, or designate one for good."""
    if act not in RULINGS:
        raise Refused("not_found", 404)
    details = {name: field(name)[:NOTE_LIMIT] for name in ("agency", "note") if field(name)}
    try:
        with parts().database.write() as session:
            actor = Actor(me().role, session.get_one(Staff, me().id))
            service.act_on(session, number, act, actor, details, parts().clock())
    except Refused as refused:
        return told(refused, number)
    return redirect(url_for("console.dispatch", skip=skipped()))


def told(refused: Refused, number: str) -> ResponseReturnValue:
    """The page of the same case with why it was refused; what isn't there at all is no page."""
    if refused.status == 404:
        raise refused
    return page(refused, number)
