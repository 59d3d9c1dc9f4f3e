"""Who waits is offered to who is ready: a chat on the operator's screen, for a while; a call by letting the telephone ring.

`deal` looks at the record and does what is due: conversations of a console that has died go back to the queue, offers that
ran out go on to the next operator, and who waits is offered. The events process calls it once a second, since it is the
process that asks consoles for signs of life. Several may do so at the same time: what one has done, another can't do again.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend import changes
from backend.clock import Clock
from backend.conversations import presence, service, telephone
from backend.conversations.models import Conversation, Leg, Offer, PresencePeriod
from backend.conversations.rules import Ready, listed, offers_for
from backend.conversations.telephone import Telephone
from backend.database import Database
from backend.directory.models import Staff
from backend.directory.service import present_operators
from backend.errors import Refused

OFFER_LASTS = timedelta(seconds=20)
"""How long an operator may think about a chat."""
OFFERED_AGAIN_AFTER = timedelta(seconds=60)
"""Who has let a conversation pass is not offered it again before that."""
LOST_AFTER = timedelta(seconds=25)
"""A console gives a sign of life every ten seconds. One of which nothing was heard for so long has died: its chats are back
in the queue within half a minute."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Due:
    """What is to be done now."""

    lost: Sequence[Staff]
    over: Sequence[tuple[Offer, str]]  # offers that have ended, and how
    pairs: Sequence[tuple[Conversation, Ready]]

    def __bool__(self) -> bool:
        return bool(self.lost or self.over or self.pairs)


def deal(database: Database, clock: Clock, by: Telephone, release: bool = True) -> None:
    """Do what is due. With `release` false nobody is taken to be lost: consoles have not been asked for long enough."""
    now = clock()
    with database.read() as session:
        if not what_is_due(session, now, release):
            return
    with database.write() as session:
        rung = do(session, what_is_due(session, now, release), now)
    for conversation_id in rung:
        by.see_to(conversation_id)


def what_is_due(session: Session, now: datetime, release: bool) -> Due:
    """Read what is to be done."""
    over = [(offer, how) for offer in open_offers(session) if (how := outcome(session, offer, now))]
    lost = lost_staff(session, now) if release else []
    waiting = session.scalars(select(Conversation).where(Conversation.state == "waiting")).all()
    pairs: list[tuple[Conversation, Ready]] = []
    if waiting:
        ended, gone = {offer.id for offer, _ in over}, {staff.id for staff in lost}
        still = [offer for offer in open_offers(session) if offer.id not in ended]
        passed = passed_lately(session, now) | {
            offer.conversation_id: [offer.staff_id] for offer, how in over if how == "missed"
        }
        missed = {offer.staff_id for offer, how in over if how == "missed"}
        asked = {offer.staff_id for offer in still} | gone | missed
        offered = {offer.conversation_id for offer in still}
        ready = [one for one in ready_operators(session, now) if one.id not in asked]
        pairs = offers_for([one for one in waiting if one.id not in offered], ready, passed, now)
    return Due(lost, over, pairs)


def do(session: Session, due: Due, now: datetime) -> list[str]:
    """Do it, each by itself; returns the calls for which a telephone is to ring."""
    rung = []
    for staff in due.lost:
        with by_itself(session):
            lose(session, staff, now)
    for offer, how in due.over:
        with by_itself(session):
            end(session, offer, how, now)
    for conversation, ready in due.pairs:
        with by_itself(session):
            offer_to(session, conversation, session.get_one(Staff, ready.id), now)
            if conversation.channel == "phone":
                rung.append(conversation.id)
    return rung


@contextmanager
def by_itself(session: Session) -> Iterator[None]:
    """What fails inside is undone alone: one conversation that can't be dealt with holds up nobody else's."""
    try:
        with session.begin_nested():
            yield
    except (IntegrityError, Refused):
        log.info("somebody else was faster with an offer")
    except Exception:  # whatever it is, others wait too
        log.exception("something that was due can't be done")


