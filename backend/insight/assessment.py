"""Assessment over the record: the ratings of a period, an agency's appeals and what became of them, the ranking of a month
as it stood when it was frozen, and what has changed since. The rules are in assessment_rules.py."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Integer, and_, cast, func, or_, select, text
from sqlalchemy import case as by_value
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.cases.models import Case, CaseEvent, Visit
from backend.clock import Clock, local
from backend.database import Database
from backend.directory.models import Staff
from backend.errors import Refused
from backend.insight import figures
from backend.insight.assessment_rules import (
    OUT_OF_REMIT,
    Rating,
    Settings,
    Standing,
    city_settings,
    left_out,
    may_appeal,
    month_to_freeze,
    ranked,
    standing,
    standings,
)
from backend.insight.figures import Counts, Slice, midnight
from backend.insight.models import AssessmentMonth, CaseFact, RatingAppeal

DIMENSIONS: Final = ("agency", "district", "category")
PAGE: Final = 50
NOTE_LIMIT: Final = 1000
ENDS: Final = ("", "withdrawn", *sorted(OUT_OF_REMIT))
"""The final states for which a rating is left out; empty: any other."""
ANSWERS: Final = (CaseFact.rated == "", CaseFact.contacted, CaseFact.solved, CaseFact.satisfied)
GRADES: Final = 8
"""More than there are grades."""
SAID: Final = (
    by_value({end: place for place, end in enumerate(ENDS)}, value=CaseFact.outcome, else_=0)
    * (2 ** len(ANSWERS) * GRADES)
    + sum(cast(answer, Integer) * (2**place * GRADES) for place, answer in enumerate(ANSWERS))
    + func.coalesce(CaseFact.grade, 0)
)
"""All that counts of a rating as one number: SQLite sorts what it groups, and two columns take half the time of seven."""


@dataclass(frozen=True)
class Rated:
    """One rating that somebody looks at: the visit, its case, the appeal if there is one, and why it doesn't count."""

    visit: Visit
    case: Case
    appeal: RatingAppeal | None
    left_out: str
    may_appeal: bool


@dataclass(frozen=True)
class Correction:
    """An agency whose frozen standing no longer holds, for appeals that were upheld afterwards."""

    agency: str
    appeals: int
    before: Mapping[str, Any]
    after: Standing


def ratings(session: Session, since: date, until: date, by: str, agency: str = "") -> list[Rating]:
    """What was said at the last return visits of cases in the days from `since` until before `until`, with the agency,
    district or category (`by`) that they are of; of all agencies or one. Alike ones are counted together by the database,
    from an index that has all of it; the few against which an appeal was upheld come one by one, and off that count."""
    column = {"agency": CaseFact.rated, "district": CaseFact.district, "category": CaseFact.category}[by]
    rated = select(column, SAID.label("said")).where(*last_said(since, until, agency))
    upheld = rated.join(RatingAppeal, RatingAppeal.visit_id == CaseFact.visit_id).where(RatingAppeal.state == "upheld")
    left_out = Counter((value, said) for value, said in session.execute(upheld))
    found = [rating_of(value, said, True, count) for (value, said), count in left_out.items()]
    for value, said, count in session.execute(rated.add_columns(func.count()).group_by(column, text("said"))):
        if left := count - left_out[value, said]:
            found.append(rating_of(value, said, False, left))
    return found


def rating_of(value: str, said: int, appeal_upheld: bool, count: int) -> Rating:
    """So many ratings of one agency, district or category, in which the same was said (SAID)."""
    said, grade = divmod(said, GRADES)
    end, answers = divmod(said, 2 ** len(ANSWERS))
    by_line, contacted, solved, satisfied = (bool(answers >> place & 1) for place in range(len(ANSWERS)))
    return Rating(value, by_line, ENDS[end], appeal_upheld, contacted, solved, satisfied, grade or None, count)


def last_said(since: date, until: date, agency: str) -> list[ColumnElement[bool]]:
    """The cases whose last visit was in these days: one that was redone is rated once, by what was said in the end."""
    found = [CaseFact.said_at >= midnight(since), CaseFact.said_at < midnight(until)]
    return [*found, CaseFact.rated == agency] if agency else found


def assess(session: Session, since: date, until: date, by: str, agency: str = "") -> list[Standing]:
    """The standings by agency, district or category, with what else the period shows: replies in time and late, redoings,
    cases that ended without the citizen's word, and for agencies what they sent back."""
    rated = standings(ratings(session, since, until, by, agency), city_settings())
    other = figures.by(session, Slice(since, until, agency=agency), by)
    silent = unreached(session, since, until, by, agency)
    returned = sent_back(session, since, until, agency) if by == "agency" else {}
    values = set(rated) | {value for value, one in other.items() if one.settled} | set(silent) | set(returned)
    if by == "agency":
        values = values & {agency} if agency else values - {""}
    return [
        replace(
            one := rated.get(value, Standing(value, Counts())),
            counts=with_deadlines(one.counts, other.get(value, Counts())),
            unreached=silent.get(value, 0),
            send_backs=returned.get(value, 0),
        )
        for value in sorted(values)
    ]


