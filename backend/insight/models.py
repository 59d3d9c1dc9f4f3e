"""Tables: what is counted of cases and conversations, so that nobody has to count millions of rows while somebody waits."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from backend.audit import audited
from backend.database import Base, UtcDateTime


class CaseFact(Base):
    """One case as it is counted at present. rollups.py writes it and takes back by it what was counted of the case
    before."""

    __tablename__ = "case_facts"
    __table_args__ = (
        Index("ix_case_facts_filed", "filed_at"),
        Index("ix_case_facts_settled", "settled_at"),
        Index("ix_case_facts_ended", "ended_at"),
        # All that the assessment reads, so that it need not fetch the rows of a year.
        Index(
            "ix_case_facts_rated",
            *("said_at", "rated", "district", "category", "outcome", "contacted", "solved", "satisfied", "grade"),
            "visit_id",
        ),
        Index("ix_case_facts_due", "due_at"),
        Index("ix_case_facts_district", "district", "filed_at"),
        Index("ix_case_facts_category", "category", "filed_at"),
        Index("ix_case_facts_agency", "agency", "filed_at"),
        Index("ix_case_facts_agency_settled", "agency", "settled_at"),
        *(
            Index(f"ix_case_facts_{name}", *columns, sqlite_where=text(which), postgresql_where=text(which))
            for name, columns, which in (
                ("unsettled", ("due_at", "paused"), "settled_at IS NULL"),
                ("open", ("filed_at",), "ended_at IS NULL"),
                ("late", ("settled_at",), "settled_at > due_at"),
            )
        ),
    )

    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), primary_key=True, autoincrement=False)
    district: Mapped[str] = mapped_column(String(40))  # Chinese name as in city.yml; empty: not known
    category: Mapped[str] = mapped_column(String(40))
    agency: Mapped[str] = mapped_column(String(40))
    channel: Mapped[str] = mapped_column(String(10))
    urgency: Mapped[str] = mapped_column(String(20))
    filed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    paused: Mapped[bool]  # its clock stands still
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # the reply that holds, or an end without one
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[str] = mapped_column(String(20), default="")  # the final state; empty: open
    said_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # the last return visit, and what was said at it
    visit_id: Mapped[int | None]
    rated: Mapped[str] = mapped_column(
        String(40), default="", server_default=""
    )  # the agency that had answered; empty: the line itself
    contacted: Mapped[bool]
    solved: Mapped[bool]
    satisfied: Mapped[bool]
    grade: Mapped[int | None]
    send_backs: Mapped[int]
    redos: Mapped[int]


class CaseCounts:
    """What is counted of cases."""

    filed: Mapped[int] = mapped_column(default=0)
    send_backs: Mapped[int] = mapped_column(default=0)  # of the cases filed then
    redos: Mapped[int] = mapped_column(default=0)  # of the cases filed then
    settled: Mapped[int] = mapped_column(default=0)  # replied to, or ended without a reply
    late: Mapped[int] = mapped_column(default=0)  # of them, after their deadline
    minutes: Mapped[int] = mapped_column(BigInteger, default=0)  # from filing to settling, of all settled then
    lapsed: Mapped[int] = mapped_column(default=0)  # deadlines that passed then and were not kept
    ended: Mapped[int] = mapped_column(default=0)
    closed: Mapped[int] = mapped_column(default=0)  # of those ended: not declined, transferred, merged or withdrawn
    visited: Mapped[int] = mapped_column(default=0)  # return visits, the last one of each case
    contacted: Mapped[int] = mapped_column(default=0)
    solved: Mapped[int] = mapped_column(default=0)
    satisfied: Mapped[int] = mapped_column(default=0)


class CaseCell(CaseCounts, Base):
    """Counts of cases of one day (grain d) or month (m, `at` its first day), China's time, with the same attributes."""

    __tablename__ = "case_cells"

    grain: Mapped[str] = mapped_column(String(1), primary_key=True)
    at: Mapped[date] = mapped_column(primary_key=True)
    district: Mapped[str] = mapped_column(String(40), primary_key=True)
    category: Mapped[str] = mapped_column(String(40), primary_key=True)
    agency: Mapped[str] = mapped_column(String(40), primary_key=True)
    channel: Mapped[str] = mapped_column(String(10), primary_key=True)
    urgency: Mapped[str] = mapped_column(String(20), primary_key=True)


class CaseSum(CaseCounts, Base):
    """The same by one attribute alone (`dimension` says which, `value` which one of it) or, with neither, of all cases: what
    most questions ask, in a few rows a day instead of thousands."""

    __tablename__ = "case_sums"

    dimension: Mapped[str] = mapped_column(String(10), primary_key=True)
    grain: Mapped[str] = mapped_column(String(1), primary_key=True)
    at: Mapped[date] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(String(40), primary_key=True)