def offer_to(session: Session, conversation: Conversation, staff: Staff, now: datetime) -> None:
    """Offer somebody who waits to this operator; the telephone of a call is to ring then. Raises IntegrityError when either
    is in another offer."""
    lasts = telephone.LEG_LOST_AFTER if conversation.channel == "phone" else OFFER_LASTS
    session.add(
        Offer(conversation_id=conversation.id, staff_id=staff.id, state="open", offered_at=now, ends_at=now + lasts)
    )
    session.flush()
    changes.note(session, "offer", now, conversation.id, staff.id)
    if conversation.channel == "phone":
        service.take(session, conversation, staff, now)
        telephone.connect(session, conversation, staff, now)


def reassign(session: Session, conversation: Conversation, to: Staff, now: datetime) -> None:
    """A supervisor gives the conversation to this operator: one that waits is offered to them, a chat goes over at once, a
    call once they have answered. Raises Refused when they are not there or have something else to answer."""
    if to.id not in {staff.id for staff in present_operators(session, now)}:
        raise Refused("operator_not_there", name=to.name)
    if conversation.state == "waiting":
        for offer in open_offers(session):
            if offer.conversation_id == conversation.id:
                end(session, offer, "withdrawn", now)
        if any(offer.staff_id == to.id for offer in open_offers(session)):
            raise Refused("already_ringing")
        offer_to(session, conversation, to, now)
    elif conversation.state == "operator" and conversation.operator and conversation.operator_id != to.id:
        if conversation.channel == "phone":
            telephone.transfer(session, conversation, conversation.operator, to, now)
        else:
            service.hand_over(session, conversation, to, now)
    else:
        raise Refused("conversation_moved", 409)


def open_offers(session: Session) -> list[Offer]:
    """The offers that nobody has answered yet."""
    return list(session.scalars(select(Offer).where(Offer.state == "open").order_by(Offer.id)))


def outcome(session: Session, offer: Offer, now: datetime) -> str:
    """How an open offer has ended; nothing while it goes on."""
    conversation = offer.conversation
    if conversation.channel != "phone":
        if conversation.state != "waiting":
            return "withdrawn"  # taken by a colleague, or the citizen has gone
        return "missed" if now >= offer.ends_at else ""
    rung = session.scalar(
        select(Leg)
        .where(Leg.conversation_id == conversation.id, Leg.party == "operator", Leg.staff_id == offer.staff_id)
        .order_by(Leg.id.desc())
        .limit(1)
    )
    if rung is None or rung.talked_at or (rung.outcome == "failed" and conversation.state == "operator"):
        return "accepted"  # `failed`: the service could not ring it, so the caller's side dials (ivr/queue.py)
    if rung.outcome in telephone.NOT_THERE:
        return "missed"
    return "" if conversation.state == "operator" and conversation.operator_id == offer.staff_id else "withdrawn"


def end(session: Session, offer: Offer, how: str, now: datetime) -> None:
    """End an open offer, once. Who has missed one is set to away, so that the next citizen need not wait for nobody."""
    ended = session.execute(
        update(Offer).where(Offer.id == offer.id, Offer.state == "open").values(state=how, ended_at=now)
    )
    if not ended.rowcount:  # type: ignore[attr-defined]  # an UPDATE's result has it
        raise Refused("offer_over", 409)
    changes.note(session, "offer", now, offer.conversation_id, offer.staff_id)
    if how == "missed":
        presence.set_presence(session, session.get_one(Staff, offer.staff_id), "away", now, "missed")


def accept(session: Session, offer_id: int, staff: Staff, now: datetime) -> Conversation:
    """The operator takes the chat that is offered. Raises Refused (404, 409) for another's offer and one that is over."""
    offer = own_offer(session, offer_id, staff)
    end(session, offer, "accepted", now)
    conversation = service.get_conversation(session, offer.conversation_id)
    if conversation.channel != "phone":  # a call is accepted at the telephone
        service.take(session, conversation, staff, now)
    return conversation


def decline(session: Session, offer_id: int, staff: Staff, now: datetime) -> Conversation:
    """The operator lets somebody else have it and stays ready; a telephone that rings stops."""
    offer = own_offer(session, offer_id, staff)
    end(session, offer, "declined", now)
    conversation = service.get_conversation(session, offer.conversation_id)
    if conversation.channel == "phone":
        service.require_holder(conversation, staff)
        telephone.queue_again(session, conversation, now)
    return conversation


