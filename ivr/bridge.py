"""Who talks with whom: the telephones of operators, agencies, supervisors, and of citizens who are called back.

`Switchboard` does by the service's REST API what stands in the record of a conversation's legs, from jobs alone
(backend/conversations/telephone.py). The functions below it answer the webhooks of the calls that it makes. All of a
conversation meet in a conference whose name is the conversation's id (voice/twiml/conference): the operator leads it, and
it ends when the operator or the citizen leaves.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from backend import changes
from backend.city import city_name
from backend.clock import Clock
from backend.conversations import service as conversations
from backend.conversations import telephone
from backend.conversations.draft import find_place, matters
from backend.conversations.models import Conversation, Leg, Turn
from backend.conversations.rules import SUPERVISING
from backend.conversations.safety import find_danger
from backend.database import Database
from backend.parts import Parts
from backend.settings import Settings
from ivr.calls import prompt
from ivr.models import Call, CallerWish
from ivr.provider import CALL_OVER, Provider, ProviderFailed
from ivr.queue import file_unreached
from ivr.twiml import NOTHING, Speaker, speaker
from ivr.wishes import hashed

log = logging.getLogger(__name__)

SUMMARY_LIMIT = 60
"""Characters of the citizen's own words in what is whispered: about ten seconds."""


class Switchboard:
    """The way to the telephone service. `put`, which the queue of jobs gives once it is there, lets a worker do `work` with
    the same argument."""

    def __init__(self, settings: Settings, database: Database, clock: Clock, provider: Provider) -> None:
        self.settings, self.database, self.clock, self.provider = settings, database, clock, provider
        self.put: Callable[[str], object] = lambda _: None

    def see_to(self, conversation_id: str) -> None:
        """Do soon what stands in the record of this conversation's legs. A queue that can't be reached is logged: the caller
        in the queue is then connected without it (ivr/queue.py)."""
        try:
            self.put(conversation_id)
        except Exception:  # whatever it is, the click that led here has been recorded
            log.exception("no job could be put into the queue for a call")

    def forget(self, session: Session, number: str) -> None:
        """Forget how a number wishes to be spoken to. That it wants no calls or texts is forgotten with it."""
        session.execute(delete(CallerWish).where(CallerWish.number_hash == hashed(self.settings, number)))

    def work(self, conversation_id: str) -> None:
        """Do what stands in the record of this conversation's legs. Raises ProviderFailed for what may work later: the job
        comes again then."""
        with self.database.read() as session:
            conversation = conversations.get_conversation(session, conversation_id)
            open_legs = telephone.legs(session, conversation)
        failed: ProviderFailed | None = None
        for leg in open_legs:
            try:
                if leg.state == "wanted" and not waits_for_citizen(leg, open_legs):
                    self.ring(leg.id)
                elif leg.wish:
                    self.grant(leg.id)
            except ProviderFailed as error:
                failed = error
        if failed:
            raise failed

    def ring(self, leg_id: int) -> None:
        """Ring the telephone of a leg that wants it, once."""
        with self.database.write() as session:
            leg = session.get_one(Leg, leg_id)
            if leg.telephone is None or not telephone.move_leg(session, leg, "ring", self.clock()):
                return
        address = f"{self.settings.base_url}/ivr/leg?leg={leg_id}"
        status = f"{self.settings.base_url}/ivr/leg-status?leg={leg_id}"
        try:
            sid = self.provider.call(leg.telephone, address, status, ring_for=int(telephone.RINGS_FOR.total_seconds()))
        except ProviderFailed as error:
            log.warning("a telephone could not be rung: %s", error)
            with self.database.write() as session:
                telephone.ended(session, session.get_one(Leg, leg_id), "failed", self.clock())
            return
        with self.database.write() as session:
            session.execute(update(Leg).where(Leg.id == leg_id).values(sid=sid))

    def grant(self, leg_id: int) -> None:
        """Do what is wished for a leg. What the service refuses for good, as for a call that is over, is not asked again."""
        with self.database.write() as session:
            leg = session.get_one(Leg, leg_id)
            wish = leg.wish
            if not leg.sid or not telephone.claim_wish(session, leg, self.clock()):
                return
            conversation = conversations.get_conversation(session, leg.conversation_id)
            transferred = conversation.state == "operator" and conversation.operator_id != leg.staff_id
            operator = operator_of(session, conversation)
        try:
            if wish in SUPERVISING:
                self.let_be_heard(leg, wish, operator)
            else:
                self.ask(leg, wish, transferred)
        except ProviderFailed as error:
            if error.final:
                log.warning("a wish for a call was refused (%s): %s", wish, error)
                return
            with self.database.write() as session:
                telephone.wish(session.get_one(Leg, leg_id), wish, self.clock())
            raise
        if wish in ("hold", "resume"):
            with self.database.write() as session:
                session.execute(update(Leg).where(Leg.id == leg_id).values(held=wish == "hold"))
                changes.note(session, "call", self.clock(), leg.conversation_id, leg.staff_id)
        if wish in SUPERVISING:
            with self.database.write() as session:
                telephone.heard_as(session, session.get_one(Leg, leg_id), wish, self.clock())

    def let_be_heard(self, leg: Leg, how: str, operator: Leg | None) -> None:
        """Let a supervisor who is in the conference be heard by nobody, by the operator alone, or by everybody
        (voice/api/conference-participant-resource: muted, coaching, call_sid_to_coach)."""
        room, sid = leg.conversation_id, leg.sid or ""
        if how != "coach":
            self.provider.update_participant(room, sid, muted=how == "listener", coaching=False)
        elif operator and operator.sid:
            self.provider.update_participant(room, sid, muted=False, coaching=True, call_sid_to_coach=operator.sid)

    def ask(self, leg: Leg, wish: str, transferred: bool) -> None:
        """Ask the service for one of the other wishes. With the operator the conference ends, unless the call has been
        transferred to another one."""
        sid, room, base = leg.sid or "", leg.conversation_id, self.settings.base_url
        if wish == "join":
            self.provider.redirect(sid, f"{base}/ivr/come-in")
        elif wish == "queue":
            self.provider.redirect(sid, f"{base}/ivr/queue-again")
        elif wish == "hold":
            self.provider.update_participant(room, sid, hold=True, hold_url=f"{base}/ivr/music.wav", hold_method="GET")
        elif wish == "resume":
            self.provider.update_participant(room, sid, hold=False)
        elif wish == "leave":
            if leg.state == "talking" and leg.party == "operator" and transferred:
                self.provider.update_participant(room, sid, end_conference_on_exit=False)
            self.provider.hang_up(sid)

    def sweep(self) -> None:
        """What jobs and callbacks have missed: legs that ring for ever, wishes that nobody has granted."""
        now = self.clock()
        with self.database.write() as session:
            for leg in telephone.lost_legs(session, now):
                telephone.ended(session, leg, "no-answer", now)
            waiting = select(Leg.conversation_id).where(Leg.state != "over")
            unseen = set(session.scalars(waiting.where((Leg.state == "wanted") | (Leg.wish != ""))))
        for conversation_id in unseen:
            self.see_to(conversation_id)


