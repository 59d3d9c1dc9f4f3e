"""Counts of cases and conversations, kept in step with the record and made anew from it to the same figures.

What is counted of a case is its row of facts (`facts_of`), and what facts add to the counts is one query (`cells_of`) and
its sums (`sums_of`): the database counts, and never this process row by row. Each look at cases takes back what they added
before and adds what they add now, both in one transaction; so a case that is looked at twice changes nothing, and one that
changes its category, agency or deadline moves from one cell to another. Which cases to look at, the history says.

`python -m backend.insight.rollups` counts everything anew.
"""

import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    Integer,
    Select,
    String,
    and_,
    case,
    cast,
    delete,
    except_,
    extract,
    false,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    text,
    union,
    union_all,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from backend.cases.models import Case, CaseEvent, Visit
from backend.cases.rules import FINAL_STATES
from backend.clock import CHINA, Clock, local, utc_now
from backend.conversations.models import Conversation, Turn
from backend.database import Database, UtcDateTime
from backend.directory.models import Agency
from backend.insight.models import CaseCell, CaseFact, CaseSum, Mark, TalkCell
from backend.settings import load_settings

MEASURES: Final = (
    "filed", "send_backs", "redos", "settled", "late", "minutes", "lapsed", "ended", "closed", "visited", "contacted",
    "solved", "satisfied",
)  # fmt: skip
"""What a cell of cases counts (models.CaseCell)."""
DIMENSIONS: Final = ("district", "category", "agency", "channel", "urgency")
CELL: Final = ("grain", "at", *DIMENSIONS)
SUM: Final = ("dimension", "grain", "at", "value")

SETTLES_IN: Final = timedelta(minutes=10)
"""Rows get their ids before they are committed, so a later id may be seen before an earlier one. What is younger than
this is looked at again each time: no transaction takes as long."""
AT_ONCE: Final = 5_000
"""Events that one transaction looks at."""
REBUILT_AT_ONCE: Final = 50_000
"""Cases of which one transaction of a rebuilding makes the facts."""
PROMPT: Final = timedelta(seconds=15)
"""GB/T 33358-2016: a caller has a person within 15 seconds."""
ANSWERING: Final = ("reply", "answer")
ANSWERED: Final = ("replied", "visited", "closed")
"""States in which the last reply holds."""

WHOLE_CITY: Final = "全市"
"""What an agency of the whole city has for its district."""
ONE, NONE = literal_column("1", Integer), literal_column("0", Integer)

Grain = Literal["d", "m"]
GRAINS: Final[tuple[Grain, ...]] = ("d", "m")
Conditions = Sequence[ColumnElement[bool]]
Which = Callable[[Any], ColumnElement[bool]]
"""A condition for a column."""


def keep_in_step(database: Database, clock: Clock) -> None:
    """Bring all counts up to date: what the clock does every minute."""
    while count_cases(database, clock()):
        pass
    count_talks(database, clock())


def count_cases(database: Database, now: datetime) -> bool:
    """Look at the cases to which something has happened, AT_ONCE events at most; whether there is more to do."""
    with database.write() as session:
        mark = locked_mark(session, "cases")
        if mark.note:  # a rebuilding is under way, and looks at every case itself
            return False
        after = mark.value
        newer = select(CaseEvent.id, CaseEvent.case_id, CaseEvent.acted_at).where(CaseEvent.id > after)
        events = session.execute(newer.order_by(CaseEvent.id).limit(AT_ONCE)).all()
        look_at(session, sorted({case_id for _, case_id, _ in events}))
        # Never past what is young, even where there is more: a rush of events is counted to the end once they have settled.
        settled = [number for number, _, acted_at in events if acted_at <= now - SETTLES_IN]
        mark.value, mark.at = max(settled, default=after), now
        return len(events) == AT_ONCE and mark.value > after


