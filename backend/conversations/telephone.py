"""Who is in a call besides the bot: the telephones (legs) of a conversation, and what an operator may do with them.

Everything here is written into the record and nothing else; whoever reaches the telephone service (`Telephone`) reads it
there and sees to it. So a click that the service does not hear of at once is not lost, and one that comes twice changes
nothing.
"""

from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backend import changes
from backend.conversations import presence, service
from backend.conversations.models import Conversation, Leg, Recording
from backend.conversations.rules import CALLBACK_TRIES, LEG_MOVES, SUPERVISING, may_record
from backend.directory.models import Agency, Staff
from backend.directory.service import present_operators
from backend.errors import Refused

RINGS_FOR = timedelta(seconds=25)
"""How long an operator's telephone rings."""
LEG_LOST_AFTER = timedelta(seconds=60)
"""A leg that rings for so long without news has been lost: its status callback never came."""
NOT_THERE = ("no-answer", "busy")
"""Outcomes that say that somebody is not at their telephone."""


class Telephone(Protocol):
    """The way to the telephone service."""

    def see_to(self, conversation_id: str) -> None:
        """Do soon what stands in the record of this conversation's legs. Never raises and never waits for the service."""

    def forget(self, session: Session, number: str) -> None:
        """Forget what the telephone line itself knows of a number (E.164)."""


def legs(session: Session, conversation: Conversation, *parties: str) -> list[Leg]:
    """The legs that are not over, oldest first; of these parties, or of all."""
    wanted = select(Leg).where(Leg.conversation_id == conversation.id, Leg.state != "over").order_by(Leg.id)
    return list(session.scalars(wanted.where(Leg.party.in_(parties)) if parties else wanted))


def add_leg(
    session: Session,
    conversation: Conversation,
    party: str,
    telephone: str | None,
    now: datetime,
    state: str = "wanted",
    staff: Staff | None = None,
    agency: Agency | None = None,
) -> Leg:
    """Another telephone for this conversation."""
    leg = Leg(
        conversation_id=conversation.id,
        party=party,
        telephone=telephone,
        staff_id=staff.id if staff else None,
        agency_code=agency.code if agency else None,
        state=state,
        wish="",
        held=False,
        step=0,
        asked_at=now,
        moved_at=now,
    )
    session.add(leg)
    session.flush()
    changes.note(session, "call", now, conversation.id, leg.staff_id)
    return leg


def move_leg(session: Session, leg: Leg, act: str, now: datetime, **values: object) -> bool:
    """Move the leg as rules.LEG_MOVES says, by a compare-and-set; whether it was this call that moved it."""
    target = LEG_MOVES.get((leg.state, act))
    if target is None:
        return False
    moved = session.execute(
        update(Leg)
        .where(Leg.id == leg.id, Leg.state == leg.state)
        .values(state=target, wish="", moved_at=now, **values)
    )
    session.refresh(leg)
    changes.note(session, "call", now, leg.conversation_id, leg.staff_id)
    return bool(moved.rowcount)  # type: ignore[attr-defined]  # an UPDATE's result has it


def wish(leg: Leg, what: str, now: datetime) -> None:
    """Let the telephone service be asked for this (rules.WISHES)."""
    leg.wish, leg.moved_at = what, now


def claim_wish(session: Session, leg: Leg, now: datetime) -> bool:
    """Whether this process is the one that does what is wished for the leg."""
    claimed = session.execute(
        update(Leg).where(Leg.id == leg.id, Leg.wish == leg.wish, Leg.wish != "").values(wish="", moved_at=now)
    )
    return bool(claimed.rowcount)  # type: ignore[attr-defined]  # an UPDATE's result has it


# What operators do


def connect(session: Session, conversation: Conversation, staff: Staff, now: datetime) -> None:
    """An operator has taken the call: their telephone is to be rung, after that of a citizen who asked to be called back.

    Raises Refused when the operator has no telephone.
    """
    if not staff.telephone:
        raise Refused("no_telephone")
    if conversation.callback_at and not legs(session, conversation, "citizen"):
        add_leg(session, conversation, "citizen", conversation.callback_to, now)
    add_leg(session, conversation, "operator", staff.telephone, now, staff=staff)


def transfer(session: Session, conversation: Conversation, by: Staff, to: Staff, now: datetime) -> None:
    """Ring another operator, who has the conversation once they have answered; until then it stays where it is.

    Raises Refused when `to` isn't at work or has no telephone, or somebody is being rung already.
    """
    service.require_holder(conversation, by)
    if to.id == by.id or not to.telephone or to.id not in {staff.id for staff in present_operators(session, now)}:
        raise Refused("operator_not_there", name=to.name)
    if any(leg.state != "talking" for leg in legs(session, conversation, "operator")):
        raise Refused("already_ringing")
    add_leg(session, conversation, "operator", to.telephone, now, staff=to)


