"""Hot issues of the record: new cases are grouped every minute, groups are mended at night, and read for any slice."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

import numpy as np
from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from backend.cases.models import Case
from backend.cases.places import Place, gazetteer
from backend.clock import Clock, local
from backend.database import Database
from backend.insight import figures, hot
from backend.insight.figures import Slice, conditions, midnight
from backend.insight.hot import Floats, Group
from backend.insight.models import CaseFact, HotGroup, HotMember, Mark, WordCell
from backend.insight.rollups import SETTLES_IN, locked_mark
from backend.insight.words import ALL, terms
from backend.knowledge.embedding import Embedder, EmbeddingFailed
from backend.knowledge.masking import mask

ALIVE: Final = timedelta(days=90)
"""A group that nobody has joined for so long takes no more cases."""
ALONE: Final = timedelta(days=30)
"""The same for a case that is alone."""
AT_ONCE: Final = 200
LEAST: Final = 2
"""Cases that make a group worth showing."""
TERMS_KEPT: Final = 80
NIGHT: Final = 3
"""The hour, China's time, from which groups are mended."""
SAMPLE: Final = 8


@dataclass(frozen=True)
class Told:
    """A new case: what it says, where, when."""

    case_id: int
    text: str
    place: Place
    filed_at: datetime


class Index:
    """The groups that are alive, as new cases are compared with them; made anew for each batch, so that every worker sees
    what the others have done."""

    def __init__(self, session: Session, model: str, now: datetime, seen_in: Mapping[str, int], of: int) -> None:
        lone = (HotGroup.size == 1) & (HotGroup.last_at >= now - ALONE)
        alive = select(HotGroup).where(
            HotGroup.merged_into_id.is_(None),
            HotGroup.model == model,
            or_(lone, (HotGroup.size > 1) & (HotGroup.last_at >= now - ALIVE)),
        )
        self.session, self.model = session, model
        self.rows = list(session.scalars(alive.order_by(HotGroup.id)))
        self.groups = [
            Group(np.frombuffer(one.total, np.float32), one.size, one.district, one.community) for one in self.rows
        ]
        self.centres = np.array([hot.unit(one.total) for one in self.groups], np.float32)
        self.seen_in, self.of = seen_in, of

    def take(self, told: Told, vector: Floats) -> HotGroup:
        """Let a case join the nearest group, or open one."""
        number, how = hot.nearest(vector, told.place, self.centres, self.groups)
        if number < 0 or how < hot.NEAR[bool(self.model)]:
            number, how = self.open(told, vector), 1.0
        else:
            self.groups[number].add(vector, told.place)
            self.centres[number] = hot.unit(self.groups[number].total)
        row, group = self.rows[number], self.groups[number]
        row.size, row.total = group.size, group.total.astype(np.float32).tobytes()
        row.district, row.community = group.district, group.community
        row.first_at, row.last_at = min(row.first_at, told.filed_at), max(row.last_at, told.filed_at)
        row.words = dict((Counter(row.words) + Counter(terms(told.text, places=False))).most_common(TERMS_KEPT))
        row.name = self.name(row)
        self.session.add(HotMember(case_id=told.case_id, group_id=row.id, likeness=how))
        return row

    def open(self, told: Told, vector: Floats) -> int:
        """A new group without a case; its number."""
        row = HotGroup(
            name="", size=0, model=self.model, total=b"", words={}, district="", community="",
            first_at=told.filed_at, last_at=told.filed_at,
        )  # fmt: skip
        self.session.add(row)
        self.session.flush()
        self.rows.append(row)
        group = Group(vector, 1, told.place.district, told.place.community)
        self.groups.append(group)
        self.centres = np.vstack([self.centres.reshape(-1, len(vector)), vector[None, :]])
        return len(self.rows) - 1

    def name(self, row: HotGroup) -> str:
        """What a group is called: by its own words, its estate or district before them."""
        return hot.name_of(row.words, self.seen_in, self.of, row.community or row.district)[:80]


def usual_words(session: Session, now: datetime) -> tuple[Counter[str], int]:
    """In how many cases of this month and the one before each term was, and how many cases there were."""
    this = figures.today(now).replace(day=1)
    months = ((this - timedelta(days=1)).replace(day=1), this)
    here = WordCell.grain == "m", WordCell.at.in_(months), WordCell.district == ALL, WordCell.category == ALL
    seen, cases = Counter[str](), 0
    for number, words in session.execute(select(WordCell.cases, WordCell.words).where(*here)):
        cases += number
        seen.update(words)
    return seen, cases