class TalkCell(Base):
    """Counts of the calls or chats that began in one hour (`hour` is its beginning)."""

    __tablename__ = "talk_cells"

    hour: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    channel: Mapped[str] = mapped_column(String(10), primary_key=True)
    language: Mapped[str] = mapped_column(String(5), primary_key=True)
    began: Mapped[int] = mapped_column(default=0)
    turns: Mapped[int] = mapped_column(default=0)
    answered: Mapped[int] = mapped_column(default=0)  # the bot gave an answer
    solved: Mapped[int] = mapped_column(default=0)  # and was told that it helped
    filed: Mapped[int] = mapped_column(default=0)  # a case came of it
    danger: Mapped[int] = mapped_column(default=0)
    queued: Mapped[int] = mapped_column(default=0)  # waited for a person
    taken: Mapped[int] = mapped_column(default=0)  # and reached one
    prompt: Mapped[int] = mapped_column(default=0)  # within rollups.PROMPT
    waited: Mapped[int] = mapped_column(BigInteger, default=0)  # seconds, of those who reached one
    left: Mapped[int] = mapped_column(default=0)  # waited, reached nobody, and are over
    called_back: Mapped[int] = mapped_column(default=0)  # asked to be called back


class WordCell(Base):
    """In how many cases each word was, of one day (grain d) or month (m). `*` in `district` or `category`: all together."""

    __tablename__ = "word_cells"

    grain: Mapped[str] = mapped_column(String(1), primary_key=True)
    at: Mapped[date] = mapped_column(primary_key=True)
    district: Mapped[str] = mapped_column(String(40), primary_key=True)
    category: Mapped[str] = mapped_column(String(40), primary_key=True)
    cases: Mapped[int]
    words: Mapped[dict[str, int]] = mapped_column(JSON)


class HotGroup(Base):
    """Cases and conversations about the same thing at the same place (hot.py). Its id stays; one that has become part of
    another says of which. A group of one waits for a second."""

    __tablename__ = "hot_groups"
    __table_args__ = (Index("ix_hot_groups_last", "merged_into_id", "last_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    size: Mapped[int]
    model: Mapped[str] = mapped_column(String(80), default="")  # of the vectors' part of meaning; empty: none
    total: Mapped[bytes] = mapped_column(LargeBinary)  # float16, the sum of its members' vectors; empty: takes no more
    words: Mapped[dict[str, int]] = mapped_column(JSON)  # in how many of its members each term is
    district: Mapped[str] = mapped_column(String(40))
    community: Mapped[str] = mapped_column(String(60))
    first_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)
    merged_into_id: Mapped[int | None] = mapped_column(ForeignKey("hot_groups.id"))
    root_number: Mapped[str] = mapped_column(String(20), default="")  # of the root issue that was made of it
    # When it last had unusually many cases (warning.py): from when, until when, and how probable the most unusual were.
    sign_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    sign_last_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    sign_p: Mapped[float | None]


class HotMiddle(Base):
    """The sum of the vectors of meaning of all cases that were grouped, by model: what they have in common says nothing."""

    __tablename__ = "hot_middles"

    model: Mapped[str] = mapped_column(String(80), primary_key=True)
    total: Mapped[bytes] = mapped_column(LargeBinary)  # float32
    cases: Mapped[int]


class HotMember(Base):
    """One case in its group."""

    __tablename__ = "hot_members"

    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), primary_key=True, autoincrement=False)
    group_id: Mapped[int] = mapped_column(ForeignKey("hot_groups.id"), index=True)
    likeness: Mapped[float]  # to the group when it joined


class HotTalk(Base):
    """One conversation that became no case, in its group; in none where nothing was asked, or a case came of it after
    all."""

    __tablename__ = "hot_talks"

    id: Mapped[int] = mapped_column(primary_key=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"), unique=True)
    group_id: Mapped[int | None] = mapped_column(ForeignKey("hot_groups.id"), index=True)
    likeness: Mapped[float] = mapped_column(default=0.0)  # to the group when it joined
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)  # when it began
    district: Mapped[str] = mapped_column(String(40))  # that it spoke of; empty: none
    community: Mapped[str] = mapped_column(String(60))
    category: Mapped[str] = mapped_column(String(40))  # of the first level; empty: not known
    channel: Mapped[str] = mapped_column(String(10))


class RiskHit(Base):
    """A case in which words of a risk were found (nlu_data/risk_words.yml)."""

    __tablename__ = "risk_hits"

    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), primary_key=True, autoincrement=False)
    risk: Mapped[str] = mapped_column(String(20), primary_key=True)