def rebuild(database: Database, clock: Clock, tell: Callable[[str], object] = str) -> None:
    """Throw all counts away and make them anew from the cases and conversations; `tell` hears how far it is. First the facts
    are made, then the cells, month by month. Each step is a transaction of its own, so nobody waits for long; until the
    end pages say that the counts are not whole."""
    with database.write() as session:
        mark = locked_mark(session, "cases")
        settled = select(func.max(CaseEvent.id)).where(CaseEvent.acted_at <= clock() - SETTLES_IN)
        mark.note, mark.value = "0%", session.scalar(settled) or 0
        last = session.scalar(select(func.max(Case.id))) or 0
        for table in (CaseFact, CaseCell, CaseSum, TalkCell):
            session.execute(delete(table))
        session.execute(delete(Mark).where(Mark.name == "talks"))
    for done in range(0, last, REBUILT_AT_ONCE):
        until = min(done + REBUILT_AT_ONCE, last)
        with database.write() as session:
            make_facts(session, ids_between(done + 1, until))
            locked_mark(session, "cases").note = f"{until * 50 // last}%"
        tell(f"{until}/{last}")
    with database.read() as session:
        months = months_counted(session)
    for number, (begin, end) in enumerate(months, 1):
        with database.write() as session:
            if is_postgresql(session):  # its 4 MB would have a month of a big city sorted on disk, in pieces
                session.execute(text("SET LOCAL work_mem = '256MB'"))
            add_cells(session, moments_between(begin, end))
            locked_mark(session, "cases").note = f"{50 + number * 50 // len(months)}%"
        tell(f"{local(begin):%Y-%m}")
    with database.write() as session:
        mark = locked_mark(session, "cases")
        # The cases that were changed meanwhile are looked at again: the mark stands where it stood at the beginning.
        mark.note, mark.at = "", clock()
    keep_in_step(database, clock)


def locked_mark(session: Session, name: str) -> Mark:
    """The mark of this name, kept from others until this transaction ends; made at first use."""
    session.execute(upsert(session, Mark.__table__, (), ("name",)), [{"name": name, "value": 0, "note": ""}])
    return session.scalars(select(Mark).where(Mark.name == name).with_for_update()).one()


def upsert(session: Session, table: Any, added: Sequence[str], key: Sequence[str]) -> Any:
    """An INSERT that adds the columns `added` to those of the row that is there already; without any it leaves that as it
    is."""
    row = (postgresql if is_postgresql(session) else sqlite).insert(table)
    if not added:
        return row.on_conflict_do_nothing(index_elements=list(key))
    sums = {name: table.c[name] + row.excluded[name] for name in added}
    return row.on_conflict_do_update(index_elements=list(key), set_=sums)


# --- cases ----------------------------------------------------------------------------------------------------------


def look_at(session: Session, ids: Sequence[int]) -> None:
    """Count these cases as they are now in place of what was counted of them before."""
    counted = select(*CaseFact.__table__.columns).where(CaseFact.case_id.in_(ids))
    news = except_(facts_of(ids_among(ids)), counted).subquery()
    changed = list(session.scalars(select(news.c.case_id)))
    if not changed:
        return
    these = ids_among(changed)
    add_cells(session, lambda _: these(CaseFact.case_id), taken_back=True)
    session.execute(delete(CaseFact).where(these(CaseFact.case_id)))
    make_facts(session, these)
    add_cells(session, lambda _: these(CaseFact.case_id))


def make_facts(session: Session, which: Which) -> None:
    """Put the facts of cases down that have none."""
    session.execute(insert(CaseFact).from_select(list(CaseFact.__table__.columns.keys()), facts_of(which)))


