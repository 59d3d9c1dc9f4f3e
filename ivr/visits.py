"""Return visits (回访) by telephone: the line calls the citizens whose case has been answered and asks three questions, by
key or speech.

A job rings (`Caller`), within the calling hours and no faster than the account may; webhooks talk (`Visit`) and write the
outcome onto the case. How often somebody is tried is the case's own rule: each try without answers is on its history.
State Council Office 2020 No. 53 wants the visit; that nobody is rung who has asked not to be is decency.
"""

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, not_, select, update
from sqlalchemy.orm import Session

from backend.cases import service as cases
from backend.cases.models import Case, CaseEvent
from backend.cases.rules import ANSWERS
from backend.cases.service import Actor
from backend.city import city_name
from backend.clock import in_hours, local
from backend.conversations.safety import asks_for_person, find_danger, plain
from backend.conversations.service import danger_reply
from backend.errors import Refused
from backend.line_settings import LineSettings
from backend.parts import Parts
from ivr.calls import locale_of, prompt
from ivr.flow import LOWEST_CONFIDENCE, PERSON_KEY, REPEAT_KEY, REPROMPTS, Heard, follow
from ivr.models import CallerWish, VisitCall
from ivr.provider import CALL_OVER, Provider, ProviderFailed
from ivr.queue import call_over
from ivr.service import Line
from ivr.twiml import Speaker, speaker
from ivr.wishes import hashed, wish_of

log = logging.getLogger(__name__)

NEWS_WITHIN = timedelta(minutes=5)
"""A call of which nothing is heard for so long is given up: its callbacks have been lost, or its worker has died."""
NEXT_WHEN_DOWN = timedelta(minutes=5)
"""When the telephone service can't be asked, or is asked too often."""
LONGEST_RUN = 50
"""Seconds that a job which comes every minute may go on beginning calls."""
UNDER_WAY = ("ringing", "talking")


# --- what the citizen means: pure -----------------------------------------------------------------------------------

OPT_OUT_KEY = "9"
OPT_OUT_WORDS = re.compile(r"别再打|不要再打|别打了|不想再?接|唔好再打|唔好打|don'?t call|stop calling")
YES_AFTER_ALL = re.compile(r"没问题|没事了|没意见|不错|冇問題|no problem|no complaint|not bad")
NO = re.compile(
    r"没|不|未|否|冇|唔|\bno\b|\bnot\b|\b(?:did|do|does|has|have|is|was)n'?t\b|\bnobody\b|\bnever\b|dissatisfied|unsatisfied"
)
YES = re.compile(
    r"是|对|有|嗯|好|行|满意|滿意|解决|解決|联系过|打过|可以|得|啱|係|\byes\b|\byeah\b|\bsure\b|\bsolved\b|satisfied"
)


def meaning_of(heard: Heard) -> str:
    """What was meant as an answer to one of the three questions: yes, no, opt_out, person, repeat, or unclear."""
    keys = {"1": "yes", "2": "no", OPT_OUT_KEY: "opt_out", PERSON_KEY: "person", REPEAT_KEY: "repeat"}
    if heard.digits:
        return keys.get(heard.digits.rstrip("#"), "unclear")
    words = plain(heard.speech)
    if not words or heard.confidence < LOWEST_CONFIDENCE or re.search(r"有没有|有冇|是不是", words):
        return "unclear"
    if OPT_OUT_WORDS.search(heard.speech.lower()):
        return "opt_out"
    if asks_for_person(heard.speech):
        return "person"
    if YES_AFTER_ALL.search(words):
        return "yes"
    if NO.search(words):
        return "no"
    return "yes" if YES.search(words) else "unclear"


def next_question(answers: dict[str, str]) -> str | None:
    """What to ask now: the three questions in turn, then what is wrong, if something is; None when all is said."""
    open_ones = [question for question in ANSWERS if question not in answers]
    if open_ones:
        return open_ones[0]
    wrong = "no" in (answers["solved"], answers["satisfied"])
    return "note" if wrong and "words" not in answers else None


def is_complete(answers: dict[str, str]) -> bool:
    """Whether the three questions are answered; words are a gift."""
    return all(question in answers for question in ANSWERS)