def waits_for_citizen(leg: Leg, legs: Sequence[Leg]) -> bool:
    """Whether the citizen, who is called back, has to answer before this leg is rung."""
    rung = any(other.party == "citizen" and other.state in ("wanted", "ringing") for other in legs)
    return rung and leg.party != "citizen"


# The webhooks of the calls that the switchboard makes


def answered(parts: Parts, leg_id: int, call_sid: str) -> str:
    """A telephone that was rung has been answered: an operator and an agency hear what the call is about, a citizen who
    asked to be called back hears who is calling."""
    now = parts.clock()
    with parts.database.write() as session:
        leg = session.get(Leg, leg_id)
        if leg is None or leg.state == "over":
            return staff_voice(parts).end([prompt("bridge_gone", "zh")])
        leg.sid = leg.sid or call_sid
        conversation = conversations.get_conversation(session, leg.conversation_id)
        if leg.party in SUPERVISING:
            return let_listen(parts, session, leg, conversation, now)
        if leg.party == "citizen":
            document = greet_citizen(parts, session, leg, conversation, now)
        else:
            words = summary(conversations.turns_after(session, conversation.id), conversation, now)
    if leg.party == "citizen":
        parts.telephone.see_to(conversation.id)
        return document
    voice = staff_voice(parts)
    accept = voice.url(f"/ivr/leg-join?leg={leg_id}")
    if leg.party == "agency":
        return voice.whisper([prompt("bridge_agency", "zh", city=city_name("zh")), words], accept, needs_key=False)
    desk_phone = not (leg.telephone or "").startswith("client:")
    prompts = [prompt("bridge_call", "zh"), words]
    if desk_phone:
        prompts.append(prompt("bridge_accept", "zh"))
    return voice.whisper(prompts, accept, needs_key=desk_phone)


def join(parts: Parts, leg_id: int) -> str:
    """An operator or agency has heard what the call is about and takes it."""
    now = parts.clock()
    with parts.database.write() as session:
        leg = session.get(Leg, leg_id)
        if leg is None or not (leg.state == "talking" or telephone.joined(session, leg, now)):
            return staff_voice(parts).end([prompt("bridge_gone", "zh")])
        conversation = conversations.get_conversation(session, leg.conversation_id)
        recorded = telephone.decide_recording(conversation, parts.line_settings().call_recording)
    parts.telephone.see_to(conversation.id)
    return staff_voice(parts).join([], conversation.id, leads=leg.party == "operator", recorded=recorded)