def with_deadlines(rated: Counts, other: Counts) -> Counts:
    """The ratings with what the figures count of replies and redoings."""
    return replace(rated, settled=other.settled, late=other.late, minutes=other.minutes, redos=other.redos)


def unreached(session: Session, since: date, until: date, by: str, agency: str) -> dict[str, int]:
    """Cases that ended because the citizen could not be reached: they are shown and rate nobody."""
    columns = {"agency": Case.responsible_code, "district": CaseFact.district, "category": CaseFact.category}
    column = func.coalesce(columns[by], "")
    query = select(column, func.count()).select_from(CaseEvent).group_by(column)
    query = query.where(CaseEvent.act == "close_unanswered", *acted(since, until))
    if by != "agency":
        query = query.join(CaseFact, CaseFact.case_id == CaseEvent.case_id)
    if by == "agency" or agency:
        query = query.join(Case, Case.id == CaseEvent.case_id)
    if agency:
        query = query.where(Case.responsible_code == agency)
    return {value: count for value, count in session.execute(query)}


def sent_back(session: Session, since: date, until: date, agency: str) -> dict[str, int]:
    """How many cases each agency sent back: every hop is on the account of who caused it."""
    by = CaseEvent.details["by"].as_string()
    query = select(by, func.count()).where(CaseEvent.act == "send_back", *acted(since, until)).group_by(by)
    return {code: count for code, count in session.execute(query) if code and (not agency or code == agency)}


def acted(since: date, until: date) -> tuple[ColumnElement[bool], ...]:
    """The events of these days."""
    return CaseEvent.acted_at >= midnight(since), CaseEvent.acted_at < midnight(until)


def rated_cases(
    session: Session, since: date, until: date, agency: str, now: datetime, only: str = "", page: int = 0
) -> list[Rated]:
    """The ratings of a period one by one, the newest first, PAGE of them and one more if there is a next page. `only`:
    `bad` for those that are not wholly good, `left_out` for those that don't count."""
    query = (
        select(Visit, Case, RatingAppeal)
        .select_from(CaseFact)
        .join(Visit, Visit.id == CaseFact.visit_id)
        .join(Case, Case.id == CaseFact.case_id)
        .outerjoin(RatingAppeal, RatingAppeal.visit_id == CaseFact.visit_id)
        .where(*last_said(since, until, agency))
        .order_by(CaseFact.said_at.desc(), CaseFact.visit_id.desc())
    )
    if only == "bad":
        good = CaseFact.contacted, CaseFact.solved, CaseFact.satisfied
        query = query.where(or_(*(column.is_(False) for column in good)))
    if only == "left_out":
        ended = CaseFact.outcome.in_((*OUT_OF_REMIT, "withdrawn"))
        query = query.where(or_(RatingAppeal.state == "upheld", ended, CaseFact.rated == ""))
    found = session.execute(query.offset(page * PAGE).limit(PAGE + 1))
    return [shown(visit, case, appeal, now) for visit, case, appeal in found]


def shown(visit: Visit, case: Case, appeal: RatingAppeal | None, now: datetime) -> Rated:
    """A rating with what may be done about it."""
    upheld = bool(appeal and appeal.state == "upheld")
    why = left_out(upheld, case.state, by_line=visit.agency_code is None)
    open_to_appeal = appeal is None and not why and may_appeal(visit.said_at, is_perfect(visit), now, city_settings())
    return Rated(visit, case, appeal, why, open_to_appeal)


def is_perfect(visit: Visit) -> bool:
    """Whether there is nothing in this rating that costs the agency a point."""
    whole = city_settings().grades[visit.grade or 4] == max(city_settings().grades.values())
    return visit.contacted and visit.solved and visit.satisfied and whole


def appeal(session: Session, visit_id: int, staff: Staff, reason: str, now: datetime) -> RatingAppeal:
    """申诉: an agency asks for a rating of its own to be left out. Raises Refused: not its own or not there (404), too late
    or nothing to complain of, appealed against already, no reason."""
    visit = session.get(Visit, visit_id)
    if visit is None or visit.agency_code is None or visit.agency_code != staff.agency_code:
        raise Refused("not_found", 404)
    if not reason.strip():
        raise Refused("reason_missing")
    if not may_appeal(visit.said_at, is_perfect(visit), now, city_settings()):
        raise Refused("appeal_too_late", 409, days=str(city_settings().appeal_days))
    made = RatingAppeal(
        visit_id=visit.id,
        agency_code=visit.agency_code,
        reason=reason.strip()[:NOTE_LIMIT],
        asked_by_id=staff.id,
        asked_at=now,
        state="open",
    )
    try:
        with session.begin_nested():
            session.add(made)
    except IntegrityError as error:
        raise Refused("appealed_already", 409) from error
    return made