class Alert(Base):
    """预警: something of which more comes than chance and season explain (warning.py). Of one thing there is one."""

    __tablename__ = "alerts"
    __table_args__ = (Index("ix_alerts_state", "state", "raised_at"), Index("ix_alerts_last", "last_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))  # burst, rise, topic
    category: Mapped[str] = mapped_column(String(40), default="")  # empty: all
    district: Mapped[str] = mapped_column(String(40), default="")  # empty: the whole city
    risk: Mapped[str] = mapped_column(String(20), default="")  # only cases with words of it
    group_id: Mapped[int | None] = mapped_column(ForeignKey("hot_groups.id"), index=True)  # only cases of this group
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    raised_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)  # until when it gave signs
    hours: Mapped[int]  # of the window that was most unusual
    count: Mapped[int]  # of its cases
    expected: Mapped[float]
    p: Mapped[float]  # how probable so many or more were
    days: Mapped[list[list[Any]]] = mapped_column(JSON)  # day, cases, expected, upper limit
    state: Mapped[str] = mapped_column(String(20), default="open")  # open, acknowledged, closed
    assigned_to_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    reason: Mapped[str] = mapped_column(String(20), default="")  # why it was closed


class AlertEvent(Base):
    """What people did to an alert."""

    __tablename__ = "alert_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("alerts.id"), index=True)
    act: Mapped[str] = mapped_column(String(20))  # acknowledged, assigned, closed
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    to_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))  # to whom it was assigned
    note: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class Mark(Base):
    """How far a count has come. `value` is the last row that is counted for good, `at` when the count was last brought up to
    date, `note` what stands in the way of trusting it just now (a rebuilding, as "3/220"); empty: nothing."""

    __tablename__ = "insight_marks"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger, default=0)
    at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    note: Mapped[str] = mapped_column(String(40), default="")


class SavedView(Base):
    """A view of the analyst's page that somebody has saved; its short link shows it to all who may open the page."""

    __tablename__ = "insight_views"

    slug: Mapped[str] = mapped_column(String(12), primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    query: Mapped[str] = mapped_column(String(500))  # of the page's address
    saved_by_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    saved_at: Mapped[datetime] = mapped_column(UtcDateTime)


@audited("screen", only=("name", "ended_at"))
class WallScreen(Base):
    """A screen in a hall: what its link opens is the wall and nothing else. Of the link only a hash is kept."""

    __tablename__ = "wall_screens"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(60))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    made_by_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Report(Base):
    """A report as it was made, kept: its figures, and the files that were sent."""

    __tablename__ = "insight_reports"
    __table_args__ = (UniqueConstraint("kind", "since", "locale"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))  # daily, weekly, monthly
    since: Mapped[date]
    until: Mapped[date]  # the day after the last one
    locale: Mapped[str] = mapped_column(String(5))
    content: Mapped[dict[str, Any]] = mapped_column(JSON)  # figures and sentences, as reports.content makes them
    docx: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    pdf: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)


@audited("appeal", without=("asked_by_id", "asked_at", "ruled_by_id", "ruled_at"))
class RatingAppeal(Base):
    """申诉: an agency asks for what a citizen said at a return visit to be left out of its assessment; one a visit."""

    __tablename__ = "rating_appeals"

    id: Mapped[int] = mapped_column(primary_key=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visits.id"), unique=True)
    agency_code: Mapped[str] = mapped_column(ForeignKey("agencies.code"), index=True)
    reason: Mapped[str] = mapped_column(Text)
    asked_by_id: Mapped[int] = mapped_column(ForeignKey("staff.id"))
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime)
    state: Mapped[str] = mapped_column(String(10), index=True)  # open, upheld: left out, refused
    ruling: Mapped[str] = mapped_column(Text, default="")
    ruled_by_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    ruled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AssessmentMonth(Base):
    """The ranking of a month as it stood when it was frozen, with the settings that made it. Never changed afterwards."""

    __tablename__ = "assessment_months"

    month: Mapped[date] = mapped_column(primary_key=True)  # its first day
    frozen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    content: Mapped[dict[str, Any]] = mapped_column(JSON)  # assessment.freeze makes it


@audited("report_recipient", masked=("address",))
class Recipient(Base):
    """Who gets a kind of report by e-mail, in which language."""

    __tablename__ = "insight_recipients"
    __table_args__ = (UniqueConstraint("kind", "address"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))  # daily, weekly, monthly
    locale: Mapped[str] = mapped_column(String(5))
    address: Mapped[str] = mapped_column(String(200))
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PublishedMonth(Base):
    """A month of open data as it was published, and stays."""

    __tablename__ = "open_data_months"

    month: Mapped[date] = mapped_column(primary_key=True)  # its first day
    rows: Mapped[list[list[Any]]] = mapped_column(JSON)  # district, category, count or null (open_data.suppressed)
    published_at: Mapped[datetime] = mapped_column(UtcDateTime)
