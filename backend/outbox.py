"""The outbox: what is to be sent to people or machines. It is put down in the transaction that gives the reason for it, and
a job delivers it afterwards: at least once, and once only as far as the other side tells us that it has it."""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Index, String, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from backend.clock import Clock
from backend.database import Base, Database, UtcDateTime, tell_after_commit
from backend.encryption import Encrypted, EncryptedJson

log = logging.getLogger(__name__)

Channel = Literal["sms", "wechat", "webhook", "email", "recording", "photo", "erasure"]

WAKING = "outbox"
"""What Database.after_commit is told when there is something to send at once."""

GAPS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 20, 60, 240, 720))
"""How long to wait after the first, second … try; after one try more than there are gaps the message has failed."""


class OutgoingMessage(Base):
    """One message. While it waits, `due_at` is its next try; whoever takes it moves that on, so no second one takes it and,
    should the worker die, it comes again."""

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_due", "state", "due_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(String(160), unique=True)  # the reason: the same reason is one message
    channel: Mapped[str] = mapped_column(String(10))  # one of Channel
    recipient: Mapped[str] = mapped_column(Encrypted)  # E.164, openid, URL, address
    body: Mapped[dict[str, Any]] = mapped_column(EncryptedJson)
    state: Mapped[str] = mapped_column(String(10), default="waiting")  # waiting, sent, failed
    tries: Mapped[int] = mapped_column(default=0)
    put_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    receipt: Mapped[str | None] = mapped_column(String(64), index=True)  # the other side's name for it, such as a sid
    fault: Mapped[str | None] = mapped_column(String(200))  # why the last try, or the delivery, failed


class NotSent(Exception):
    """A message did not get through; the text says why, without personal data. `final`: trying again is no use."""

    def __init__(self, why: str, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


Sender = Callable[[OutgoingMessage], str | None]
"""Sends one message and returns the other side's name for it, if it gives one. Raises NotSent."""


def put(
    session: Session,
    key: str,
    channel: Channel,
    recipient: str,
    body: dict[str, Any],
    now: datetime,
    due_at: datetime | None = None,
) -> None:
    """Put a message into the outbox, to be sent at `due_at` (now if None), when the transaction is committed. Does nothing
    if there is one with this key. An SMS' body is {"text": …}, a webhook's {"event": …, "data": …}."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    message = {"channel": channel, "recipient": recipient, "body": body, "state": "waiting", "tries": 0}
    row = insert(OutgoingMessage).values(key=key, **message, put_at=now, due_at=due_at or now)
    session.execute(row.on_conflict_do_nothing(index_elements=["key"]))
    if due_at is None or due_at <= now:
        tell_after_commit(session, WAKING)


def deliver(database: Database, clock: Clock, senders: Mapping[str, Sender]) -> int:
    """Try every message that is due and has a sender for its channel, oldest first; returns how many were sent."""
    sent = 0
    while message := take(database, clock(), list(senders)):
        try:
            receipt, fault = senders[message.channel](message), None
        except NotSent as error:
            receipt, fault = None, error
        except Exception as error:  # whatever a sender raises must not hold up the messages behind this one
            log.exception("the sender of %s messages failed", message.channel)
            receipt, fault = None, NotSent(type(error).__name__)
        with database.write() as session:
            note(session, message.id, receipt, fault, clock())
        sent += fault is None
    return sent


def take(database: Database, now: datetime, channels: list[str]) -> OutgoingMessage | None:
    """The message that has been due longest, counted as tried once more, or None. Of several workers one gets it: the
    others find it no longer due."""
    due = OutgoingMessage.state == "waiting", OutgoingMessage.due_at <= now, OutgoingMessage.channel.in_(channels)
    while True:
        with database.write() as session:
            oldest = select(OutgoingMessage).where(*due).order_by(OutgoingMessage.due_at, OutgoingMessage.id).limit(1)
            message = session.scalar(oldest)
            if message is None:
                return None
            taken = session.execute(
                update(OutgoingMessage)
                .where(OutgoingMessage.id == message.id, *due)
                .values(tries=OutgoingMessage.tries + 1, due_at=now + gap_after(message.tries + 1))
                .execution_options(synchronize_session=False)
            )
            if taken.rowcount:  # type: ignore[attr-defined]  # an UPDATE's result has it
                return message


def note(session: Session, message_id: int, receipt: str | None, fault: NotSent | None, now: datetime) -> None:
    """Write down what came of a try. After the last one a message has failed, and stays to be seen."""
    message = session.get_one(OutgoingMessage, message_id)
    if fault is None:
        message.state, message.sent_at, message.receipt, message.fault = "sent", now, receipt, None
        return
    message.fault = str(fault)[:200]
    if fault.final or message.tries > len(GAPS):
        message.state = "failed"
        log.warning("message %s (%s) could not be sent: %s", message.id, message.channel, message.fault)


def delivery_failed(session: Session, receipt: str, why: str) -> None:
    """The other side, which had taken the message, says that it did not arrive. Twice is once."""
    session.execute(
        update(OutgoingMessage)
        .where(OutgoingMessage.receipt == receipt, OutgoingMessage.state == "sent")
        .values(state="failed", fault=why[:200])
    )


def failed(session: Session, limit: int = 100) -> list[OutgoingMessage]:
    """The messages that did not get through, newest first."""
    query = select(OutgoingMessage).where(OutgoingMessage.state == "failed").order_by(OutgoingMessage.id.desc())
    return list(session.scalars(query.limit(limit)))


def gap_after(tries: int) -> timedelta:
    """How long to wait for the next try after so many."""
    return GAPS[min(tries, len(GAPS)) - 1]