def rule_on(session: Session, appeal_id: int, staff: Staff, upheld: bool, ruling: str, now: datetime) -> RatingAppeal:
    """Uphold an appeal, so that the rating is left out, or refuse it, in either case with a reason; once. Raises Refused."""
    made = session.scalar(select(RatingAppeal).where(RatingAppeal.id == appeal_id).with_for_update())
    if made is None:
        raise Refused("not_found", 404)
    if made.state != "open":
        raise Refused("appeal_ruled_on", 409)
    if not ruling.strip():
        raise Refused("reason_missing")
    made.state = "upheld" if upheld else "refused"
    made.ruling, made.ruled_by_id, made.ruled_at = ruling.strip()[:NOTE_LIMIT], staff.id, now
    return made


def appeals(session: Session, agency: str = "", limit: int = 200) -> list[tuple[RatingAppeal, Visit, Case]]:
    """The appeals, open ones first, then the newest; of all agencies or one."""
    query = select(RatingAppeal, Visit, Case).join(Visit, Visit.id == RatingAppeal.visit_id)
    query = query.join(Case, Case.id == Visit.case_id).order_by(RatingAppeal.state != "open", RatingAppeal.id.desc())
    if agency:
        query = query.where(RatingAppeal.agency_code == agency)
    return [(one, visit, case) for one, visit, case in session.execute(query.limit(limit))]


# --- months that are frozen -----------------------------------------------------------------------------------------


def freeze_when_due(database: Database, clock: Clock) -> None:
    """Freeze the ranking of the month before once its day has come: what the clock does."""
    now = clock()
    month = month_to_freeze(local(now).date(), city_settings())
    if month is None:
        return
    with database.write() as session:
        if session.get(AssessmentMonth, month) is None:
            freeze(session, month, now)


def freeze(session: Session, month: date, now: datetime) -> AssessmentMonth:
    """Keep the ranking of a month as it stands, with the rules that made it."""
    settings = city_settings()
    found = ranked(assess(session, month, figures.month_after(month), "agency"), settings)
    content = {
        "settings": {"grades": {str(grade): counts for grade, counts in settings.grades.items()}}
        | {"weights": dict(settings.weights), "least_rated": settings.least_rated},
        "rows": [row_of(place, one, settings) for place, one in found],
    }
    frozen = AssessmentMonth(month=month, frozen_at=now, content=content)
    session.add(frozen)
    session.flush()
    return frozen


def row_of(place: int | None, one: Standing, settings: Settings) -> dict[str, Any]:
    """A line of the ranking as it is kept, shown and exported; shares from 0 to 1."""
    counts = one.counts
    return {
        "place": place,
        "value": one.value,
        "rated": counts.visited,
        "contacted": counts.contacted_rate,
        "solved": counts.solved_rate,
        "satisfied": counts.satisfied_rate,
        "graded": one.graded,
        "score": one.score(settings),
        "left_out": dict(one.left_out),
        "unreached": one.unreached,
        "settled": counts.settled,
        "on_time": counts.on_time_rate,
        "late": counts.late,
        "redos": counts.redos,
        "send_backs": one.send_backs,
    }


def corrections(session: Session, frozen: AssessmentMonth) -> list[Correction]:
    """The agencies for which appeals about this month were upheld after it was frozen: the standing as frozen, and as it is
    with the ratings left out. The frozen ranking itself never changes."""
    month, after = frozen.month, figures.month_after(frozen.month)
    query = (
        select(RatingAppeal.agency_code, func.count())
        .join(CaseFact, CaseFact.visit_id == RatingAppeal.visit_id)
        .where(
            and_(RatingAppeal.state == "upheld", RatingAppeal.ruled_at > frozen.frozen_at), *last_said(month, after, "")
        )
        .group_by(RatingAppeal.agency_code)
        .order_by(RatingAppeal.agency_code)
    )
    before = {row["value"]: row for row in frozen.content["rows"]}
    return [
        Correction(
            code, count, before[code], standing(code, ratings(session, month, after, "agency", code), city_settings())
        )
        for code, count in session.execute(query)
        if code in before
    ]


def months(today: date, count: int = 12) -> Sequence[date]:
    """The first days of this month and the ones before, newest first."""
    found = [today.replace(day=1)]
    while len(found) < count:
        found.append((found[-1] - timedelta(days=1)).replace(day=1))
    return found