def send_to_queue(session: Session, conversation: Conversation, by: Staff, skill: str, now: datetime) -> None:
    """Put the caller back into the queue, at their old place, for operators with this skill (a first-level category).

    The conversation itself moves when the caller is there (`queue_again`).
    """
    service.require_holder(conversation, by)
    conversation.skill = skill
    wish(citizen_who_talks(session, conversation), "queue", now)


def add_agency(
    session: Session, conversation: Conversation, by: Staff, agency: Agency, telephone: str, now: datetime
) -> None:
    """Ring an agency (E.164), which then talks with citizen and operator."""
    service.require_holder(conversation, by)
    citizen_who_talks(session, conversation)
    if any(leg.telephone == telephone for leg in legs(session, conversation, "agency")):
        raise Refused("already_ringing")
    add_leg(session, conversation, "agency", telephone, now, agency=agency)


def supervise(session: Session, conversation: Conversation, by: Staff, how: str, now: datetime) -> None:
    """A supervisor comes into the call as one of rules.SUPERVISING, or is there already and goes on as that. Raises Refused
    for anybody else."""
    if by.role != "supervisor":
        raise Refused("not_allowed", 403)
    if not by.telephone:
        raise Refused("no_telephone")
    if conversation.operator_id == by.id or not talking(legs(session, conversation, "operator")):
        raise Refused("nobody_talks", 409)
    there = next((leg for leg in legs(session, conversation, *SUPERVISING) if leg.staff_id == by.id), None)
    if there is None:
        add_leg(session, conversation, how, by.telephone, now, staff=by)
    elif there.state == "talking":
        wish(there, how, now)
    else:  # what they will be is asked for when they answer
        heard_as(session, there, how, now)


def heard_as(session: Session, leg: Leg, how: str, now: datetime) -> None:
    """From now on a supervisor's leg is this one of rules.SUPERVISING."""
    leg.party = how
    changes.note(session, "call", now, leg.conversation_id, leg.staff_id)


def hold(session: Session, conversation: Conversation, by: Staff, on: bool, now: datetime) -> None:
    """Let the citizen hear music while the others talk, or let them talk again."""
    service.require_holder(conversation, by)
    wish(citizen_who_talks(session, conversation), "hold" if on else "resume", now)


def drop(session: Session, conversation: Conversation, by: Staff, leg_id: int, now: datetime) -> None:
    """Let an agency, or an operator who is being rung, go; a supervisor stops listening."""
    for leg in legs(session, conversation, "operator", "agency", *SUPERVISING):
        if leg.id == leg_id and leg.staff_id != conversation.operator_id:
            if leg.staff_id != by.id:
                service.require_holder(conversation, by)
            let_go(session, leg, now)
            return
    raise Refused("conversation_moved", 409)


def let_go(session: Session, leg: Leg, now: datetime) -> None:
    """End a leg: at once when nobody has been rung yet."""
    if leg.state == "wanted":
        move_leg(session, leg, "end", now, outcome="canceled")
    else:
        wish(leg, "leave", now)


def end_all(session: Session, conversation: Conversation, now: datetime) -> None:
    """The conversation is over: let everybody go. With the operator the conference ends, and the citizen is told goodbye;
    a citizen who waits is asked for a message at the next round, one who talks without a conference is hung up."""
    together = talking(legs(session, conversation, "operator"))
    for leg in legs(session, conversation):
        if leg.party != "citizen" or (leg.state == "talking" and not together):
            let_go(session, leg, now)


def citizen_who_talks(session: Session, conversation: Conversation) -> Leg:
    """The citizen's leg in the conference. Raises Refused when there is none."""
    found = talking(legs(session, conversation, "citizen"))
    if not found or not talking(legs(session, conversation, "operator")):
        raise Refused("nobody_talks", 409)
    return found[0]


def talking(some: list[Leg]) -> list[Leg]:
    """Those of the legs that have joined."""
    return [leg for leg in some if leg.state == "talking"]


# What the telephones do


def enter_queue(session: Session, conversation: Conversation, sid: str, step: int, now: datetime) -> Leg:
    """The citizen's call waits in the queue, from step `step` of it."""
    for leg in legs(session, conversation, "citizen"):
        if leg.sid == sid:
            move_leg(session, leg, "queue", now)
            leg.step, leg.held = step, False
            return leg
    leg = add_leg(session, conversation, "citizen", conversation.caller, now, state="queued")
    leg.sid, leg.step = sid, step
    return leg


def meet(session: Session, conversation: Conversation, sid: str, now: datetime) -> None:
    """The citizen comes out of the queue to the operator: to the conference where the operator's leg talks, else to a
    telephone that is dialled from the citizen's side, for which the service need not ring it any more."""
    operators = legs(session, conversation, "operator")
    if talking(operators):
        for leg in legs(session, conversation, "citizen"):
            if leg.sid == sid:
                move_leg(session, leg, "join", now, talked_at=now)
    for leg in operators:
        if leg.state == "wanted" and leg.staff_id == conversation.operator_id:
            move_leg(session, leg, "end", now, outcome="failed")