def facts_of(which: Which) -> Select[Any]:
    """What is to be counted of cases, from the record, in the order of CaseFact's columns; `which`: a condition for the
    column of their ids."""
    replies = select(CaseEvent.case_id, func.max(CaseEvent.acted_at).label("at"))
    replies = replies.where(which(CaseEvent.case_id), CaseEvent.act.in_(ANSWERING)).group_by(CaseEvent.case_id)
    reply = replies.subquery()
    visits = select(Visit.case_id, func.max(Visit.id).label("id")).where(which(Visit.case_id)).group_by(Visit.case_id)
    last_visit = visits.subquery()
    ended = Case.state.in_(FINAL_STATES)
    columns = {
        "case_id": Case.id,
        "district": case(
            (Case.district != "", Case.district), (Agency.district == WHOLE_CITY, ""), else_=Agency.district
        ),
        "category": Case.category_code,
        "agency": Case.agency_code,
        "channel": Case.channel,
        "urgency": Case.urgency,
        "filed_at": Case.filed_at,
        "due_at": Case.due_at,
        "paused": Case.state == "paused",
        "settled_at": case(
            (Case.state.in_(ANSWERED), func.coalesce(reply.c.at, Case.step_since)), (ended, Case.step_since)
        ),
        "ended_at": case((ended, Case.step_since)),
        "outcome": case((ended, Case.state), else_=""),
        "said_at": Visit.said_at,
        "visit_id": Visit.id,
        "rated": func.coalesce(Visit.agency_code, ""),
        "contacted": func.coalesce(Visit.contacted, false()),
        "solved": func.coalesce(Visit.solved, false()),
        "satisfied": func.coalesce(Visit.satisfied, false()),
        "grade": Visit.grade,
        "send_backs": Case.send_backs,
        "redos": Case.redos,
    }
    query: Any = select(*(columns[one.name].label(one.name) for one in CaseFact.__table__.columns))
    query = query.select_from(Case).join(Agency, Agency.code == Case.agency_code)
    query = query.outerjoin(reply, reply.c.case_id == Case.id)
    query = query.outerjoin(last_visit, last_visit.c.case_id == Case.id)
    query = query.outerjoin(Visit, and_(Visit.id == last_visit.c.id, which(Visit.case_id)))
    found: Select[Any] = query.where(which(Case.id))
    return found


def add_cells(session: Session, which: Which, taken_back: bool = False) -> None:
    """Add what facts count to the cells of their days and months and to the sums of those, or take it back."""
    for grain in GRAINS:
        cells = cells_of(session, which, grain, taken_back)
        for table, key, query in ((CaseCell, CELL, cells), (CaseSum, SUM, sums_of(cells))):
            into = upsert(session, table.__table__, MEASURES, key)
            session.execute(into.from_select([*key, *MEASURES], query))


def sums_of(cells: Select[Any]) -> Select[Any]:
    """Cells summed up for all cases and by each dimension alone."""
    each = cells.cte("cells")
    counted = [each.c[name] for name in MEASURES]
    rows = [
        select(literal(name, String(10)).label("dimension"), each.c.grain, each.c.at, value.label("value"), *counted)
        for name, value in [("", literal("", String(40))), *((name, each.c[name]) for name in DIMENSIONS)]
    ]
    every = union_all(*rows).subquery()
    key = [every.c[name] for name in SUM]
    return select(*key, *(func.sum(every.c[name]) for name in MEASURES)).group_by(*key)


