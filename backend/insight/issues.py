"""Hot issues of the record: new cases, and conversations that became none, are grouped every minute, groups are mended at
night, and read for any slice."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from threading import Lock
from typing import Any, Final

import numpy as np
from sqlalchemy import ColumnElement, String, and_, cast, false, func, or_, select, true, union, update
from sqlalchemy.orm import Session

from backend.cases.models import Case
from backend.cases.places import Place
from backend.clock import Clock, local
from backend.conversations.models import Conversation
from backend.database import Database
from backend.insight import figures, hot
from backend.insight.figures import Slice, conditions, midnight
from backend.insight.hot import Floats, Groups
from backend.insight.models import Alert, CaseFact, HotGroup, HotMember, HotMiddle, HotTalk, Mark, WordCell
from backend.insight.rollups import locked_mark
from backend.insight.told import AT_ONCE, Told, members_told, new_cases, new_talks, place_of, texts_of
from backend.insight.words import ALL, terms
from backend.knowledge.embedding import Embedder, EmbeddingFailed
from backend.knowledge.masking import mask

ALIVE: Final = timedelta(days=90)
"""A group that nobody has joined for so long takes no more cases."""
ALONE: Final = timedelta(days=30)
"""The same for a case that is alone."""
LEAST: Final = 2
"""Cases and conversations that make a group worth showing."""
TERMS_KEPT: Final = 80
LOOKED_THROUGH: Final = 500
"""Cases of a group, the newest, that are looked through for another matter."""
RARE_AMONG: Final = 3000
"""The newest cases, which say how rare a run of characters is."""
NIGHT: Final = 3
"""The hour, China's time, from which groups are mended."""
SAMPLE: Final = 8

ReadNew = Callable[[Session, Mark | None, datetime], tuple[list[Told], datetime]]
MARKS: Final[dict[ReadNew, str]] = {new_cases: "hot", new_talks: "hot_talks"}
"""Where it stands how far each has come."""


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
        self._reached = 0, 0  # the last case, the last conversation

    def catch_up(self, session: Session, now: datetime) -> None:
        """Read what has changed."""
        mended, reached = session.get(Mark, "hot_mended"), reached_by(session)
        changed = [HotGroup.merged_into_id.is_(None), HotGroup.model == self.model, HotGroup.last_at >= now - ALIVE]
        if self._read is None or (mended and mended.at and mended.at > self._read):
            self.forget()
            for what in session.scalars(
                select(Case.what).where(Case.id <= reached[0]).order_by(Case.id.desc()).limit(RARE_AMONG)
            ):
                self.rarity.add(hot.runs(what))
            changed.append(or_(HotGroup.size > 1, HotGroup.last_at >= now - ALONE))
            self._read = now
        elif self._reached != reached:
            newer = (
                select(HotMember.group_id).where(HotMember.case_id > self._reached[0]),
                select(HotTalk.group_id).where(HotTalk.id > self._reached[1]),
            )
            changed.append(or_(*(HotGroup.id.in_(one) for one in newer)))
        else:
            return
        columns = HotGroup.id, HotGroup.total, HotGroup.size, HotGroup.district, HotGroup.community
        for group_id, total, size, district, community in session.execute(select(*columns).where(*changed)):
            self.put(group_id, unpacked(total), size, Place(district=district, community=community))
        self._reached = reached

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
        """Let a case or conversation join the nearest group, or open one. `meaning`: seen from the middle."""
        said = hot.runs(told.text)
        vector = hot.features(meaning, self.rarity.vector(said))
        meant = meaning is not None and bool(meaning.any())
        number, how = self.groups.take(vector, told.place, hot.near(len(told.text), meant))
        self.rarity.add(said)
        group = self.groups.all[number]
        if number < len(self.ids):
            row = session.get_one(HotGroup, self.ids[number])
        else:
            row = HotGroup(name="", model=self.model, words={}, first_at=told.at, last_at=told.at)
            session.add(row)
        row.size, row.total = group.size, packed(self.groups.total(number))
        row.district, row.community = group.district, group.community
        row.first_at, row.last_at = min(row.first_at, told.at), max(row.last_at, told.at)
        row.words = dict((Counter(row.words) + Counter(terms(told.text, places=False))).most_common(TERMS_KEPT))
        session.flush()
        self.know(row.id, number)
        told.member.group_id, told.member.likeness = row.id, how
        session.add(told.member)
        return row

    def is_up_to_date(self, session: Session) -> None:
        """All that is grouped by now is known here: nothing of it need be read."""
        self._reached = reached_by(session)


