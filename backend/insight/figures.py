"""The figures of a slice of the record: totals, by one dimension, over time, what is open and overdue, and the cases
behind a figure. They are read from the counts that rollups.py keeps, never from the cases themselves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Session

from backend.cases.models import Case
from backend.clock import CHINA, local
from backend.directory.models import Agency, Category
from backend.insight.models import CaseCell, CaseFact, CaseSum, Mark, TalkCell
from backend.insight.rollups import DIMENSIONS, MEASURES

Step = Literal["day", "week", "month"]
END: Final = date(9999, 1, 1)
"""After the last deadline of any line."""
UNKNOWN: Final = "-"
"""In a slice: the cases of which this is not known."""
PAGE: Final = 50
"""Cases on one page of a drill-down."""


@dataclass(frozen=True)
class Slice:
    """The days from `since` until before `until` (China's time), and what the cases have in common; empty: anything. A
    category or an agency stands for all below it, too."""

    since: date
    until: date
    district: str = ""
    category: str = ""
    agency: str = ""
    channel: str = ""
    urgency: str = ""

    @property
    def days(self) -> int:
        """How long it is."""
        return (self.until - self.since).days

    def before(self) -> "Slice":
        """The same for the period of the same length just before."""
        return replace(self, since=self.since - timedelta(days=self.days), until=self.since)

    def year_before(self) -> "Slice":
        """The same for the same days of the year before."""
        return replace(self, since=a_year_before(self.since), until=a_year_before(self.until))

    def narrowed(self, dimension: str, value: str) -> "Slice":
        """The part of it with this value of a dimension."""
        changed: dict[str, Any] = {dimension: value}
        return replace(self, **changed)


@dataclass(frozen=True)
class Counts:
    """Sums of cells (models.CaseCell), and the rates that follow from them; a rate of nothing is None."""

    filed: int = 0
    send_backs: int = 0
    redos: int = 0
    settled: int = 0
    late: int = 0
    minutes: int = 0
    lapsed: int = 0
    ended: int = 0
    closed: int = 0
    visited: int = 0
    contacted: int = 0
    solved: int = 0
    satisfied: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    @property
    def on_time_rate(self) -> float | None:
        """Of what was settled, the share that was settled before its deadline."""
        return rate(self.settled - self.late, self.settled)

    @property
    def contacted_rate(self) -> float | None:
        """响应率: of the return visits, the share of citizens whom the agency had contacted."""
        return rate(self.contacted, self.visited)

    @property
    def solved_rate(self) -> float | None:
        """解决率: the share of return visits at which the matter was solved."""
        return rate(self.solved, self.visited)

    @property
    def satisfied_rate(self) -> float | None:
        """满意率: the share of return visits at which the citizen was satisfied."""
        return rate(self.satisfied, self.visited)

    @property
    def hours(self) -> float | None:
        """Mean hours from filing to settling, of what was settled."""
        return self.minutes / 60 / self.settled if self.settled else None


@dataclass(frozen=True)
class Stock:
    """What lies there at a moment: cases that have not ended, and those of them whose deadline was missed."""

    open: int
    overdue: int


@dataclass(frozen=True)
class Talks:
    """Sums of cells of conversations (models.TalkCell)."""

    began: int = 0
    turns: int = 0
    answered: int = 0
    solved: int = 0
    filed: int = 0
    danger: int = 0
    queued: int = 0
    taken: int = 0
    prompt: int = 0
    waited: int = 0
    left: int = 0
    called_back: int = 0

    @property
    def service_level(self) -> float | None:
        """Of those who wanted a person and have reached one or given up, the share who had one within 15 s
        (GB/T 33358-2016)."""
        return rate(self.prompt, self.taken + self.left)

    @property
    def mean_wait(self) -> float | None:
        """Seconds, of those who reached a person."""
        return self.waited / self.taken if self.taken else None


def rate(part: int, whole: int) -> float | None:
    """The share, 0 to 1, or None of nothing."""
    return part / whole if whole else None


def totals(session: Session, wanted: Slice) -> Counts:
    """All of the slice."""
    table, same = counted(session, wanted)
    return counts_of(session.execute(select(*sums(table)).where(*same, in_period(table, wanted))).one())


def by(session: Session, wanted: Slice, dimension: str) -> dict[str, Counts]:
    """The slice for each value of a dimension (one of rollups.DIMENSIONS) that occurs, most filed first."""
    table, same = counted(session, wanted, dimension)
    column = table.value if table is CaseSum else getattr(table, dimension)
    query = select(column, *sums(table)).where(*same, in_period(table, wanted)).group_by(column)
    found = {value: counts_of(row) for value, *row in session.execute(query)}
    return dict(sorted(found.items(), key=lambda one: (-one[1].filed, one[0])))


def by_first_level(session: Session, counts: dict[str, Counts]) -> dict[str, Counts]:
    """Counts by category, summed up to the first level."""
    parents = {code: parent or code for code, parent in session.execute(select(Category.code, Category.parent_code))}
    found: dict[str, Counts] = {}
    for code, one in counts.items():
        top = parents.get(code, code)
        found[top] = found.get(top, Counts()) + one
    return dict(sorted(found.items(), key=lambda one: (-one[1].filed, one[0])))


def over_time(session: Session, wanted: Slice, step: Step | None = None) -> list[tuple[date, Counts]]:
    """The slice from step to step (None: as fits its length), each with its first day, without gaps."""
    step = step or fitting_step(wanted)
    table, same = counted(session, wanted)
    within = in_period(table, wanted) if step == "month" else in_days(table, wanted.since, wanted.until)
    query = select(table.at, *sums(table)).where(*same, within).group_by(table.at)
    begin = step_of(wanted.since, step)
    found = {}
    while begin < wanted.until:
        found[begin] = Counts()
        begin = next_step(begin, step)
    for at, *row in session.execute(query):
        found[step_of(at, step)] += counts_of(row)
    return list(found.items())


def fitting_step(wanted: Slice) -> Step:
    """Steps of which the slice has a readable number."""
    return "day" if wanted.days <= 62 else "week" if wanted.days <= 186 else "month"


def stock(session: Session, wanted: Slice, now: datetime) -> Stock:
    """What lies there at the end of the last day of the slice, or now, when that day isn't over. What lies there now is
    found by indexes; what has come and gone since the end of the slice is taken back from it."""
    facts = select(func.count()).select_from(CaseFact).where(*conditions(session, wanted, CaseFact))

    def count(*which: ColumnElement[bool]) -> int:
        return session.scalar(facts.where(*which)) or 0

    lying = count(CaseFact.ended_at.is_(None))
    if wanted.until > today(now):
        return Stock(lying, count(*missed(now)))
    since = totals(session, replace(wanted, since=wanted.until, until=END))
    unsettled = count(CaseFact.settled_at.is_(None), CaseFact.paused.is_(False))
    return Stock(lying - since.filed + since.ended, unsettled - since.lapsed + since.late)


def missed(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """The facts of cases that nobody has replied to by their deadline."""
    return CaseFact.settled_at.is_(None), CaseFact.paused.is_(False), CaseFact.due_at < now


def talks(session: Session, since: datetime, until: datetime, channel: str = "") -> Talks:
    """The conversations that began from the hour `since` until before the hour `until`."""
    found = talks_by_hour(session, since, until, channel).values()
    return Talks(*(sum(getattr(one, field.name) for one in found) for field in fields(Talks)))


def talks_by_hour(session: Session, since: datetime, until: datetime, channel: str = "") -> dict[datetime, Talks]:
    """The same for each hour in which one began."""
    columns = [func.sum(getattr(TalkCell, field.name)) for field in fields(Talks)]
    query = select(TalkCell.hour, *columns).where(TalkCell.hour >= since, TalkCell.hour < until)
    if channel:
        query = query.where(TalkCell.channel == channel)
    rows = session.execute(query.group_by(TalkCell.hour).order_by(TalkCell.hour))
    return {hour: Talks(*map(int, row)) for hour, *row in rows}


def cases_behind(
    session: Session, wanted: Slice, measure: str, now: datetime, page: int = 0
) -> list[tuple[CaseFact, Case]]:
    """The cases that `measure` of the slice counts, PAGE of them, the newest first; a measure of rollups.MEASURES, or
    `open` or `overdue` for what lies there at the end of the slice, or now, as `stock` counts them."""
    moment, more = behind(measure, min(now, midnight(wanted.until)))
    query = select(CaseFact, Case).join(Case, Case.id == CaseFact.case_id).where(*more)
    if measure not in ("open", "overdue"):
        query = query.where(moment >= midnight(wanted.since), moment < midnight(wanted.until))
    query = query.where(*conditions(session, wanted, CaseFact))
    rows = session.execute(query.order_by(moment.desc(), CaseFact.case_id.desc()).offset(page * PAGE).limit(PAGE))
    return [(fact, case) for fact, case in rows]


def behind(measure: str, end: datetime) -> tuple[Any, Sequence[ColumnElement[bool]]]:
    """When a case is counted by this measure, and what else must be so; `open` and `overdue` at the moment `end`. `cells_of`
    in rollups.py counts the same."""
    late = CaseFact.settled_at > CaseFact.due_at
    unsettled = and_(CaseFact.settled_at.is_(None), CaseFact.paused.is_(False))
    still_open = or_(CaseFact.ended_at.is_(None), CaseFact.ended_at >= end)
    still_late = or_(unsettled, and_(late, CaseFact.settled_at >= end))
    settled, said = CaseFact.settled_at.is_not(None), CaseFact.said_at.is_not(None)
    found: dict[str, tuple[Any, Sequence[ColumnElement[bool]]]] = {
        "filed": (CaseFact.filed_at, ()),
        "send_backs": (CaseFact.filed_at, (CaseFact.send_backs > 0,)),
        "redos": (CaseFact.filed_at, (CaseFact.redos > 0,)),
        "settled": (CaseFact.settled_at, (settled,)),
        "minutes": (CaseFact.settled_at, (settled,)),
        "late": (CaseFact.settled_at, (settled, late)),
        "lapsed": (CaseFact.due_at, (or_(unsettled, late),)),
        "ended": (CaseFact.ended_at, (CaseFact.ended_at.is_not(None),)),
        "closed": (CaseFact.ended_at, (CaseFact.outcome == "closed",)),
        "visited": (CaseFact.said_at, (said,)),
        "open": (CaseFact.filed_at, (CaseFact.filed_at < end, still_open)),
        "overdue": (CaseFact.due_at, (CaseFact.due_at < end, still_late)),
    }
    for name in ("contacted", "solved", "satisfied"):
        found[name] = (CaseFact.said_at, (said, getattr(CaseFact, name).is_(True)))
    return found[measure]


def longest_overdue(session: Session, now: datetime, limit: int = 5) -> list[CaseFact]:
    """The cases that nobody has replied to and whose deadline passed longest ago."""
    return list(session.scalars(select(CaseFact).where(*missed(now)).order_by(CaseFact.due_at).limit(limit)))


@dataclass(frozen=True)
class UpToDate:
    """When the counts were last brought up to date (None: never), and how far a rebuilding is ("37%"; empty: none)."""

    at: datetime | None
    rebuilding: str


def up_to_date(session: Session) -> UpToDate:
    """How far the counts can be trusted just now."""
    mark = session.get(Mark, "cases")
    return UpToDate(mark.at, mark.note) if mark else UpToDate(None, "")


# --- parts of queries -----------------------------------------------------------------------------------------------


def counted(session: Session, wanted: Slice, *asked: str) -> tuple[Any, list[ColumnElement[bool]]]:
    """The table to ask for a slice by the dimensions `asked`, and which of its rows: the sums by one dimension where no
    other is spoken of, else the cells."""
    narrowed = {name for name in DIMENSIONS if getattr(wanted, name)}
    spoken_of = sorted(narrowed.union(asked))
    if len(spoken_of) > 1:
        return CaseCell, conditions(session, wanted, CaseCell)
    same: list[ColumnElement[bool]] = [CaseSum.dimension == "".join(spoken_of)]
    for name in narrowed:
        same.append(CaseSum.value.in_(codes_of(session, name, getattr(wanted, name))))
    return CaseSum, same


def sums(table: Any) -> list[Any]:
    """The columns of Counts."""
    return [func.coalesce(func.sum(getattr(table, name)), 0) for name in MEASURES]


def counts_of(row: Iterable[Any]) -> Counts:
    """Counts from the values of `sums`."""
    return Counts(*map(int, row))


def conditions(session: Session, wanted: Slice, table: Any) -> list[ColumnElement[bool]]:
    """What the cells, or facts, of the slice have in common."""
    found = []
    for dimension in DIMENSIONS:
        if value := getattr(wanted, dimension):
            codes = codes_of(session, dimension, value)
            column = getattr(table, dimension)
            found.append(column == codes[0] if len(codes) == 1 else column.in_(codes))
    return found


def codes_of(session: Session, dimension: str, value: str) -> list[str]:
    """What a value of a slice stands for in cells and facts."""
    return [""] if value == UNKNOWN else with_all_below(session, dimension, value)


def with_all_below(session: Session, dimension: str, value: str) -> list[str]:
    """A category or agency with all that is below it; other values as they are."""
    tables: dict[str, type[Category] | type[Agency]] = {"category": Category, "agency": Agency}
    if dimension not in tables:
        return [value]
    table = tables[dimension]
    parents = session.execute(select(table.code, table.parent_code)).all()
    found = [value]
    for code in found:
        found += [child for child, parent in parents if parent == code]
    return found


def in_period(table: Any, wanted: Slice) -> ColumnElement[bool]:
    """The cells, or sums, of the period: those of whole months, and days at its ends."""
    first = wanted.since if wanted.since.day == 1 else month_after(wanted.since)
    last = wanted.until.replace(day=1)
    if first >= last:
        return in_days(table, wanted.since, wanted.until)
    parts = [and_(table.grain == "m", table.at >= first, table.at < last)]
    if wanted.since < first:
        parts.append(in_days(table, wanted.since, first))
    if last < wanted.until:
        parts.append(in_days(table, last, wanted.until))
    return or_(*parts)


def in_days(table: Any, since: date, until: date) -> ColumnElement[bool]:
    """The cells, or sums, of days."""
    return and_(table.grain == "d", table.at >= since, table.at < until)


def step_of(day: date, step: Step) -> date:
    """The first day of the step that a day is in; a week begins on Monday."""
    if step == "month":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday()) if step == "week" else day


def next_step(day: date, step: Step) -> date:
    """The first day of the next step."""
    return month_after(day) if step == "month" else day + timedelta(days=7 if step == "week" else 1)


def month_after(day: date) -> date:
    """The first day of the next month."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def a_year_before(day: date) -> date:
    """The same day of the year before; of 29 February the 28th."""
    try:
        return day.replace(year=day.year - 1)
    except ValueError:
        return day.replace(year=day.year - 1, day=28)


def midnight(day: date) -> datetime:
    """When a day begins in China, in UTC."""
    return datetime.combine(day, time(), CHINA).astimezone(UTC)


def today(now: datetime) -> date:
    """The day that it is in China."""
    return local(now).date()