def cells_of(session: Session, which: Which, grain: Grain, taken_back: bool) -> Select[Any]:
    """What facts count, by cell. `which`: a condition for the column of the moment at which something is counted.

    A deadline that was not kept counts as `lapsed` when it passed and, once the case is settled, as `late`. So what
    is overdue at any moment is all that lapsed before it without all that was settled late before it; and a deadline
    in the future, which nobody has missed yet, is of no account until then.
    """
    fact = CaseFact
    late = fact.settled_at > fact.due_at
    minutes = microseconds(session, fact.filed_at, fact.settled_at) // 60_000_000
    said = {name: one_if(getattr(fact, name)) for name in ("contacted", "solved", "satisfied")}
    parts: list[tuple[Any, Conditions, dict[str, Any]]] = [
        (fact.filed_at, (), {"filed": ONE, "send_backs": fact.send_backs, "redos": fact.redos}),
        (fact.due_at, (or_(late, and_(fact.settled_at.is_(None), fact.paused.is_(False))),), {"lapsed": ONE}),
        (fact.ended_at, (fact.ended_at.is_not(None),), {"ended": ONE, "closed": one_if(fact.outcome == "closed")}),
        (fact.said_at, (fact.said_at.is_not(None),), {"visited": ONE} | said),
        (
            fact.settled_at,
            (fact.settled_at.is_not(None),),
            {"settled": ONE, "late": one_if(late), "minutes": minutes},
        ),
    ]
    rows = []
    for moment, must, measures in parts:
        at = day_in_china(session, moment, grain).label("at")
        dimensions = [getattr(fact, name) for name in DIMENSIONS]
        counted = [measures.get(name, NONE).label(name) for name in MEASURES]
        rows.append(select(at, *dimensions, *counted).where(*must, which(moment)))
    each = union_all(*rows).subquery()
    sums = [(name, func.sum(each.c[name])) for name in MEASURES]
    key = [each.c[name] for name in CELL[1:]]
    counts = [(-one if taken_back else one).label(name) for name, one in sums]
    return select(literal(grain, String(1)).label("grain"), *key, *counts).group_by(*key)


def ids_among(ids: Sequence[int]) -> Which:
    """For a column: it is one of these."""
    return lambda column: column.in_(ids)


def ids_between(first: int, last: int) -> Which:
    """For a column: it is from `first` to `last`."""
    return lambda column: column.between(first, last)


def moments_between(begin: datetime, end: datetime) -> Which:
    """For a column: it is from `begin` until before `end`."""
    return lambda column: and_(column >= begin, column < end)


def months_counted(session: Session) -> list[tuple[datetime, datetime]]:
    """The months of China in which facts count anything, each from its beginning to its end."""
    moments = (CaseFact.filed_at, CaseFact.due_at, CaseFact.ended_at, CaseFact.said_at, CaseFact.settled_at)
    ends = [one(moment) for moment in moments for one in (func.min, func.max)]
    known = [moment for moment in session.execute(select(*ends)).one() if moment is not None]
    found: list[tuple[datetime, datetime]] = []
    begin = local(min(known)).replace(day=1, hour=0, minute=0, second=0, microsecond=0) if known else None
    while begin is not None and begin <= max(known):
        end = (begin + timedelta(days=32)).replace(day=1)
        found.append((begin, end))
        begin = end
    return found


# --- conversations --------------------------------------------------------------------------------------------------


def count_talks(database: Database, now: datetime) -> None:
    """Count the hours anew in which conversations began that something has happened to since the last time, a day's hours
    in a transaction: the first time they may be those of years."""
    with database.read() as session:
        mark = session.get(Mark, "talks")
        hours = hours_touched(session, mark.at - SETTLES_IN if mark and mark.at else None)
    for begin in range(0, len(hours) + 1, 24):
        with database.write() as session:
            mark = locked_mark(session, "talks")
            if some := hours[begin : begin + 24]:
                session.execute(delete(TalkCell).where(TalkCell.hour.in_(some)))
                names = list(TalkCell.__table__.columns.keys())
                session.execute(insert(TalkCell).from_select(names, talks_of(session, some)))
            if begin + 24 > len(hours):
                mark.at = now


def hours_touched(session: Session, since: datetime | None) -> list[datetime]:
    """The hours in which conversations began to which something has happened since then (None: all)."""
    begun = select(hour_of(session, Conversation.started_at).label("hour"))
    if since is None:
        return sorted(session.scalars(begun.distinct()))
    spoken = select(Turn.conversation_id).where(Turn.act.is_not(None), Turn.said_at >= since)
    moved = or_(Conversation.waiting_since >= since, Conversation.taken_at >= since)
    parts = (  # each of them found by an index
        Conversation.started_at >= since,
        Conversation.closed_at >= since,
        and_(Conversation.state.in_(("bot", "waiting", "operator")), moved),
        Conversation.id.in_(spoken),
    )
    hours = union(*(begun.where(part) for part in parts)).subquery()
    return sorted(session.scalars(select(hours.c.hour)))