def reached_by(session: Session) -> tuple[int, int]:
    """The last case and the last conversation that are grouped."""
    cases, talks = session.get(Mark, "hot"), session.get(Mark, "hot_talks")
    return cases.value if cases else 0, talks.value if talks else 0


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


def group_new(database: Database, index: Index, clock: Clock) -> None:
    """Group the cases and conversations that have come since the last time: what the clock does every minute."""
    for read_new in (new_cases, new_talks):
        while group_some(database, index, clock(), read_new):
            pass


def group_some(database: Database, index: Index, now: datetime, read_new: ReadNew) -> bool:
    """AT_ONCE cases or conversations at most; whether there are more. Nobody waits while the index is read for the first
    time."""
    name = MARKS[read_new]
    with index.lock:
        with database.read() as session:
            mark = session.get(Mark, name)
            after = (mark.value, mark.at) if mark else (0, None)
            new, until = read_new(session, mark, now)
            if not new:
                return False
            index.catch_up(session, now)
            usual = usual_words(session, now)
        told = [one for one in new if one.text]
        try:
            meanings = index.meanings(told)
        except EmbeddingFailed:
            return False  # what is new waits for the model
        try:
            with database.write() as session:
                grouped = locked_mark(session, "hot")  # one worker groups at a time, whatever it is
                mark = locked_mark(session, name)
                if (mark.value, mark.at) != after:  # another worker was faster
                    return True
                index.catch_up(session, now)
                seen = seen_from_middle(session, index.model, meanings, count=True)
                for row in {index.take(session, one, meaning) for one, meaning in zip(told, seen, strict=True)}:
                    row.name = name_of(row, *usual)
                session.add_all(one.member for one in new)
                session.flush()
                part_with_talks(session, new)
                grouped.at, mark.at, mark.value = now, until, max(mark.value, *(one.number for one in new))
                index.is_up_to_date(session)
        except Exception:
            index.forget()  # it knows of what the database doesn't
            raise
        return len(new) == AT_ONCE


def part_with_talks(session: Session, new: Sequence[Told]) -> None:
    """Conversations of which cases came after all are counted as those."""
    ids = [one.number for one in new if isinstance(one.member, HotMember)]
    talks = select(Case.conversation_id).where(Case.id.in_(ids), Case.conversation_id.is_not(None))
    session.execute(update(HotTalk).where(HotTalk.conversation_id.in_(talks)).values(group_id=None))


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
            forget_dead(session, now, last)
            together = hot.GROWN_TOGETHER[bool(index.model)]
            for stays, goes in index.groups.grown_together(range(len(index.ids)), together):
                larger = session.get_one(HotGroup, index.ids[stays])
                join(session, larger, session.get_one(HotGroup, index.ids[goes]))
                larger.name = name_of(larger, *usual)
            mark.at = now
        index.forget()


def forget_dead(session: Session, now: datetime, last: datetime | None) -> None:
    """Let go of the vectors and words of the groups that take no more cases, of those that died since the last night."""
    died = []
    for alive, which in ((ALIVE, HotGroup.size > 1), (ALONE, HotGroup.size == 1)):
        died.append(and_(which, HotGroup.last_at < now - alive, HotGroup.last_at >= last - alive if last else true()))
    session.execute(update(HotGroup).where(or_(*died)).values(total=b"", words={}))


def of_another_matter(session: Session, index: Index, group_id: int) -> list[Told]:
    """Those of the newest members of a group that are of another matter, by their words; empty: none."""
    told = members_told(session, group_id, LOOKED_THROUGH)
    away = hot.apart(np.stack([index.rarity.vector(hot.runs(one.text)) for one in told]))
    return [one for one, goes in zip(told, away, strict=True) if goes]


def split(
    session: Session, index: Index, group: HotGroup, told: Sequence[Told], meanings: Sequence[Floats | None]
) -> HotGroup:
    """Make these members of a group a group of their own."""
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
        first_at=min(one.at for one in told),
        last_at=max(one.at for one in told),
    )
    session.add(other)
    session.flush()
    for table, key in ((HotMember, HotMember.case_id), (HotTalk, HotTalk.id)):
        ids = [one.number for one in told if isinstance(one.member, table)]
        session.execute(update(table).where(key.in_(ids)).values(group_id=other.id))
    group.size -= len(told)
    group.total = packed(unpacked(group.total) - gone)
    group.words = dict(Counter(group.words) - said)
    for one in (group, other):
        place = Place(district=one.district, community=one.community)
        index.put(one.id, unpacked(one.total), one.size, place)
    return other


