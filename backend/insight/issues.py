"""Hot issues of the record: new cases are grouped every minute, groups are mended at night, and read for any slice."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from threading import Lock
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
from backend.insight.hot import Floats, Groups
from backend.insight.models import CaseFact, HotGroup, HotMember, HotMiddle, Mark, WordCell
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
LOOKED_THROUGH: Final = 500
"""Cases of a group, the newest, that are looked through for another matter."""
RARE_AMONG: Final = 3000
"""The newest cases, which say how rare a run of characters is."""
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
    """The groups that are alive, as new cases are compared with them, and how rare the runs of characters are. Each worker
    keeps one: what others have done since is read before each batch, and everything after a night's mending."""

    def __init__(self, embedder: Embedder | None = None) -> None:
        self.lock = Lock()
        self.embedder = embedder
        self.model = embedder.name if embedder else ""
        self.forget()

    def forget(self) -> None:
        """Read everything at the next batch."""
        self.groups, self.rarity = Groups(), hot.Rarity()
        self.ids: list[int] = []
        self._number: dict[int, int] = {}
        self._read: datetime | None = None
        self._case_id = 0

    def catch_up(self, session: Session, now: datetime) -> None:
        """Read what has changed."""
        grouped, mended = session.get(Mark, "hot"), session.get(Mark, "hot_mended")
        last = grouped.value if grouped else 0
        changed = [HotGroup.merged_into_id.is_(None), HotGroup.model == self.model, HotGroup.last_at >= now - ALIVE]
        if self._read is None or (mended and mended.at and mended.at > self._read):
            self.forget()
            for what in session.scalars(
                select(Case.what).where(Case.id <= last).order_by(Case.id.desc()).limit(RARE_AMONG)
            ):
                self.rarity.add(hot.runs(what))
            changed.append(or_(HotGroup.size > 1, HotGroup.last_at >= now - ALONE))
            self._read = now
        elif self._case_id < last:
            newer = select(HotMember.group_id).where(HotMember.case_id > self._case_id)
            changed.append(HotGroup.id.in_(newer))
        else:
            return
        columns = HotGroup.id, HotGroup.total, HotGroup.size, HotGroup.district, HotGroup.community
        for group_id, total, size, district, community in session.execute(select(*columns).where(*changed)):
            self.put(group_id, unpacked(total), size, Place(district=district, community=community))
        self._case_id = last

    def put(self, group_id: int, total: Floats, size: int, place: Place) -> None:
        """A group as it is now."""
        self.know(group_id, self.groups.put(total, size, place, self._number.get(group_id, -1)))

    def know(self, group_id: int, number: int) -> None:
        """Which group of the database one of `groups` is."""
        if number == len(self.ids):
            self.ids.append(group_id)
        self._number[group_id] = number

    def meanings(self, told: Sequence[Told]) -> list[Floats | None]:
        """What cases mean; None for each without a model. Raises EmbeddingFailed."""
        if self.embedder is None:
            return [None] * len(told)
        return list(self.embedder.questions([one.text[: hot.READ] for one in told]))

    def take(self, session: Session, told: Told, meaning: Floats | None) -> HotGroup:
        """Let a case join the nearest group, or open one. `meaning`: seen from the middle."""
        said = hot.runs(told.text)
        vector = hot.features(meaning, self.rarity.vector(said))
        meant = meaning is not None and bool(meaning.any())
        number, how = self.groups.take(vector, told.place, hot.near(len(told.text), meant))
        self.rarity.add(said)
        group = self.groups.all[number]
        if number < len(self.ids):
            row = session.get_one(HotGroup, self.ids[number])
        else:
            row = HotGroup(name="", model=self.model, words={}, first_at=told.filed_at, last_at=told.filed_at)
            session.add(row)
        row.size, row.total = group.size, packed(self.groups.total(number))
        row.district, row.community = group.district, group.community
        row.first_at, row.last_at = min(row.first_at, told.filed_at), max(row.last_at, told.filed_at)
        row.words = dict((Counter(row.words) + Counter(terms(told.text, places=False))).most_common(TERMS_KEPT))
        session.flush()
        self.know(row.id, number)
        session.add(HotMember(case_id=told.case_id, group_id=row.id, likeness=how))
        self._case_id = told.case_id
        return row


def packed(total: Floats) -> bytes:
    """A vector as it is kept."""
    return total.astype(np.float16).tobytes()


def unpacked(total: bytes) -> Floats:
    """A vector that was kept."""
    return np.frombuffer(total, np.float16).astype(np.float32)


def name_of(row: HotGroup, seen_in: Mapping[str, int], of: int) -> str:
    """What a group is called: by its own words, its estate or district before them."""
    return hot.name_of(row.words, seen_in, of, row.community or row.district)[:80]


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


def group_cases(database: Database, index: Index, clock: Clock) -> None:
    """Group the cases that have come since the last time: what the clock does every minute."""
    while group_some(database, index, clock()):
        pass


def group_some(database: Database, index: Index, now: datetime) -> bool:
    """AT_ONCE cases at most; whether there are more. Nobody waits while the index is read for the first time."""
    with index.lock:
        with database.read() as session:
            mark = session.get(Mark, "hot")
            after = mark.value if mark else 0
            told = new_cases(session, after, now)
            if not told:
                return False
            index.catch_up(session, now)
            usual = usual_words(session, now)
        try:
            meanings = index.meanings(told)
        except EmbeddingFailed:
            return False  # the cases wait for the model
        try:
            with database.write() as session:
                mark = locked_mark(session, "hot")
                if mark.value != after:  # another worker was faster
                    return True
                index.catch_up(session, now)
                seen = seen_from_middle(session, index.model, meanings, count=True)
                for row in {index.take(session, one, meaning) for one, meaning in zip(told, seen, strict=True)}:
                    row.name = name_of(row, *usual)
                mark.value, mark.at = max([mark.value, *(one.case_id for one in told)]), now
        except Exception:
            index.forget()  # it knows of cases that the database doesn't
            raise
        return len(told) == AT_ONCE


