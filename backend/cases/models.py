"""Tables: cases, their history, what belongs to them, and what a city sets: deadlines and its own working days."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from backend.audit import audited
from backend.database import Base, UtcDateTime
from backend.directory.models import Agency, Category
from backend.encryption import HASH_LENGTH, Encrypted, lookup_hash


class Case(Base):
    """工单: one request of one citizen. Written only by cases/service.py, through the table in cases/rules.py."""

    __tablename__ = "cases"
    __table_args__ = (
        Index("ix_cases_contact_state", "contact_hash", "state"),
        Index("ix_cases_state_step", "state", "step_due_at"),
        Index("ix_cases_agency_step", "agency_code", "step_due_at"),
        Index("ix_cases_responsible_step", "responsible_code", "step_due_at"),
        Index("ix_cases_category", "category_code"),
        Index("ix_cases_step_due", "step_due_at"),
        Index("ix_cases_spot", "spot", "id"),
        Index(
            "ix_cases_kept",
            "step_since",
            sqlite_where=text("step_due_at IS NULL AND erased_at IS NULL"),
            postgresql_where=text("step_due_at IS NULL AND erased_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(11), unique=True)
    state: Mapped[str] = mapped_column(String(20), index=True)
    version: Mapped[int] = mapped_column()
    channel: Mapped[str] = mapped_column(String(10))  # chat, phone, api, operator
    locale: Mapped[str] = mapped_column(String(5))
    conversation_id: Mapped[str | None] = mapped_column(ForeignKey("conversations.id"), index=True)
    filing_key: Mapped[str | None] = mapped_column(String(80), unique=True)  # a filing repeated is one case
    what: Mapped[str] = mapped_column(Text)
    place: Mapped[str] = mapped_column(String(300), default="")
    district: Mapped[str] = mapped_column(String(40), default="", server_default="")  # places.district_of
    spot: Mapped[str] = mapped_column(String(60), default="")  # places.spot: whose neighbours' cases it may be like
    since: Mapped[str] = mapped_column(String(200), default="")
    contact: Mapped[str | None] = mapped_column(Encrypted)  # E.164; None: anonymous, or nothing left
    contact_hash: Mapped[str | None] = mapped_column(String(HASH_LENGTH), info={"hash_of": "contact"})
    confidential: Mapped[bool] = mapped_column(default=False)  # no agency learns who it was
    recording_url: Mapped[str | None] = mapped_column(String(500))
    kind: Mapped[str] = mapped_column(String(20), default="request")  # a key of rules.KINDS
    urgency: Mapped[str] = mapped_column(String(20), default="normal")  # a key of rules.URGENCIES
    category_code: Mapped[str] = mapped_column(ForeignKey("categories.code"))
    agency_code: Mapped[str] = mapped_column(
        ForeignKey("agencies.code"), index=True
    )  # where it is, or is proposed to go
    responsible_code: Mapped[str | None] = mapped_column(ForeignKey("agencies.code"))  # 首接: until another has signed
    certainty: Mapped[float]  # probability, 0 to 1, that the proposed agency is right
    filed_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    profile: Mapped[str] = mapped_column(String(20))  # whose deadlines it has, a key of nlu_data/deadlines.yml
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)  # when the citizen has a reply
    step_since: Mapped[datetime] = mapped_column(UtcDateTime)  # when it came into its state
    step_due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # by when somebody must act; None: it has ended
    mark: Mapped[str] = mapped_column(String(10), default="")  # yellow, red, overdue: given in this step
    next_mark_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    send_backs: Mapped[int] = mapped_column(default=0)
    redos: Mapped[int] = mapped_column(default=0)
    repeats: Mapped[int] = mapped_column(default=0)  # how often the same citizen filed it again
    visit_tries: Mapped[int] = mapped_column(default=0)  # calls since the last reply at which nobody was reached
    merged_into_id: Mapped[int | None] = mapped_column(ForeignKey("cases.id"))
    erased_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # nothing says any more whose it was (retention.py)

    agency: Mapped[Agency] = relationship(foreign_keys=agency_code)
    responsible: Mapped[Agency | None] = relationship(foreign_keys=responsible_code)
    category: Mapped[Category] = relationship()
    merged_into: Mapped["Case | None"] = relationship(remote_side=id)
    history: Mapped[list["CaseEvent"]] = relationship(order_by="CaseEvent.number", back_populates="case")
    co_handlers: Mapped[list["CoHandler"]] = relationship(order_by="CoHandler.id")
    orders: Mapped[list["SupervisionOrder"]] = relationship(order_by="SupervisionOrder.id", back_populates="case")
    visits: Mapped[list["Visit"]] = relationship(order_by="Visit.id")

    # Two people acting at once: one success, one refusal.
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  # SQLAlchemy reads it from the class

    @validates("contact")
    def _keep_hash(self, _: str, number: str | None) -> str | None:
        self.contact_hash = lookup_hash(number)
        return number


class CaseEvent(Base):
    """One act on a case, kept for ever; the state can be recomputed from these rows."""

    __tablename__ = "case_events"
    __table_args__ = (
        UniqueConstraint("case_id", "number"),
        Index("ix_case_events_act", "act", "acted_at", "case_id"),
        # What people did, newest first; most acts are the clock's, the bot's and the citizens'.
        Index(
            "ix_case_events_staff",
            *("staff_id", "id"),
            sqlite_where=text("staff_id IS NOT NULL"),
            postgresql_where=text("staff_id IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"))
    number: Mapped[int]
    act: Mapped[str] = mapped_column(String(20))
    from_state: Mapped[str | None] = mapped_column(String(20))
    to_state: Mapped[str] = mapped_column(String(20))
    role: Mapped[str] = mapped_column(String(20))  # who acted: citizen, bot, line, or a role of the staff
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    details: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # what the act needed: note, agency, answers
    acted_at: Mapped[datetime] = mapped_column(UtcDateTime)

    case: Mapped[Case] = relationship(back_populates="history")


class CoHandler(Base):
    """协办: an agency that was asked to help the one that answers for the case."""

    __tablename__ = "co_handlers"
    __table_args__ = (UniqueConstraint("case_id", "agency_code"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"))
    agency_code: Mapped[str] = mapped_column(ForeignKey("agencies.code"), index=True)
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Repeat(Base):
    """并单: the same citizen's filing of a matter that was open already, in its own words. It has no number of its own."""

    __tablename__ = "case_repeats"

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    filing_key: Mapped[str | None] = mapped_column(String(80), unique=True)
    conversation_id: Mapped[str | None] = mapped_column(ForeignKey("conversations.id"))
    channel: Mapped[str] = mapped_column(String(10))
    what: Mapped[str] = mapped_column(Text)
    filed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Visit(Base):
    """回访: what the citizen said of one reply. Rates are counted from these rows."""

    __tablename__ = "visits"

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    agency_code: Mapped[str | None] = mapped_column(
        ForeignKey("agencies.code")
    )  # who had answered; None: the line itself
    role: Mapped[str] = mapped_column(String(20))  # line: by call; citizen: by themselves; else who asked
    contacted: Mapped[bool]
    solved: Mapped[bool]
    satisfied: Mapped[bool]
    grade: Mapped[int | None]  # 5 非常满意, 4 满意, 3 基本满意, 2 不满意, 1 非常不满意; None: not asked so finely
    words: Mapped[str] = mapped_column(Text, default="")
    themes: Mapped[list[str]] = mapped_column(JSON, default=list)  # what the words are about, keys of visits.THEMES
    said_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class SupervisionOrder(Base):
    """督办单: one order of electronic supervision, from its opening to its closing; the register is this table."""

    __tablename__ = "supervision_orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    agency_code: Mapped[str] = mapped_column(ForeignKey("agencies.code"))
    ordered_by_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))  # None: the clock, for being overdue
    ordered: Mapped[str] = mapped_column(Text)
    ordered_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    reply: Mapped[str] = mapped_column(Text, default="")
    replied_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    closing: Mapped[str] = mapped_column(Text, default="")  # how it ended
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)

    case: Mapped[Case] = relationship(back_populates="orders")
    agency: Mapped[Agency] = relationship()