def join(session: Session, stays: HotGroup, goes: HotGroup) -> None:
    """Make one group part of another: its members, what was warned of it, and what had become part of it."""
    for table in (HotMember, HotTalk, Alert):
        session.execute(update(table).where(table.group_id == goes.id).values(group_id=stays.id))
    session.execute(update(HotGroup).where(HotGroup.merged_into_id == goes.id).values(merged_into_id=stays.id))
    goes.merged_into_id = stays.id
    stays.size += goes.size
    stays.total = packed(unpacked(stays.total) + unpacked(goes.total))
    stays.words = dict((Counter(stays.words) + Counter(goes.words)).most_common(TERMS_KEPT))
    stays.community = stays.community or goes.community
    stays.district = stays.district or goes.district
    stays.first_at, stays.last_at = min(stays.first_at, goes.first_at), max(stays.last_at, goes.last_at)
    goes.total, goes.words = b"", {}


# --- for people -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Members:
    """So many cases, and conversations that became none."""

    cases: int = 0
    talks: int = 0

    @property
    def count(self) -> int:
        """Both."""
        return self.cases + self.talks

    def __add__(self, other: "Members") -> "Members":
        return Members(self.cases + other.cases, self.talks + other.talks)

    def __sub__(self, other: "Members") -> "Members":
        return Members(self.cases - other.cases, self.talks - other.talks)


@dataclass(frozen=True)
class Issue:
    """A group in a slice: its members in it, how many citizens those are of (by number; each that left none is one), the
    share of all members in the slice, and as many in the period before."""

    id: int
    name: str
    members: Members
    citizens: int
    share: float
    before: int


@dataclass(frozen=True)
class Top:
    """The largest groups of a slice. `whole` is what all of them and `others` (groups that are not shown, and what is
    alone) add up to."""

    issues: list[Issue]
    others: Members
    whole: Members


def top(session: Session, wanted: Slice, limit: int = 5) -> Top:
    """The groups with most members in the slice, LEAST at least."""
    here, before = sizes(session, wanted), sizes(session, wanted.before())
    large = sorted(((one.count, -number) for number, one in here.items() if one.count >= LEAST), reverse=True)
    ids = [-number for _, number in large[:limit]]
    names = {
        number: name for number, name in session.execute(select(HotGroup.id, HotGroup.name).where(HotGroup.id.in_(ids)))
    }
    people = citizens(session, ids, wanted)
    whole = sum(here.values(), Members())
    issues = [
        Issue(one, names[one], here[one], people[one], here[one].count / whole.count, before.get(one, Members()).count)
        for one in ids
    ]
    return Top(issues, whole - sum((one.members for one in issues), Members()), whole)


def sizes(session: Session, wanted: Slice) -> dict[int, Members]:
    """Members of the slice by group."""
    found: dict[int, Members] = {}
    of_cases = select(HotMember.group_id, func.count()).join(CaseFact, CaseFact.case_id == HotMember.case_id)
    for number, count in session.execute(of_cases.where(*cases_in(session, wanted)).group_by(HotMember.group_id)):
        found[number] = Members(cases=count)
    of_talks = select(HotTalk.group_id, func.count()).where(*talks_in(session, wanted)).group_by(HotTalk.group_id)
    for group, count in session.execute(of_talks):
        if group is not None:
            found[group] = found.get(group, Members()) + Members(talks=count)
    return found


def cases_in(session: Session, wanted: Slice) -> Sequence[ColumnElement[bool]]:
    """Conditions for the facts of a slice."""
    within = CaseFact.filed_at >= midnight(wanted.since), CaseFact.filed_at < midnight(wanted.until)
    return *within, *conditions(session, wanted, CaseFact)


def talks_in(session: Session, wanted: Slice) -> Sequence[ColumnElement[bool]]:
    """Conditions for the grouped conversations of a slice. They are with no agency and not urgent: where the slice is, there
    are none."""
    if wanted.agency or wanted.urgency:
        return (false(),)
    within = HotTalk.at >= midnight(wanted.since), HotTalk.at < midnight(wanted.until), HotTalk.group_id.is_not(None)
    return *within, *conditions(session, wanted, HotTalk)