# --- the job --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Caller:
    """Rings the citizens who are to be visited; for the worker, every minute."""

    parts: Parts
    provider: Provider
    sleep: Callable[[float], None] = time.sleep

    def work(self) -> None:
        """See to calls that were lost, write down what could not be written, and ring who is due."""
        now = self.parts.clock()
        with self.parts.database.write() as session:
            for visit in session.scalars(select(VisitCall).where(VisitCall.state == "answered")):
                settle(session, visit, now)
            lost = VisitCall.state.in_(UNDER_WAY), VisitCall.due_at <= now
            for visit in session.scalars(select(VisitCall).where(*lost)):
                finish(session, visit, "lost", self.parts.line_settings(), now)
            plan(session, now)
        if not self.provider.configured or not in_hours(now, self.parts.line_settings().calling_hours):
            return
        pace = 1 / self.parts.settings.calls_per_second
        for number in range(max(1, int(LONGEST_RUN / pace))):
            due = self.take(self.parts.clock())
            if due is None:
                return
            if number:
                self.sleep(pace)
            if not self.ring(due):
                return

    def take(self, now: datetime) -> VisitCall | None:
        """The visit that has been due longest, now ringing, or None. Of several workers one gets it. Who has asked not to be
        called is not: that counts as a try, so that the case goes the same way as one that nobody answers."""
        due = VisitCall.state == "waiting", VisitCall.due_at <= now
        while True:
            with self.parts.database.write() as session:
                visit = session.scalar(select(VisitCall).where(*due).order_by(VisitCall.due_at, VisitCall.id).limit(1))
                if visit is None:
                    return None
                taken = session.execute(
                    update(VisitCall)
                    .where(VisitCall.id == visit.id, *due)
                    .values(
                        state="ringing", tries=VisitCall.tries + 1, due_at=now + NEWS_WITHIN, sid=None, answered_by=None
                    )
                )
                if not taken.rowcount:  # type: ignore[attr-defined]  # an UPDATE's result has it
                    continue
                session.refresh(visit)
                wish = wish_of(session, self.parts.settings, visit.case.contact)
                if not (wish and wish.no_calls_since):
                    return visit
                finish(session, visit, "opted_out", self.parts.line_settings(), now)

    def ring(self, visit: VisitCall) -> bool:
        """Begin the call; whether the telephone service takes any now."""
        base = self.parts.settings.base_url
        try:
            sid = self.provider.call(
                visit.case.contact or "",
                f"{base}/ivr/visit?visit={visit.id}",
                f"{base}/ivr/visit-status?visit={visit.id}",
                machine_detection=True,
            )
        except ProviderFailed as failure:
            log.warning("a return visit could not be rung: %s", failure)
            with self.parts.database.write() as session:
                tried = session.get_one(VisitCall, visit.id, with_for_update=True)
                now = self.parts.clock()
                if failure.final:
                    finish(session, tried, "refused", self.parts.line_settings(), now)
                else:
                    tried.state, tried.tries, tried.due_at = "waiting", tried.tries - 1, now + NEXT_WHEN_DOWN
            return failure.final
        with self.parts.database.write() as session:  # the first webhook may have been faster
            mine = VisitCall.id == visit.id, VisitCall.tries == visit.tries, VisitCall.sid.is_(None)
            session.execute(update(VisitCall).where(*mine).values(sid=sid))
        return True


def plan(session: Session, now: datetime) -> None:
    """Note whom to ring: each case that awaits its visit, once for every reply that it had; no more who has answered
    otherwise."""
    counted = (
        select(CaseEvent.case_id, func.count())
        .join(Case)
        .where(Case.state == "replied", CaseEvent.to_state == "replied", CaseEvent.from_state != "replied")
        .group_by(CaseEvent.case_id)
    )
    replies: dict[int, int] = {case_id: count for case_id, count in session.execute(counted)}
    waiting = select(VisitCall).join(Case, VisitCall.case_id == Case.id).where(VisitCall.state == "waiting")
    for visit in session.scalars(waiting.where(not_(cases.to_be_asked(session)))):
        visit.state, visit.outcome = "done", "over"
    planned = set(
        session.scalars(select(VisitCall.key).join(Case, VisitCall.case_id == Case.id).where(Case.state == "replied"))
    )
    for case in cases.awaiting_visit(session):
        key = f"{case.number}:{replies.get(case.id, 0)}"
        if key not in planned:
            session.add(VisitCall(key=key, case_id=case.id, state="waiting", tries=0, due_at=now, answers={}, misses=0))


# --- what came of a try ---------------------------------------------------------------------------------------------


def finish(session: Session, visit: VisitCall, outcome: str, settings: LineSettings, now: datetime) -> None:
    """A try is over. With three answers they go onto the case; without them the try does, and there will be another."""
    visit.outcome = outcome
    if is_complete(visit.answers):
        visit.state = "answered"
        settle(session, visit, now)
        return
    visit.state, visit.due_at, visit.misses = "waiting", now + settings.gap_after(visit.tries), 0
    act(session, visit, "not_reached", {"why": outcome}, now)


def settle(session: Session, visit: VisitCall, now: datetime) -> None:
    """Write the answers onto the case. If somebody acts on it at this moment, the job tries again."""
    if act(session, visit, "visit", visit.answers, now):
        visit.state, visit.outcome = "done", "answered"
    elif visit.case.state != "replied":  # answered in another way meanwhile
        visit.state, visit.outcome = "done", "over"


def act(session: Session, visit: VisitCall, what: str, details: dict[str, str], now: datetime) -> bool:
    """Whether the case took the act."""
    try:
        with session.begin_nested():
            cases.act_on(session, visit.case.number, what, Actor("line"), details, now)
    except Refused as refusal:
        log.info("case %s did not take %s: %s", visit.case.number, what, refusal.code)
        session.refresh(visit.case)
        return False
    return True