def group_cases(database: Database, embedder: Embedder | None, clock: Clock) -> None:
    """Group the cases that have come since the last time: what the clock does every minute."""
    while group_some(database, embedder, clock()):
        pass


def group_some(database: Database, embedder: Embedder | None, now: datetime) -> bool:
    """AT_ONCE cases at most; whether there are more. The model is asked before anything is locked."""
    with database.read() as session:
        mark = session.get(Mark, "hot")
        told = new_cases(session, mark.value if mark else 0, now)
        seen_in, of = usual_words(session, now) if told else (Counter[str](), 0)
    if not told:
        return False
    try:
        vectors = vectors_of(embedder, told, seen_in, of)
    except EmbeddingFailed:
        return False  # the cases wait for the model
    with database.write() as session:
        mark = locked_mark(session, "hot")
        index = Index(session, embedder.name if embedder else "", now, seen_in, of)
        for one, vector in zip(told, vectors, strict=True):
            if one.case_id > mark.value:
                index.take(one, vector)
        mark.value, mark.at = max([mark.value, *(one.case_id for one in told)]), now
    return len(told) == AT_ONCE


def new_cases(session: Session, after: int, now: datetime) -> list[Told]:
    """The next cases to be grouped, in the order of their ids; none while the counts are made anew."""
    cases = session.get(Mark, "cases")
    if cases is None or cases.note:
        return []
    query = select(Case).join(CaseFact, Case.id == CaseFact.case_id)
    ready = CaseFact.case_id > after, CaseFact.filed_at <= now - SETTLES_IN
    cases_ready = session.scalars(query.where(*ready).order_by(CaseFact.case_id).limit(AT_ONCE))
    return [told_by(case) for case in cases_ready]


def told_by(case: Case) -> Told:
    """A case as it is grouped; only its own words say where, not the agency that it went to."""
    return Told(case.id, case.what, gazetteer().find(f"{case.place} {case.what}"), case.filed_at)


def vectors_of(embedder: Embedder | None, told: Sequence[Told], seen_in: Mapping[str, int], of: int) -> list[Floats]:
    """The vectors of cases. Raises EmbeddingFailed."""
    meanings: Sequence[Floats | None] = [None] * len(told)
    if embedder is not None:
        meanings = list(embedder.questions([one.text[: hot.READ] for one in told]))
    words = [hot.written(terms(one.text[: hot.READ], places=False), seen_in, of) for one in told]
    return [hot.features(meaning, said) for meaning, said in zip(meanings, words, strict=True)]


# --- the night ------------------------------------------------------------------------------------------------------


def mend(database: Database, clock: Clock) -> None:
    """Once a night, join the groups that have grown together; ids of what stays are kept, and what goes says where to."""
    now = clock()
    with database.write() as session:
        mark = locked_mark(session, "hot_mended")
        if local(now).hour < NIGHT or (mark.at and local(mark.at).date() == local(now).date()):
            return
        mark.at = now
        locked_mark(session, "hot")
        models = session.scalars(select(HotGroup.model).distinct()).all()
        for model in models:
            index = Index(session, model, now, *usual_words(session, now))
            for stays, goes in hot.grown_together(index.centres, index.groups, hot.NEAR[bool(model)]):
                join(session, index.rows[stays], index.rows[goes])
                index.rows[stays].name = index.name(index.rows[stays])


def join(session: Session, stays: HotGroup, goes: HotGroup) -> None:
    """Make one group part of another."""
    session.execute(update(HotMember).where(HotMember.group_id == goes.id).values(group_id=stays.id))
    session.execute(update(HotGroup).where(HotGroup.merged_into_id == goes.id).values(merged_into_id=stays.id))
    goes.merged_into_id = stays.id
    stays.size += goes.size
    stays.total = (np.frombuffer(stays.total, np.float32) + np.frombuffer(goes.total, np.float32)).tobytes()
    stays.words = dict((Counter(stays.words) + Counter(goes.words)).most_common(TERMS_KEPT))
    stays.community = stays.community or goes.community
    stays.district = stays.district or goes.district
    stays.first_at, stays.last_at = min(stays.first_at, goes.first_at), max(stays.last_at, goes.last_at)


