"""Tables: conversations and their turns, the one record of everything that was said on either channel."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from backend.audit import audited
from backend.database import Base, UtcDateTime
from backend.directory.models import Staff
from backend.encryption import HASH_LENGTH, Encrypted, EncryptedJson, lookup_hash


class Conversation(Base):
    """One call or chat. `state` moves as conversations/rules.py says; at most one operator holds it."""

    __tablename__ = "conversations"
    __table_args__ = (
        Index("ix_conversations_dialled", "dialled", "started_at"),
        Index("ix_conversations_caller", "caller_hash", "started_at"),
        Index("ix_conversations_operator_state", "operator_id", "state"),
        Index(
            "ix_conversations_waited",
            "waiting_since",
            sqlite_where=text("waiting_since IS NOT NULL"),
            postgresql_where=text("waiting_since IS NOT NULL"),
        ),
        # The few whose operator has still to say what came of them, among all that an operator ever had.
        Index(
            "ix_conversations_unfinished",
            "operator_id",
            sqlite_where=text("operator_id IS NOT NULL AND wrap_up IS NULL"),
            postgresql_where=text("operator_id IS NOT NULL AND wrap_up IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    channel: Mapped[str] = mapped_column(String(10))  # chat or phone
    locale: Mapped[str] = mapped_column(String(5))
    state: Mapped[str] = mapped_column(String(10), default="bot", index=True)
    caller: Mapped[str | None] = mapped_column(Encrypted)  # E.164, only on the phone and when not withheld
    caller_hash: Mapped[str | None] = mapped_column(String(HASH_LENGTH), info={"hash_of": "caller"})
    dialled: Mapped[str | None] = mapped_column(
        String(20)
    )  # on the phone: the number called (directory/legacy.written)
    token_hash: Mapped[str | None] = mapped_column(String(64))  # of the secret that a chat page holds
    peer: Mapped[str | None] = mapped_column(Encrypted)  # in WeChat the openid, in SMS the number (E.164)
    peer_hash: Mapped[str | None] = mapped_column(String(HASH_LENGTH), index=True, info={"hash_of": "peer"})
    citizen_typing_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # None: has just said it
    operator_typing_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    idle_asked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when a silent citizen was asked (idle.py)
    failures: Mapped[int] = mapped_column(default=0)  # questions in a row that the bot did not settle
    operator_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    language: Mapped[str] = mapped_column(String(5), default="zh", server_default="zh")  # spoken: zh, yue, en
    skill: Mapped[str] = mapped_column(
        String(40), default="", server_default=""
    )  # first-level category, as far as known
    priority: Mapped[int] = mapped_column(default=0, server_default="0")  # rules.NORMAL, REPEATED, DANGER
    started_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    waiting_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    taken_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    callback_to: Mapped[str | None] = mapped_column(Encrypted)  # E.164, keyed or confirmed by the caller
    callback_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when the call back was asked for
    callback_tries: Mapped[int] = mapped_column(default=0, server_default="0")
    may_record: Mapped[bool | None]  # what the caller answered, where consent is asked for
    is_recorded: Mapped[bool | None]  # decided as its first telephone joins: the caller is told what is done
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    wrap_up: Mapped[str | None] = mapped_column(
        String(20)
    )  # what came of the talk with the operator (wrap_up.OUTCOMES)
    erased_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # only counts are left of it (retention.py)

    operator: Mapped[Staff | None] = relationship()
    turns: Mapped[list["Turn"]] = relationship(order_by="Turn.number", back_populates="conversation")
    legs: Mapped[list["Leg"]] = relationship(order_by="Leg.id")

    @validates("caller", "peer")
    def _keep_hash(self, name: str, value: str | None) -> str | None:
        setattr(self, f"{name}_hash", lookup_hash(value))
        return value


class Turn(Base):
    """One thing that somebody said. What the bot said keeps its whole reply: choices, sources, act."""

    __tablename__ = "turns"
    __table_args__ = (
        UniqueConstraint("conversation_id", "number"),
        UniqueConstraint("conversation_id", "message_key"),
        # All that outcomes.py reads, so that it need not fetch the rows with their long replies.
        Index(
            "ix_turns_outcomes",
            *("said_at", "act", "conversation_id", "number", "article_id"),
            sqlite_where=text("act IS NOT NULL"),
            postgresql_where=text("act IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"))
    number: Mapped[int]
    speaker: Mapped[str] = mapped_column(String(10))  # citizen, bot, operator, line (the service itself)
    text: Mapped[str] = mapped_column(Encrypted)
    reply: Mapped[dict[str, Any] | None] = mapped_column(EncryptedJson)
    act: Mapped[str | None] = mapped_column(String(10))  # what the bot's reply does (bot/client.py), or photo
    article_id: Mapped[str | None] = mapped_column(String(80))  # the article that the bot spoke of
    message_key: Mapped[str | None] = mapped_column(String(80))  # the channel's name for a message: once only
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    said_at: Mapped[datetime] = mapped_column(UtcDateTime)

    conversation: Mapped[Conversation] = relationship(back_populates="turns")


class Leg(Base):
    """One telephone in a conversation: the citizen's, an operator's, an agency's, a supervisor's who listens.

    `state` moves as rules.LEG_MOVES says. `wish` is what the telephone service is still to be asked for (rules.WISHES);
    conversations/telephone.py sets it, and whoever reaches the service takes it away as it is done.
    """

    __tablename__ = "call_legs"

    id: Mapped[int] = mapped_column(primary_key=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"), index=True)
    party: Mapped[str] = mapped_column(String(10))  # citizen, operator, agency, or one of rules.SUPERVISING
    telephone: Mapped[str | None] = mapped_column(Encrypted)  # +86… or client:name; None: withheld
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    agency_code: Mapped[str | None] = mapped_column(ForeignKey("agencies.code"))
    state: Mapped[str] = mapped_column(String(10))
    wish: Mapped[str] = mapped_column(String(10), default="")
    held: Mapped[bool] = mapped_column(default=False)
    sid: Mapped[str | None] = mapped_column(String(100))  # of its call at the telephone service
    step: Mapped[int] = mapped_column(default=0)  # of the citizen's call, where it entered the queue
    outcome: Mapped[str | None] = mapped_column(String(12))  # how it ended, in the service's words
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    moved_at: Mapped[datetime] = mapped_column(UtcDateTime)  # when `state` or `wish` changed last
    talked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when it joined the others

    staff: Mapped[Staff | None] = relationship()


class PresencePeriod(Base):
    """For how long one of the staff was ready, at after-call work, on a break or away, and why (presence.py)."""

    __tablename__ = "presence_periods"
    __table_args__ = (Index("ix_presence_periods_staff", "staff_id", "began_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    state: Mapped[str] = mapped_column(String(10))  # presence.STATES
    reason: Mapped[str] = mapped_column(String(20), default="")  # presence.BREAK_REASONS or AWAY_REASONS
    began_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Offer(Base):
    """Somebody who waits is offered to an operator: a chat until `ends_at`, a call for as long as the telephone rings.
    One at a time for each conversation and each operator, which the indexes hold."""

    __tablename__ = "offers"
    __table_args__ = tuple(
        Index(
            f"ix_offers_open_{column}",
            column,
            unique=True,
            sqlite_where=text("state = 'open'"),
            postgresql_where=text("state = 'open'"),
        )
        for column in ("conversation_id", "staff_id")
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"))
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    state: Mapped[str] = mapped_column(String(10))  # open, accepted, declined, missed, withdrawn
    offered_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    conversation: Mapped[Conversation] = relationship()
    staff: Mapped[Staff] = relationship()


class ConversationNote(Base):
    """What one of the staff wants colleagues to know of a conversation; never shown to the citizen."""

    __tablename__ = "conversation_notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"), index=True)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    text: Mapped[str] = mapped_column(Encrypted)
    noted_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ConversationSummary(Base):
    """What a service wrote about a conversation for its operator, and up to which turn (summary.py)."""

    __tablename__ = "conversation_summaries"

    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"), primary_key=True)
    text: Mapped[str] = mapped_column(Encrypted)
    model: Mapped[str] = mapped_column(String(80))
    upto: Mapped[int]
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)


@audited("canned_phrase")
class CannedPhrase(Base):
    """What operators say again and again (canned.py)."""

    __tablename__ = "canned_phrases"

    code: Mapped[str] = mapped_column(String(20), primary_key=True)
    position: Mapped[int]
    text_zh: Mapped[str] = mapped_column(Text)
    text_en: Mapped[str] = mapped_column(Text)
    active: Mapped[bool] = mapped_column(default=True)


class Recording(Base):
    """The recording of a conversation with an operator; the sound stays at the telephone service."""

    __tablename__ = "call_recordings"

    sid: Mapped[str] = mapped_column(String(40), primary_key=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"), index=True)
    url: Mapped[str] = mapped_column(String(300))
    seconds: Mapped[int]
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


@audited("announcement")
class Announcement(Base):
    """What everybody is told before anything else, while it is switched on and its time is right (announcements.py)."""

    __tablename__ = "announcements"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))  # emergency, outage, notice
    occasion: Mapped[str] = mapped_column(String(12))  # always, after_hours, holidays
    text_zh: Mapped[str] = mapped_column(Text)
    text_en: Mapped[str] = mapped_column(Text)
    speech_zh: Mapped[str] = mapped_column(Text, default="")  # empty: the text is said
    speech_yue: Mapped[str] = mapped_column(Text, default="")  # empty: Mandarin is said
    speech_en: Mapped[str] = mapped_column(Text, default="")  # empty: the text is said
    on_phone: Mapped[bool] = mapped_column(default=True)
    on_chat: Mapped[bool] = mapped_column(default=True)
    categories: Mapped[list[str]] = mapped_column(JSON, default=list)  # codes: who calls about these is answered by it
    begins_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    active: Mapped[bool] = mapped_column(default=False)

    history: Mapped[list["AnnouncementEvent"]] = relationship(order_by="AnnouncementEvent.id")


class AnnouncementEvent(Base):
    """Who wrote, switched on or switched off an announcement, when, and what it said from then on."""

    __tablename__ = "announcement_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    announcement_id: Mapped[int] = mapped_column(ForeignKey("announcements.id"), index=True)
    act: Mapped[str] = mapped_column(String(10))  # write, on, off
    content: Mapped[dict[str, Any]] = mapped_column(JSON)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    acted_at: Mapped[datetime] = mapped_column(UtcDateTime)