def own_offer(session: Session, offer_id: int, staff: Staff) -> Offer:
    """The offer, for whom it was made."""
    offer = session.get(Offer, offer_id)
    if offer is None or offer.staff_id != staff.id:
        raise Refused("not_found", 404)
    return offer


def offers_to(session: Session, staff_id: int) -> list[Offer]:
    """What is offered to somebody now."""
    found = session.scalars(select(Offer).where(Offer.state == "open", Offer.staff_id == staff_id))
    return [offer for offer in found if offer.conversation.channel == "phone" or offer.conversation.state == "waiting"]


def passed_lately(session: Session, now: datetime) -> dict[str, list[int]]:
    """Conversation -> who was offered it lately without taking it."""
    passed: dict[str, list[int]] = defaultdict(list)
    for conversation_id, staff_id in session.execute(
        select(Offer.conversation_id, Offer.staff_id).where(
            Offer.offered_at > now - OFFERED_AGAIN_AFTER, Offer.state.in_(("declined", "missed"))
        )
    ):
        passed[conversation_id].append(staff_id)
    return passed


def ready_operators(session: Session, now: datetime) -> list[Ready]:
    """Who is ready, with what they have in hand and since when they have been idle."""
    unfinished = select(Conversation.id).where(
        Conversation.operator_id == Staff.id, Conversation.state == "closed", Conversation.wrap_up.is_(None)
    )
    resting = select(PresencePeriod.id).where(
        PresencePeriod.staff_id == Staff.id, PresencePeriod.ended_at.is_(None), PresencePeriod.state == "wrap_up"
    )
    staff = session.scalars(
        select(Staff)
        .where(Staff.ready, Staff.seen_at > now - LOST_AFTER, Staff.role.in_(("operator", "supervisor")))
        .where(~unfinished.exists(), ~resting.exists())
    ).all()
    ids = [one.id for one in staff]
    held: dict[tuple[int, str], int] = {
        (staff_id or 0, channel): count
        for staff_id, channel, count in session.execute(
            select(Conversation.operator_id, Conversation.channel, func.count())
            .where(Conversation.state == "operator", Conversation.operator_id.in_(ids))
            .group_by(Conversation.operator_id, Conversation.channel)
        )
    }
    last = dict(
        session.execute(
            select(Conversation.operator_id, func.max(Conversation.closed_at))
            .where(Conversation.state == "closed", Conversation.operator_id.in_(ids))
            .where(Conversation.closed_at > now - service.LATELY)
            .group_by(Conversation.operator_id)
        ).all()
    )
    periods = presence.currents(session, ids)
    return [
        Ready(
            id=one.id,
            languages=listed(one.languages),
            skills=listed(one.skills),
            has_telephone=bool(one.telephone),
            calls=held.get((one.id, "phone"), 0),
            chats=sum(
                count for (staff_id, channel), count in held.items() if staff_id == one.id and channel != "phone"
            ),
            chat_limit=one.chat_limit,
            idle_since=max(filter(None, (last.get(one.id), began(periods.get(one.id), now)))),
        )
        for one in staff
    ]


def began(period: PresencePeriod | None, now: datetime) -> datetime:
    """When the period began."""
    return period.began_at if period else now


def lost_staff(session: Session, now: datetime) -> list[Staff]:
    """Whose console has died while they were ready or held a chat."""
    holds = (
        select(Conversation.id)
        .where(Conversation.operator_id == Staff.id, Conversation.state == "operator", Conversation.channel == "chat")
        .exists()
    )
    silent = Staff.seen_at.is_(None) | (Staff.seen_at <= now - LOST_AFTER)
    return list(session.scalars(select(Staff).where(silent, Staff.ready | holds).order_by(Staff.id)))


def lose(session: Session, staff: Staff, now: datetime) -> None:
    """Put the chats of a console that has died back into the queue, at their old places, and set the operator to away. A
    call goes on at the telephone, whose own end the service tells."""
    for conversation in service.held_by(session, staff):
        if conversation.channel != "phone":
            service.move(session, conversation, "queue_again", now)
            service.tell(session, conversation, "operator_lost", now)
    presence.set_presence(session, staff, "away", now, "lost")