def greet_citizen(parts: Parts, session: Session, leg: Leg, conversation: Conversation, now: datetime) -> str:
    """A citizen who asked to be called back has answered: their call goes on in the conference, where the operator is rung
    to. From now on this is the call of the conversation."""
    call = session.scalar(select(Call).where(Call.conversation_id == conversation.id))
    if call is None or not (leg.state == "talking" or telephone.joined(session, leg, now)):
        return staff_voice(parts).end([prompt("bridge_too_late", conversation.language)])
    call.sid, call.ended_at = leg.sid or call.sid, None
    voice = speaker(parts.settings, call.language, call.slow)
    recorded = telephone.decide_recording(conversation, parts.line_settings().call_recording)
    words = [prompt("bridge_callback", call.language, city=city_name(call.language))]
    if recorded:
        words.append(prompt("queue_recorded", call.language))
    return voice.meet(words, conversation.id, 1, recorded)


def let_listen(parts: Parts, session: Session, leg: Leg, conversation: Conversation, now: datetime) -> str:
    """A supervisor has answered: hears the call, and is heard as they wished."""
    operator = operator_of(session, conversation)
    if operator is None or not (leg.state == "talking" or telephone.joined(session, leg, now)):
        return staff_voice(parts).end([prompt("bridge_gone", "zh")])
    if leg.party == "coach":
        return staff_voice(parts).join([], conversation.id, coached=operator.sid)
    return staff_voice(parts).join([], conversation.id, muted=leg.party == "listener")


def operator_of(session: Session, conversation: Conversation) -> Leg | None:
    """The telephone at which the operator who has the conversation talks."""
    found = telephone.talking(telephone.legs(session, conversation, "operator"))
    return next((leg for leg in found if leg.staff_id == conversation.operator_id), None)


def whisper(parts: Parts, conversation_id: str) -> str:
    """What an operator hears whose telephone was dialled from the caller's side, before the two are connected."""
    with parts.database.read() as session:
        conversation = session.get(Conversation, conversation_id)
        if conversation is None:
            return NOTHING
        words = summary(conversations.turns_after(session, conversation_id), conversation, parts.clock())
    return staff_voice(parts).say([prompt("bridge_call", "zh"), words])


def leg_status(parts: Parts, leg_id: int, status: str) -> None:
    """A status callback of a call that the switchboard has made; late, doubled or out of order it changes nothing."""
    if status not in CALL_OVER:
        return
    with parts.database.write() as session:
        leg = session.get(Leg, leg_id)
        if leg is None:
            return
        telephone.ended(session, leg, status, parts.clock())
        conversation = conversations.get_conversation(session, leg.conversation_id)
        if leg.party == "citizen" and conversation.state == "closed" and leg.talked_at is None:
            file_unreached(session, parts, conversation)
    parts.telephone.see_to(conversation.id)


def recorded(parts: Parts, conversation_id: str, form: Mapping[str, str]) -> None:
    """A talk was recorded (RecordingSid, RecordingUrl, RecordingDuration of voice/twiml/conference): keep where it is."""
    sid, url = form.get("RecordingSid", ""), form.get("RecordingUrl", "")
    seconds = form.get("RecordingDuration", "")
    if form.get("RecordingStatus", "completed") == "completed" and sid and url.startswith(("https://", "http://")):
        length = int(seconds) if seconds.isdecimal() else 0
        with parts.database.write() as session:
            telephone.add_recording(session, conversation_id, sid[:40], url[:300], length, parts.clock())


def staff_voice(parts: Parts) -> Speaker:
    """How the line speaks to its own people and to agencies."""
    return speaker(parts.settings, "zh", False)


def summary(turns: Sequence[Turn], conversation: Conversation, now: datetime) -> str:
    """What the call is about, in the citizen's own words, as it is whispered to whoever is rung: how long they have waited,
    danger, matter, place."""
    said = matters(turns)
    minutes = round((now - (conversation.waiting_since or now)).total_seconds() / 60)
    parts_said = [prompt("bridge_waited", "zh", minutes=minutes)] if minutes else []
    if any(find_danger(text) for text in said):
        parts_said.append(prompt("bridge_danger", "zh"))
    matter = next((text for text in said if len(text) >= 4), "")
    if matter:
        parts_said.append(prompt("bridge_matter", "zh", matter=matter[:SUMMARY_LIMIT]))
    place = find_place("\n".join(said))
    if place and place not in matter[:SUMMARY_LIMIT]:
        parts_said.append(prompt("bridge_place", "zh", place=place))
    return "".join(parts_said) or prompt("bridge_unknown", "zh")