# --- the talk -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Visit:
    """The webhooks of a visit's call; each returns TwiML. Late, doubled and reordered ones change nothing."""

    parts: Parts

    def answered(self, call_sid: str, visit_id: int, answered_by: str) -> str:
        """Somebody or something has answered. A machine hears nothing: anybody may listen to it later."""
        now = self.parts.clock()
        with self.parts.database.write() as session:
            visit = session.get(VisitCall, visit_id, with_for_update=True)
            if visit is None or visit.state != "ringing" or visit.sid not in (None, call_sid):
                return self.voice(None, None).end([])
            visit.sid, visit.answered_by = call_sid, answered_by[:30] or None
            if answered_by.startswith(("machine", "fax")):
                finish(session, visit, "machine", self.parts.line_settings(), now)
                return self.voice(None, None).end([])
            visit.state, visit.due_at = "talking", now + NEWS_WITHIN
            day = local(visit.case.filed_at)
            voice = self.voice(visit.case, wish_of(session, self.parts.settings, visit.case.contact))
            city = city_name(voice.language)
            greeting = prompt("visit_greeting", voice.language, city=city, month=day.month, day=day.day)
            return self.ask(voice, visit, 0, greeting)

    def turn(self, call_sid: str, step: int, heard: Heard) -> str:
        """The citizen has said or keyed something, or nothing."""
        now = self.parts.clock()
        with self.parts.database.write() as session:
            visit = session.scalar(select(VisitCall).where(VisitCall.sid == call_sid).with_for_update())
            if visit is None or visit.state != "talking":
                return self.voice(None, None).end([])
            visit.due_at = now + NEWS_WITHIN
            voice = self.voice(visit.case, wish_of(session, self.parts.settings, visit.case.contact))
            danger = find_danger(heard.speech)
            if danger:
                return self.ask(voice, visit, step, danger_reply(danger, locale_of(voice.language)).speech)
            question = next_question(visit.answers)
            if question == "note":
                visit.answers = {**visit.answers, "words": heard.speech[:500]}
                return self.goodbye(session, voice, visit, "visit_redo", now)
            meaning = meaning_of(heard)
            if meaning in ("yes", "no") and question:
                visit.answers, visit.misses = {**visit.answers, question: meaning}, 0
                if next_question(visit.answers) is None:
                    return self.goodbye(session, voice, visit, "visit_thanks", now)
                return self.ask(voice, visit, step)
            if meaning == "opt_out":
                self.opt_out(session, visit, now)
                return self.goodbye(session, voice, visit, "visit_opted_out", now)
            if meaning == "repeat":
                return self.ask(voice, visit, step)
            if meaning != "person":
                visit.misses += 1
                if visit.misses > REPROMPTS:
                    return self.goodbye(session, voice, visit, "visit_later", now)
                return self.ask(voice, visit, step, prompt("visit_again", voice.language))
            visit.state, visit.outcome, caller = "done", "person", visit.case.contact
        return self.to_person(call_sid, caller)

    def ended(self, call_sid: str, visit_id: int, status: str) -> None:
        """The call is over (its status callback), or on its way."""
        if status not in CALL_OVER:
            return
        with self.parts.database.write() as session:
            visit = session.get(VisitCall, visit_id, with_for_update=True)
            if visit and visit.state in UNDER_WAY and visit.sid in (None, call_sid):
                finish(
                    session,
                    visit,
                    "hung_up" if status == "completed" else status,
                    self.parts.line_settings(),
                    self.parts.clock(),
                )
        call_over(self.parts, call_sid)

    def ask(self, voice: Speaker, visit: VisitCall, step: int, *before: str) -> str:
        """The TwiML for the question that is open, after some other words."""
        question = prompt(f"visit_{next_question(visit.answers)}", voice.language)
        return voice.listen([*before, question], step + 1, to="/ivr/visit-turn")

    def goodbye(self, session: Session, voice: Speaker, visit: VisitCall, key: str, now: datetime) -> str:
        """Nothing more is asked in this call."""
        finish(session, visit, key.removeprefix("visit_"), self.parts.line_settings(), now)
        return voice.end([prompt(key, voice.language)])

    def opt_out(self, session: Session, visit: VisitCall, now: datetime) -> None:
        """Ring this number no more for return visits."""
        if visit.case.contact is None:
            return
        wish = wish_of(session, self.parts.settings, visit.case.contact)
        if wish is None:
            wish = CallerWish(number_hash=hashed(self.parts.settings, visit.case.contact), language="zh", slow=False)
            session.add(wish)
        wish.no_calls_since = now

    def to_person(self, call_sid: str, caller: str | None) -> str:
        """The call becomes one like any other, whose caller has asked for a person."""
        line = Line(self.parts)
        line.answer(call_sid, caller, "")
        return line.document(call_sid, follow("person"), 1)

    def voice(self, case: Case | None, wish: CallerWish | None) -> Speaker:
        """How the citizen is spoken to: as they have asked for before, else in the language of their case."""
        language = wish.language if wish else ("en" if case and case.locale == "en" else "zh")
        hints = self.parts.speech_hints().get(language, "")
        return speaker(self.parts.settings, language, bool(wish and wish.slow), hints)
