"""Counts of cases and conversations, kept in step with the record and made anew from it to the same figures.

What one case adds to the counts is a pure function of what is known of it (`counted`). Each look at a case takes back
what it added before and adds what it adds now, both in one transaction; so a case that is looked at twice changes
nothing, and one that changes its category, agency or deadline moves from one cell to another. Which cases to look at,
the history says.

`python -m backend.insight.rollups` counts everything anew.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import and_, case, delete, func, insert, or_, select, union
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from backend.cases.models import Case, CaseEvent, Visit
from backend.cases.places import gazetteer
from backend.cases.rules import FINAL_STATES
from backend.clock import Clock, local, utc_now
from backend.conversations.models import Conversation, Turn
from backend.database import Database
from backend.directory.models import Agency
from backend.insight.models import CaseCell, CaseFact, Mark, TalkCell
from backend.settings import load_settings

MEASURES: Final = (
    "filed", "send_backs", "redos", "settled", "late", "minutes", "lapsed", "ended", "closed", "visited", "contacted",
    "solved", "satisfied",
)  # fmt: skip
"""What a cell of cases counts (models.CaseCell)."""
DIMENSIONS: Final = ("district", "category", "agency", "channel", "urgency")
CELL: Final = ("grain", "at", *DIMENSIONS)

SETTLES_IN: Final = timedelta(minutes=10)
"""Rows get their ids before they are committed, so a later id may be seen before an earlier one. What is younger than
this is looked at again each time: no transaction takes as long."""
AT_ONCE: Final = 20_000
"""Events, or in a rebuilding cases, that one transaction looks at."""
PROMPT: Final = timedelta(seconds=15)
"""GB/T 33358-2016: a caller has a person within 15 seconds."""
ANSWERING: Final = ("reply", "answer")

Fact = dict[str, Any]
"""The columns of a CaseFact."""
NOTHING_SAID: Final[Fact] = {
    "said_at": None, "visit_id": None, "rated": "", "contacted": False, "solved": False, "satisfied": False, "grade": None,
}  # fmt: skip
"""What a fact says of return visits before the first one."""
Key = tuple[Any, ...]
"""The values of CELL."""


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
    """Throw all counts away and make them anew from the cases and conversations; `tell` hears how far it is. Each batch is a
    transaction of its own, so nobody waits for long; until the end pages say that the counts are not whole."""
    with database.write() as session:
        mark = locked_mark(session, "cases")
        settled = select(func.max(CaseEvent.id)).where(CaseEvent.acted_at <= clock() - SETTLES_IN)
        mark.note, mark.value = "0%", session.scalar(settled) or 0
        last = session.scalar(select(func.max(Case.id))) or 0
        for table in (CaseFact, CaseCell, TalkCell):
            session.execute(delete(table))
        session.execute(delete(Mark).where(Mark.name == "talks"))
    done = 0
    while done < last:
        with database.write() as session:
            mark = locked_mark(session, "cases")
            batch = select(Case.id).where(Case.id > done, Case.id <= last).order_by(Case.id).limit(AT_ONCE)
            ids = list(session.scalars(batch))
            look_at(session, ids)
            done = ids[-1] if len(ids) == AT_ONCE else last
            mark.note = f"{done * 100 // last}%"
        tell(f"{done}/{last}")
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
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    row = dialect.insert(table)
    if not added:
        return row.on_conflict_do_nothing(index_elements=list(key))
    sums = {name: table.c[name] + row.excluded[name] for name in added}
    return row.on_conflict_do_update(index_elements=list(key), set_=sums)


# --- cases ----------------------------------------------------------------------------------------------------------


def look_at(session: Session, ids: Sequence[int]) -> None:
    """Count these cases as they are now in place of what was counted of them before."""
    if not ids:
        return
    before = facts_counted(session, ids)
    now = facts_of(session, ids)
    changed = [fact for case_id, fact in now.items() if before.get(case_id) != fact]
    cells: Counter[tuple[Key, str]] = Counter()
    for fact in changed:
        cells.update(dict(counted(fact)))
        if old := before.get(fact["case_id"]):
            cells.subtract(dict(counted(old)))
    gone = [fact["case_id"] for fact in changed if fact["case_id"] in before]
    if gone:
        session.execute(delete(CaseFact).where(CaseFact.case_id.in_(gone)))
    if changed:
        session.execute(insert(CaseFact), changed)
    rows: dict[Key, dict[str, Any]] = {}
    for (key, measure), number in cells.items():
        if number:
            row = rows.setdefault(key, dict(zip(CELL, key, strict=True)) | dict.fromkeys(MEASURES, 0))
            row[measure] = number
    if rows:
        in_order = [rows[key] for key in sorted(rows)]  # so that two writers can't lock each other out
        session.execute(upsert(session, CaseCell.__table__, MEASURES, CELL), in_order)


def counted(fact: Fact) -> Iterator[tuple[tuple[Key, str], int]]:
    """What one case adds to which measure of which cell. Pure.

    A deadline that was not kept counts as `lapsed` when it passed and, once the case is settled, as `late`. So what
    is overdue at any moment is all that lapsed before it without all that was settled late before it; and a deadline
    in the future, which nobody has missed yet, is of no account until then.
    """
    settled, due = fact["settled_at"], fact["due_at"]
    late = settled is not None and settled > due
    days: list[tuple[datetime | None, dict[str, int]]] = [
        (fact["filed_at"], {"filed": 1, "send_backs": fact["send_backs"], "redos": fact["redos"]}),
        (due if late or (settled is None and not fact["paused"]) else None, {"lapsed": 1}),
        (fact["ended_at"], {"ended": 1, "closed": int(fact["outcome"] == "closed")}),
        (fact["said_at"], {"visited": 1} | {name: int(fact[name]) for name in ("contacted", "solved", "satisfied")}),
    ]
    if settled is not None:
        minutes = int((settled - fact["filed_at"]) / timedelta(minutes=1))
        days.append((settled, {"settled": 1, "late": int(late), "minutes": minutes}))
    dimensions = tuple(fact[name] for name in DIMENSIONS)
    for moment, measures in days:
        if moment is None:
            continue
        day = local(moment).date()
        for key in (("d", day, *dimensions), ("m", day.replace(day=1), *dimensions)):
            for measure, number in measures.items():
                if number:
                    yield (key, measure), number


def facts_counted(session: Session, ids: Sequence[int]) -> dict[int, Fact]:
    """What was counted of these cases."""
    table = CaseFact.__table__
    rows = session.execute(select(*table.columns).where(in_range(table.c.case_id, ids)))
    return {row["case_id"]: dict(row) for row in rows.mappings()}


def facts_of(session: Session, ids: Sequence[int]) -> dict[int, Fact]:
    """What is to be counted of these cases, from the record."""
    columns = (
        Case.id, Case.state, Case.what, Case.place, Case.category_code, Case.agency_code, Case.channel, Case.urgency,
        Case.filed_at, Case.due_at, Case.step_since, Case.send_backs, Case.redos, Agency.district,
    )  # fmt: skip
    replies = (
        select(CaseEvent.case_id, func.max(CaseEvent.acted_at))
        .where(in_range(CaseEvent.case_id, ids), CaseEvent.act.in_(ANSWERING))
        .group_by(CaseEvent.case_id)
    )
    replied = {case_id: acted_at for case_id, acted_at in session.execute(replies)}
    said = (
        Visit.case_id, Visit.said_at, Visit.id.label("visit_id"), func.coalesce(Visit.agency_code, "").label("rated"),
        Visit.contacted, Visit.solved, Visit.satisfied, Visit.grade,
    )  # fmt: skip
    rows = session.execute(select(*said).where(in_range(Visit.case_id, ids)).order_by(Visit.id))
    visits = {row["case_id"]: dict(row) for row in rows.mappings()}
    cases = session.execute(
        select(*columns).join(Agency, Agency.code == Case.agency_code).where(in_range(Case.id, ids))
    )
    found = {}
    for one in cases:
        ended = one.step_since if one.state in FINAL_STATES else None
        answered = one.state in ("replied", "visited", "closed")
        found[one.id] = visits.get(one.id, NOTHING_SAID) | {
            "case_id": one.id,
            "district": district(one.place, one.what, one.district),
            "category": one.category_code,
            "agency": one.agency_code,
            "channel": one.channel,
            "urgency": one.urgency,
            "filed_at": one.filed_at,
            "due_at": one.due_at,
            "paused": one.state == "paused",
            "settled_at": replied.get(one.id, one.step_since) if answered else ended,
            "ended_at": ended,
            "outcome": one.state if ended else "",
            "send_backs": one.send_backs,
            "redos": one.redos,
        }
    return found


def in_range(column: Any, ids: Sequence[int]) -> Any:
    """A condition for ids in ascending order; a range where they have no gaps, which a database finds faster than a list."""
    if ids[-1] - ids[0] == len(ids) - 1:
        return column.between(ids[0], ids[-1])
    return column.in_(ids)


def district(place: str, what: str, of_agency: str) -> str:
    """The district of a case: of its place, else of its words, else of its agency; empty for none. Chinese name."""
    return district_named(place) or district_named(what) or ("" if of_agency == "全市" else of_agency)


@lru_cache(maxsize=100_000)
def district_named(text: str) -> str:
    """The district that a text names or in which a place that it names lies."""
    return gazetteer().find(text).district if text else ""


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
            for hour in hours[begin : begin + 24]:
                session.execute(delete(TalkCell).where(TalkCell.hour == hour))
                if rows := list(talks_of(session, hour)):
                    session.execute(insert(TalkCell), rows)
            if begin + 24 > len(hours):
                mark.at = now


def hours_touched(session: Session, since: datetime | None) -> list[datetime]:
    """The hours in which conversations began to which something has happened since then (None: all)."""
    begun = select(Conversation.started_at)
    if since is None:
        found = session.scalars(begun)
    else:
        spoken = select(Turn.conversation_id).where(Turn.act.is_not(None), Turn.said_at >= since)
        moved = or_(Conversation.waiting_since >= since, Conversation.taken_at >= since)
        parts = (  # each of them found by an index
            Conversation.started_at >= since,
            Conversation.closed_at >= since,
            and_(Conversation.state.in_(("bot", "waiting", "operator")), moved),
            Conversation.id.in_(spoken),
        )
        found = session.scalars(union(*(begun.where(part) for part in parts)))
    return sorted({moment.replace(minute=0, second=0, microsecond=0) for moment in found})


def talks_of(session: Session, hour: datetime) -> Iterable[dict[str, Any]]:
    """The counts of one hour's conversations, a row for each channel and language."""
    within = Conversation.started_at >= hour, Conversation.started_at < hour + timedelta(hours=1)

    def says(*acts: str) -> Any:
        return func.max(case((Turn.act.in_(acts), 1), else_=0))

    turns = (
        select(
            Turn.conversation_id,
            func.count().label("turns"),
            says("answer").label("answered"),
            says("solved").label("solved"),
            says("filed").label("filed"),
            says("danger").label("danger"),
        )
        .where(Turn.conversation_id.in_(select(Conversation.id).where(*within)))
        .group_by(Turn.conversation_id)
    )
    said = {row.conversation_id: row for row in session.execute(turns)}
    cells: dict[tuple[str, str], Counter[str]] = {}
    columns = (
        Conversation.id, Conversation.channel, Conversation.language, Conversation.waiting_since, Conversation.taken_at,
        Conversation.closed_at, Conversation.callback_at,
    )  # fmt: skip
    for one in session.execute(select(*columns).where(*within)):
        cell = cells.setdefault((one.channel, one.language), Counter())
        cell["began"] += 1
        if one.id in said:
            for name in ("turns", "answered", "solved", "filed", "danger"):
                cell[name] += getattr(said[one.id], name)
        cell["called_back"] += one.callback_at is not None
        if one.waiting_since is None:
            continue
        cell["queued"] += 1
        if one.taken_at is not None:
            waited = max(timedelta(), one.taken_at - one.waiting_since)
            cell["taken"] += 1
            cell["prompt"] += waited <= PROMPT
            cell["waited"] += int(waited.total_seconds())
        else:
            cell["left"] += one.closed_at is not None
    names = [column.name for column in TalkCell.__table__.columns][3:]
    for (channel, language), cell in sorted(cells.items()):
        yield {"hour": hour, "channel": channel, "language": language} | {name: cell[name] for name in names}


def main() -> None:
    """Count everything anew, with progress."""
    database = Database(load_settings().database_url)
    rebuild(database, utc_now, lambda told: print(f"\r{told}", end="", file=sys.stderr, flush=True))
    print(file=sys.stderr)


if __name__ == "__main__":
    main()