def decide_recording(conversation: Conversation, setting: str) -> bool:
    """Whether this talk is recorded (rules.may_record). Decided once, as the first telephone joins: should the city change
    its setting just then, the caller is still told what is done."""
    if conversation.is_recorded is None:
        conversation.is_recorded = may_record(setting, conversation.may_record)
    return conversation.is_recorded


def queue_again(session: Session, conversation: Conversation, now: datetime) -> None:
    """The operator who has the conversation hasn't any more: it waits again, at its old place. Whoever is rung or talks is
    let go."""
    if conversation.state == "operator":
        service.move(session, conversation, "queue_again", now)
    for leg in legs(session, conversation, "operator", "agency", *SUPERVISING):
        let_go(session, leg, now)


def joined(session: Session, leg: Leg, now: datetime) -> bool:
    """Somebody has answered and joins the others; False when that comes too late. An operator to whom the call is
    transferred has it from now on; a citizen who waits is to be brought in."""
    conversation = service.get_conversation(session, leg.conversation_id)
    if conversation.state != "operator" or not move_leg(session, leg, "join", now, talked_at=now):
        return False
    if leg.party != "operator":
        return True
    if leg.staff and leg.staff_id != conversation.operator_id:
        service.move(session, conversation, "transfer", now, leg.staff)
        service.tell(session, conversation, "taken", now, name=leg.staff.name)
        for other in legs(session, conversation, "operator"):
            if other.id != leg.id:
                let_go(session, other, now)
        for coach in talking(legs(session, conversation, "coach")):
            wish(coach, "coach", now)  # of the operator who is there now
    for citizen in legs(session, conversation, "citizen"):
        if citizen.state == "queued":
            wish(citizen, "join", now)
    return True


def ended(session: Session, leg: Leg, outcome: str, now: datetime) -> None:
    """A telephone has hung up, or was not answered (`outcome`: the service's word for it). Twice is once."""
    answered = leg.talked_at is not None
    if not move_leg(session, leg, "end", now, outcome=outcome):
        return
    conversation = service.get_conversation(session, leg.conversation_id)
    if leg.party == "citizen":
        citizen_gone(session, conversation, answered or leg.step > 0, now)
    elif leg.party == "operator" and not answered:
        if leg.staff and outcome in NOT_THERE:
            presence.set_presence(session, leg.staff, "away", now, "missed")  # and is offered no further calls
        citizens = legs(session, conversation, "citizen")
        # Without the service a citizen in the queue is connected in another way (ivr/queue.py): the operator keeps them.
        kept = outcome == "failed" and not talking(citizens)
        if conversation.operator_id == leg.staff_id and conversation.state == "operator" and not kept:
            queue_again(session, conversation, now)
            for citizen in talking(citizens):
                wish(citizen, "queue", now)


def citizen_gone(session: Session, conversation: Conversation, reached: bool, now: datetime) -> None:
    """The citizen's call is over: everybody is let go. Who asked to be called back keeps their place, also when nobody
    answered (`reached` is false) until rules.CALLBACK_TRIES; else the conversation is closed."""
    for leg in legs(session, conversation):
        let_go(session, leg, now)
    if conversation.state == "waiting" and not conversation.callback_at and conversation.caller:
        conversation.callback_to = (
            conversation.caller
        )  # a missed call is called back (State Council Office 2025 No. 66)
        keep_place(session, conversation, now)
    if conversation.state == "waiting" and conversation.callback_at:
        return
    if conversation.state == "operator" and conversation.callback_at and not reached:
        conversation.callback_tries += 1
        if conversation.callback_tries < CALLBACK_TRIES:
            service.move(session, conversation, "queue_again", now)
            return
    service.close(session, conversation, now)


def call_over(session: Session, conversation: Conversation, sid: str, now: datetime) -> None:
    """The citizen's own call has ended, wherever it stood."""
    for leg in legs(session, conversation, "citizen"):
        if leg.sid == sid:
            ended(session, leg, "completed", now)
            return
    if not legs(session, conversation, "citizen"):
        citizen_gone(session, conversation, True, now)


def keep_place(session: Session, conversation: Conversation, now: datetime) -> None:
    """The caller has confirmed the number (`callback_to`) and wants to be called back."""
    conversation.callback_at, conversation.callback_tries = now, 0


def lost_legs(session: Session, now: datetime) -> list[Leg]:
    """Legs that have been ringing for so long that nothing more will be heard of them."""
    return list(session.scalars(select(Leg).where(Leg.state == "ringing", Leg.moved_at < now - LEG_LOST_AFTER)))


def add_recording(session: Session, conversation_id: str, sid: str, url: str, seconds: int, now: datetime) -> None:
    """A call with an operator was recorded. The same recording twice is one."""
    conversation = session.get(Conversation, conversation_id)
    if conversation and session.get(Recording, sid) is None:
        session.add(Recording(sid=sid, conversation_id=conversation_id, url=url, seconds=seconds, recorded_at=now))