def citizens(session: Session, ids: Sequence[int], wanted: Slice | None = None) -> dict[int, int]:
    """How many citizens the members of each of these groups are of, in a slice or ever: by number, and each that left none
    is one."""
    of_cases = select(HotMember.group_id, func.coalesce(Case.contact_hash, cast(Case.id, String)).label("who"))
    of_cases = of_cases.join(Case, Case.id == HotMember.case_id).join(CaseFact, CaseFact.case_id == Case.id)
    talk = func.coalesce(Conversation.caller_hash, Conversation.peer_hash, Conversation.id)
    of_talks = select(HotTalk.group_id, talk.label("who"))
    of_talks = of_talks.join(Conversation, Conversation.id == HotTalk.conversation_id)
    if wanted is not None:
        of_cases = of_cases.where(*cases_in(session, wanted))
        of_talks = of_talks.where(*talks_in(session, wanted))
    each = union(of_cases.where(HotMember.group_id.in_(ids)), of_talks.where(HotTalk.group_id.in_(ids))).subquery()
    rows = session.execute(select(each.c.group_id, func.count()).group_by(each.c.group_id))
    return {number: count for number, count in rows}


@dataclass(frozen=True)
class Detail:
    """All that is known of a group."""

    group: HotGroup
    members: Members
    citizens: int  # by number; each that left none is one
    days: list[tuple[date, Members]]
    places: list[tuple[str, int]]
    agencies: list[tuple[str, int]]
    categories: list[tuple[str, int]]
    visited: int
    solved: int
    open: int
    sample: list[tuple[CaseFact, Case, str]]  # newest first, masked
    said: list[tuple[HotTalk, str]]  # conversations, newest first, masked


def current(session: Session, group_id: int) -> HotGroup | None:
    """A group, or the one that it has become part of; None: there is none."""
    group = session.get(HotGroup, group_id)
    return session.get(HotGroup, group.merged_into_id) if group and group.merged_into_id else group


def detail(session: Session, group_id: int) -> Detail | None:
    """A group, or the one that it has become part of; None: there is none."""
    group = current(session, group_id)
    if group is None:
        return None
    query = select(CaseFact, Case).join(Case, Case.id == CaseFact.case_id)
    query = query.join(HotMember, HotMember.case_id == Case.id).where(HotMember.group_id == group.id)
    rows: list[Any] = list(session.execute(query.order_by(Case.filed_at.desc(), Case.id.desc())).all())
    talks = list(
        session.scalars(
            select(HotTalk).where(HotTalk.group_id == group.id).order_by(HotTalk.at.desc(), HotTalk.id.desc())
        )
    )
    days: dict[date, Members] = {}
    for at, one in [(fact.filed_at, Members(cases=1)) for fact, _ in rows] + [
        (talk.at, Members(talks=1)) for talk in talks
    ]:
        day = local(at).date()
        days[day] = days.get(day, Members()) + one
    places = Counter(f"{talk.district}{talk.community}" for talk in talks)
    for fact, case in rows:
        place = place_of(case)
        places[f"{place.district or fact.district}{place.community}"] += 1
    texts = texts_of(session, [talk.conversation_id for talk in talks[:SAMPLE]])
    return Detail(
        group=group,
        members=Members(len(rows), len(talks)),
        citizens=citizens(session, [group.id]).get(group.id, 0),
        days=every_day(days),
        places=places.most_common(6),
        agencies=Counter(fact.agency for fact, _ in rows).most_common(4),
        categories=Counter(fact.category for fact, _ in rows).most_common(4),
        visited=sum(fact.said_at is not None for fact, _ in rows),
        solved=sum(fact.solved for fact, _ in rows),
        open=sum(fact.ended_at is None for fact, _ in rows),
        sample=[(fact, case, "" if case.confidential else mask(case.what)) for fact, case in rows[:SAMPLE]],
        said=[(talk, mask(texts[talk.conversation_id])) for talk in talks[:SAMPLE] if talk.conversation_id in texts],
    )


def every_day(counts: Mapping[date, Members]) -> list[tuple[date, Members]]:
    """The days from the first to the last one, those with none too; by week where they are many."""
    if not counts:
        return []
    first, last = min(counts), max(counts)
    step = 1 if (last - first).days <= 62 else 7
    found = {first + timedelta(days=at): Members() for at in range(0, (last - first).days + 1, step)}
    for day, number in counts.items():
        found[first + timedelta(days=(day - first).days // step * step)] += number
    return list(found.items())