class IdentityAccess(Base):
    """Who of the staff looked at who a citizen is, when, and why."""

    __tablename__ = "identity_accesses"

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    reason: Mapped[str] = mapped_column(String(300), default="")
    looked_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class DeadlineProfile(Base):
    """Deadlines as a supervisor saved them; the newest row of a jurisdiction counts, the older ones are its history."""

    __tablename__ = "deadline_profiles"

    id: Mapped[int] = mapped_column(primary_key=True)
    jurisdiction: Mapped[str] = mapped_column(String(20), index=True)
    content: Mapped[dict[str, Any]] = mapped_column(JSON)  # deadlines.Profile
    saved_by_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    saved_at: Mapped[datetime] = mapped_column(UtcDateTime)


@audited("calendar", without=("set_by_id",))
class CalendarDay(Base):
    """A day that the city has set to working or not, over every other calendar."""

    __tablename__ = "calendar_days"

    day: Mapped[date] = mapped_column(primary_key=True)
    working: Mapped[bool]
    name: Mapped[str] = mapped_column(String(60), default="")
    set_by_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))


class LookupTries(Base):
    """How often a number was tried with wrong digits lately, and when last; also of numbers that no case has."""

    __tablename__ = "lookup_tries"

    number: Mapped[str] = mapped_column(String(11), primary_key=True)
    tries: Mapped[int]
    tried_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class CaseCounter(Base):
    """How many cases were filed in a year (Asia/Shanghai); the next number comes from here."""

    __tablename__ = "case_counters"

    year: Mapped[int] = mapped_column(primary_key=True)
    filed: Mapped[int]


class RoutingModel(Base):
    """What routing has learned, in one version; cases/learning.py writes and reads it. One at most is in use."""

    __tablename__ = "routing_models"

    id: Mapped[int] = mapped_column(primary_key=True)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(
        String(10), index=True
    )  # in_use, replaced, refused: no better than the one in use
    knows: Mapped[str] = mapped_column(
        String(64)
    )  # SHA-256 of the articles, duties and categories that it learned from
    texts: Mapped[int]  # how many texts it learned from, those of cases included
    cases: Mapped[int]  # how many of them were cases
    figures: Mapped[dict[str, Any]] = mapped_column(
        JSON, default=dict
    )  # how it did on cases that no version learns from
    numbers: Mapped[bytes | None] = mapped_column(LargeBinary)  # learning.pack; None: refused, or replaced long ago