# --- for people -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Issue:
    """A group in a slice: its cases in it, their share of all of the slice, and as many in the period before."""

    id: int
    name: str
    cases: int
    share: float
    before: int


@dataclass(frozen=True)
class Top:
    """The largest groups of a slice. `cases` is what all of them, `others` (groups that are not shown, and cases alone)
    add up to."""

    issues: list[Issue]
    others: int
    cases: int


def top(session: Session, wanted: Slice, limit: int = 5) -> Top:
    """The groups with most cases in the slice, LEAST at least."""
    here, before = sizes(session, wanted), sizes(session, wanted.before())
    shown = sorted(((count, -number) for number, count in here.items() if count >= LEAST), reverse=True)[:limit]
    whole = sum(here.values())
    ids = [-one for _, one in shown]
    rows = session.execute(select(HotGroup.id, HotGroup.name).where(HotGroup.id.in_(ids)))
    names = {number: name for number, name in rows}
    issues = [Issue(-number, names[-number], count, count / whole, before.get(-number, 0)) for count, number in shown]
    return Top(issues, whole - sum(one.cases for one in issues), whole)


def sizes(session: Session, wanted: Slice) -> dict[int, int]:
    """Cases of the slice by group."""
    within = CaseFact.filed_at >= midnight(wanted.since), CaseFact.filed_at < midnight(wanted.until)
    query = select(HotMember.group_id, func.count()).join(CaseFact, CaseFact.case_id == HotMember.case_id)
    rows = session.execute(query.where(*within, *conditions(session, wanted, CaseFact)).group_by(HotMember.group_id))
    return {number: count for number, count in rows}


@dataclass(frozen=True)
class Detail:
    """All that is known of a group."""

    group: HotGroup
    cases: int
    citizens: int  # by number; each that left none is one
    days: list[tuple[date, int]]
    places: list[tuple[str, int]]
    agencies: list[tuple[str, int]]
    categories: list[tuple[str, int]]
    visited: int
    solved: int
    open: int
    sample: list[tuple[CaseFact, Case, str]]  # newest first, masked


def detail(session: Session, group_id: int) -> Detail | None:
    """A group, or the one that it has become part of; None: there is none."""
    group = session.get(HotGroup, group_id)
    if group is not None and group.merged_into_id is not None:
        group = session.get(HotGroup, group.merged_into_id)
    if group is None:
        return None
    query = select(CaseFact, Case).join(Case, Case.id == CaseFact.case_id)
    query = query.join(HotMember, HotMember.case_id == Case.id).where(HotMember.group_id == group.id)
    rows: list[Any] = list(session.execute(query.order_by(Case.filed_at.desc(), Case.id.desc())).all())
    days = Counter(local(fact.filed_at).date() for fact, _ in rows)
    found = [gazetteer().find(f"{case.place} {case.what}") for _, case in rows]
    places = Counter(
        f"{place.district or fact.district}{place.community}" for place, (fact, _) in zip(found, rows, strict=True)
    )
    contacts = [case.contact for _, case in rows]
    return Detail(
        group=group,
        cases=len(rows),
        citizens=len({one for one in contacts if one}) + contacts.count(None),
        days=every_day(days),
        places=places.most_common(6),
        agencies=Counter(fact.agency for fact, _ in rows).most_common(4),
        categories=Counter(fact.category for fact, _ in rows).most_common(4),
        visited=sum(fact.said_at is not None for fact, _ in rows),
        solved=sum(fact.solved for fact, _ in rows),
        open=sum(fact.ended_at is None for fact, _ in rows),
        sample=[(fact, case, "" if case.confidential else mask(case.what)) for fact, case in rows[:SAMPLE]],
    )


def every_day(counts: Counter[date]) -> list[tuple[date, int]]:
    """The days from the first to the last one, those with none too; by week where they are many."""
    if not counts:
        return []
    first, last = min(counts), max(counts)
    step = 1 if (last - first).days <= 62 else 7
    found: dict[date, int] = {first + timedelta(days=at): 0 for at in range(0, (last - first).days + 1, step)}
    for day, number in counts.items():
        found[first + timedelta(days=(day - first).days // step * step)] += number
    return list(found.items())