def seen_from_middle(
    session: Session, model: str, meanings: Sequence[Floats | None], count: bool = False
) -> list[Floats | None]:
    """Vectors of meaning as they lie around the middle of all that came before; all zero while that isn't known. `count`:
    they move the middle, as new ones do."""
    found = [one for one in meanings if one is not None]
    if not found:
        return list(meanings)
    row = session.get(HotMiddle, model)
    if row is None:
        row = HotMiddle(model=model, total=np.zeros(len(found[0]), np.float32).tobytes(), cases=0)
        session.add(row)
    total = np.frombuffer(row.total, np.float32)
    if count:
        total = total + np.sum(found, axis=0, dtype=np.float32)
        row.total, row.cases = total.tobytes(), row.cases + len(found)
    if row.cases < hot.MIDDLE_OF:
        return [np.zeros_like(total)] * len(found)
    return [one - total / np.float32(row.cases) for one in found]


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


# --- the night ------------------------------------------------------------------------------------------------------


def mend(database: Database, index: Index, clock: Clock) -> None:
    """Once a night, split the groups that hold two matters and join those that have grown together. The id stays with the
    greater part; what has become part of another says of which."""
    now = clock()
    with index.lock:
        with database.read() as session:
            mark = session.get(Mark, "hot_mended")
            last = mark.at if mark else None
            if local(now).hour < NIGHT or (last and local(last).date() == local(now).date()):
                return
            index.forget()
            index.catch_up(session, now)
            usual = usual_words(session, now)
            grown = HotGroup.merged_into_id.is_(None), HotGroup.last_at >= (last or now - ALIVE)
            large = session.scalars(
                select(HotGroup.id).where(*grown, HotGroup.model == index.model, HotGroup.size >= hot.LEAST_APART)
            )
            apart = {group_id: told for group_id in large if (told := of_another_matter(session, index, group_id))}
        try:
            meanings = {group_id: index.meanings(told) for group_id, told in apart.items()}
        except EmbeddingFailed:
            return  # the night waits for the model
        with database.write() as session:
            mark = locked_mark(session, "hot_mended")
            if mark.at != last:  # another worker was faster
                return
            locked_mark(session, "hot")
            index.catch_up(session, now)
            for group_id, told in apart.items():
                group = session.get_one(HotGroup, group_id)
                other = split(session, index, group, told, meanings[group_id])
                group.name, other.name = name_of(group, *usual), name_of(other, *usual)
            together = hot.GROWN_TOGETHER[bool(index.model)]
            for stays, goes in index.groups.grown_together(range(len(index.ids)), together):
                larger = session.get_one(HotGroup, index.ids[stays])
                join(session, larger, session.get_one(HotGroup, index.ids[goes]))
                larger.name = name_of(larger, *usual)
            mark.at = now
        index.forget()


def of_another_matter(session: Session, index: Index, group_id: int) -> list[Told]:
    """Those of the newest cases of a group that are of another matter, by their words; empty: none."""
    members = select(Case).join(HotMember, HotMember.case_id == Case.id).where(HotMember.group_id == group_id)
    told = [told_by(case) for case in session.scalars(members.order_by(Case.id.desc()).limit(LOOKED_THROUGH))]
    away = hot.apart(np.stack([index.rarity.vector(hot.runs(one.text)) for one in told]))
    return [one for one, goes in zip(told, away, strict=True) if goes]


def split(
    session: Session, index: Index, group: HotGroup, told: Sequence[Told], meanings: Sequence[Floats | None]
) -> HotGroup:
    """Make these cases of a group a group of their own."""
    seen = seen_from_middle(session, index.model, meanings)
    vectors = [
        hot.features(meaning, index.rarity.vector(hot.runs(one.text))) for one, meaning in zip(told, seen, strict=True)
    ]
    gone = np.sum(vectors, axis=0)
    said = Counter(term for one in told for term in terms(one.text, places=False))
    other = HotGroup(
        name="",
        model=group.model,
        size=len(told),
        total=packed(gone),
        words=dict(said.most_common(TERMS_KEPT)),
        district=next((one.place.district for one in told if one.place.district), ""),
        community=next((one.place.community for one in told if one.place.community), ""),
        first_at=min(one.filed_at for one in told),
        last_at=max(one.filed_at for one in told),
    )
    session.add(other)
    session.flush()
    ids = [one.case_id for one in told]
    session.execute(update(HotMember).where(HotMember.case_id.in_(ids)).values(group_id=other.id))
    group.size -= len(told)
    group.total = packed(unpacked(group.total) - gone)
    group.words = dict(Counter(group.words) - said)
    for one in (group, other):
        place = Place(district=one.district, community=one.community)
        index.put(one.id, unpacked(one.total), one.size, place)
    return other


def join(session: Session, stays: HotGroup, goes: HotGroup) -> None:
    """Make one group part of another."""
    session.execute(update(HotMember).where(HotMember.group_id == goes.id).values(group_id=stays.id))
    session.execute(update(HotGroup).where(HotGroup.merged_into_id == goes.id).values(merged_into_id=stays.id))
    goes.merged_into_id = stays.id
    stays.size += goes.size
    stays.total = packed(unpacked(stays.total) + unpacked(goes.total))
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
