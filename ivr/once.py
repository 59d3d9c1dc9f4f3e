"""Each webhook of a call is answered once: Twilio repeats what it didn't hear back from, and a repeat must change nothing.

The first to claim (CallSid, step) does the work; whoever comes later gets the same document. A claim whose process died
is taken over after CLAIM_LASTS.
"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.clock import Clock
from backend.database import Database
from backend.retention import BATCH, RetentionReport
from ivr.models import CallStep

CLAIM_LASTS = timedelta(seconds=12)
"""Longer than the bot's time limit, shorter than the 15 s after which Twilio gives a webhook up."""


def answer_once(database: Database, clock: Clock, call_sid: str, step: str, work: Callable[[], str]) -> str:
    """The TwiML for this step of the call: what `work()` makes the first time, the same again afterwards.

    What `work` raises is raised here, and the step can then be tried again.
    """
    while not claim(database, clock, call_sid, step):
        with database.read() as session:
            answered = session.scalar(
                select(CallStep.twiml).where(CallStep.call_sid == call_sid, CallStep.step == step)
            )
        if answered:
            return answered
        time.sleep(0.05)
    try:
        twiml = work()
    except BaseException:
        with database.write(durable=False) as session:
            session.delete(session.get_one(CallStep, (call_sid, step)))
        raise
    with database.write(durable=False) as session:
        session.get_one(CallStep, (call_sid, step)).twiml = twiml
    return twiml


def forget_old(session: Session, _: RetentionReport, limit: datetime) -> Mapping[str, int] | None:
    """Delete the answers of some calls whose webhooks can't be repeated any more; None when there are none left."""
    old = select(CallStep.call_sid).where(CallStep.claimed_at < limit).limit(BATCH)
    gone = delete(CallStep).where(CallStep.call_sid.in_(session.scalars(old).all()), CallStep.claimed_at < limit)
    deleted: int = session.execute(gone).rowcount  # type: ignore[attr-defined]  # a DELETE's result has it
    return {"webhook_answers": deleted} if deleted else None


def claim(database: Database, clock: Clock, call_sid: str, step: str) -> bool:
    """Whether this request is the one that answers the step."""
    now = clock()
    try:
        with database.write(durable=False) as session:
            session.add(CallStep(call_sid=call_sid, step=step, claimed_at=now))
        return True
    except IntegrityError:
        pass
    with database.write(durable=False) as session:
        taken_over = session.execute(
            update(CallStep)
            .where(
                CallStep.call_sid == call_sid,
                CallStep.step == step,
                CallStep.twiml.is_(None),
                CallStep.claimed_at < now - CLAIM_LASTS,
            )
            .values(claimed_at=now)
        )
        return bool(taken_over.rowcount)  # type: ignore[attr-defined]  # an UPDATE's result has it