def talks_of(session: Session, hours: Sequence[datetime]) -> Select[Any]:
    """The counts of the conversations of some hours, in ascending order: a row for each hour, channel and language, in the
    order of TalkCell's columns."""
    hour = hour_of(session, Conversation.started_at)
    within = (
        Conversation.started_at >= hours[0],
        Conversation.started_at < hours[-1] + timedelta(hours=1),
        hour.in_(hours),
    )

    def says(act: str) -> Any:
        return func.max(one_if(Turn.act == act))

    acts = {"answered": says("answer"), "solved": says("solved"), "filed": says("filed"), "danger": says("danger")}
    turns = select(Turn.conversation_id, func.count().label("turns"), *(one.label(name) for name, one in acts.items()))
    turns = turns.where(Turn.conversation_id.in_(select(Conversation.id).where(*within)))
    said = turns.group_by(Turn.conversation_id).subquery()
    queued, taken = Conversation.waiting_since.is_not(None), Conversation.taken_at.is_not(None)
    wait = microseconds(session, Conversation.waiting_since, Conversation.taken_at)
    counted: dict[str, Any] = {name: func.coalesce(said.c[name], 0) for name in ("turns", *acts)} | {
        "began": ONE,
        "queued": one_if(queued),
        "taken": one_if(and_(queued, taken)),
        "prompt": one_if(and_(queued, taken, wait <= PROMPT // timedelta(microseconds=1))),
        "waited": case((and_(queued, taken, wait > 0), wait // 1_000_000), else_=0),
        "left": one_if(and_(queued, ~taken, Conversation.closed_at.is_not(None))),
        "called_back": one_if(Conversation.callback_at.is_not(None)),
    }
    key = [hour.label("hour"), Conversation.channel, Conversation.language]
    sums = [func.sum(counted[name]).label(name) for name in list(TalkCell.__table__.columns.keys())[len(key) :]]
    query = select(*key, *sums).outerjoin(said, said.c.conversation_id == Conversation.id).where(*within)
    return query.group_by(*key)


# --- what the databases say differently -----------------------------------------------------------------------------


def is_postgresql(session: Session) -> bool:
    """Whether the record is on PostgreSQL; else it is on SQLite."""
    return session.get_bind().dialect.name == "postgresql"


def day_in_china(session: Session, moment: Any, grain: Grain) -> ColumnElement[Any]:
    """The day that it is in China at a moment, or the first day of its month. China has had no summer time since 1991."""
    if is_postgresql(session):
        there = func.timezone(CHINA.key, moment)
        return cast(there if grain == "d" else func.date_trunc("month", there), Date)
    return func.date(moment, "+8 hours", *(() if grain == "d" else ("start of month",)), type_=Date)


def hour_of(session: Session, moment: Any) -> ColumnElement[Any]:
    """The beginning of the hour in which a moment is."""
    if is_postgresql(session):
        return func.date_trunc(literal_column("'hour'"), moment, type_=UtcDateTime)
    return func.strftime("%Y-%m-%d %H:00:00.000000", moment, type_=UtcDateTime)


def microseconds(session: Session, since: Any, until: Any) -> ColumnElement[int]:
    """The time between two moments."""

    def of(moment: Any) -> ColumnElement[int]:
        whole = cast(func.strftime("%s", moment), BigInteger)
        return whole * 1_000_000 + cast(func.substr(moment, 21), BigInteger)

    if is_postgresql(session):
        return cast(extract("epoch", until - since) * 1_000_000, BigInteger)
    return of(until) - of(since)


def one_if(condition: Any) -> ColumnElement[int]:
    """1 where this is so, else 0."""
    return case((condition, ONE), else_=NONE)


def main() -> None:
    """Count everything anew, with progress."""
    database = Database(load_settings().database_url)
    rebuild(database, utc_now, lambda told: print(f"\r{told}", end="", file=sys.stderr, flush=True))
    print(file=sys.stderr)


if __name__ == "__main__":
    main()
