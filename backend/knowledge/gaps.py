"""Gaps as the editors' to-do list: questions without a good answer, grouped by meaning, counted, drafted or dismissed.

Grouping is incremental: a new gap joins the nearest group, or opens one. It is done when the page is opened or by a job, not
in the citizen's turn. What leaves this module is masked, and so is what vectors are made of.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import HashingVectorizer
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.clock import local
from backend.database import Database
from backend.directory.models import Staff
from backend.errors import Refused
from backend.knowledge import editing
from backend.knowledge.content import QUESTION_LIMIT, VARIANTS_LIMIT, Content, comparable
from backend.knowledge.embedding import Embedder, vectors
from backend.knowledge.masking import COVER, mask
from backend.knowledge.models import Article, Gap, GapGroup
from backend.knowledge.text import grams, normalise

Floats = NDArray[np.float32]

NEAR_IN_MEANING = 0.94
NEAR_IN_WORDS = 0.4
"""Cosine with the middle of a group from which a question belongs to it: by the vectors of multilingual-e5-small, and by
runs of characters where there is no model. Chosen on one half of a public set of FAQ paraphrases (its kinds split at random)
for the best B-cubed F1; on the other half (1,062 questions of 234 kinds) it is 0.63 (precision 0.72, recall 0.56) and 0.53
(0.71, 0.42). Another model needs its own figure."""

AT_ONCE = 200
"""New gaps grouped in one go: about two seconds of a small model's time, so that opening the page stays quick."""
REMEMBERED = timedelta(days=180)
"""Groups that nobody has asked about for so long attract nothing more."""
REASON_LIMIT = 300
TREND_DAYS = 28

LEXICAL = HashingVectorizer(analyzer=grams, n_features=4096, alternate_sign=False, dtype=np.float32)


@dataclass(frozen=True)
class Way:
    """One way in which the question of a group was asked, masked, and how often."""

    text: str
    count: int


@dataclass(frozen=True)
class Group:
    """A group as the list shows it: its most frequent question, how often it was asked in the period, and the questions of
    each of the last 28 days, oldest first."""

    id: int
    state: str
    title: str
    count: int
    ways: int
    last_asked: datetime
    daily: list[int]

    @property
    def last_week(self) -> int:
        """Questions of the last seven days."""
        return sum(self.daily[-7:])


def group_new(database: Database, embedder: Embedder | None, now: datetime) -> int:
    """Put up to AT_ONCE of the oldest gaps without a group into groups; returns how many."""
    with database.read() as session:
        fresh = session.execute(
            select(Gap.id, Gap.question, Gap.asked_at).where(Gap.group_id.is_(None)).order_by(Gap.id).limit(AT_ONCE)
        ).all()
        if not fresh:
            return 0
        members = session.execute(
            select(Gap.group_id, Gap.question)
            .where(Gap.group_id.is_not(None), Gap.asked_at >= now - REMEMBERED)
            .order_by(Gap.id)
        ).all()
    texts = [normalise(mask(gap.question)) for gap in [*members, *fresh]]
    rows = vectors(database, embedder, "query", texts) if embedder else LEXICAL.transform(texts).toarray()
    joined = join(
        [member.group_id for member in members],
        rows[: len(members)],
        rows[len(members) :],
        NEAR_IN_MEANING if embedder else NEAR_IN_WORDS,
    )
    with database.write() as session:
        ungrouped = Gap.id.in_([gap.id for gap in fresh]), Gap.group_id.is_(None)
        gaps = session.scalars(select(Gap).where(*ungrouped).order_by(Gap.id).with_for_update()).all()
        if len(gaps) < len(fresh):  # somebody else is grouping them
            return 0
        opened: dict[int, GapGroup] = {}
        for gap, number in zip(gaps, joined, strict=True):
            if number < 0 and number not in opened:
                opened[number] = GapGroup(made_at=gap.asked_at)
                session.add(opened[number])
                session.flush()
            group = opened[number] if number < 0 else session.get_one(GapGroup, number)
            gap.group_id = group.id
            if comes_again(session, group, gap.asked_at):
                group.state = "open"
        return len(gaps)


def join(groups: Sequence[int], members: Floats, fresh: Floats, nearness: float) -> list[int]:
    """The group of each `fresh` vector, given those of the members: an id of `groups`, or -1, -2 … for groups that it opens.

    A group is the sum of its members' vectors; all are of unit length.
    """
    ids = list(dict.fromkeys(groups))
    sums = np.zeros((len(ids) + len(fresh), fresh.shape[1]), dtype=np.float32)
    places = {group: place for place, group in enumerate(ids)}
    np.add.at(sums, [places[group] for group in groups], members)
    joined: list[int] = []
    for vector in fresh:
        known = sums[: len(ids)]
        cosines = known @ vector / np.maximum(np.linalg.norm(known, axis=1), 1e-9)
        place = int(cosines.argmax()) if len(ids) else -1
        if place < 0 or cosines[place] < nearness:
            place = len(ids)
            ids.append(-1 - len(joined))
        sums[place] += vector
        joined.append(ids[place])
    return joined


def comes_again(session: Session, group: GapGroup, asked_at: datetime) -> bool:
    """Whether a question asked at this time puts the group back on the list: after it was dismissed, or after the article
    that was to answer it was published."""
    if group.state == "dismissed":
        return group.decided_at is None or asked_at > group.decided_at
    article = session.get(Article, group.article_id) if group.state == "drafted" and group.article_id else None
    return article is not None and article.state == "published" and asked_at > article.changed_at


def waiting(session: Session) -> int:
    """How many gaps are not yet in a group."""
    return session.scalar(select(func.count()).where(Gap.group_id.is_(None))) or 0


def groups(
    session: Session, now: datetime, days: int, state: str = "open", reason: str = "", limit: int = 50
) -> list[Group]:
    """The groups in `state` with questions of the last `days` days (for `reason`, if given), most asked first."""
    since = now - timedelta(days=days)
    wanted = [Gap.asked_at >= since, *([Gap.reason == reason] if reason else [])]
    counted = session.execute(
        select(GapGroup, func.count(), func.max(Gap.asked_at))
        .join(Gap, Gap.group_id == GapGroup.id)
        .where(GapGroup.state == state, *wanted)
        .group_by(GapGroup.id)
        .order_by(func.count().desc(), func.max(Gap.asked_at).desc())
        .limit(limit)
    ).all()
    trend_from = min(since, now - timedelta(days=TREND_DAYS))
    asked: dict[int, list[tuple[str, datetime]]] = {group.id: [] for group, _, _ in counted}
    gaps = select(Gap.group_id, Gap.question, Gap.asked_at).where(Gap.group_id.in_(asked), Gap.asked_at >= trend_from)
    if reason:
        gaps = gaps.where(Gap.reason == reason)
    for gap in session.execute(gaps.order_by(Gap.id)):
        asked[gap.group_id].append((gap.question, gap.asked_at))
    return [
        Group(
            id=group.id,
            state=group.state,
            title=found[0].text,
            count=count,
            ways=len(found),
            last_asked=last_asked,
            daily=by_day([asked_at for _, asked_at in asked[group.id]], now),
        )
        for group, count, last_asked in counted
        for found in [ways([question for question, _ in asked[group.id]])]
    ]


def ways(questions: Sequence[str]) -> list[Way]:
    """The different ways of asking among `questions`, masked, most frequent first and then the shortest."""
    said: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for question in questions:
        masked = " ".join(mask(question).split())
        key = comparable(masked)
        said.setdefault(key, masked)
        counts[key] += 1
    return sorted((Way(said[key], count) for key, count in counts.items()), key=lambda way: (-way.count, len(way.text)))


def ways_of(newest_first: Sequence[Gap]) -> list[Way]:
    """The ways of asking of what `questions` gave."""
    return ways([gap.question for gap in reversed(newest_first)])


def ways_for_draft(newest_first: Sequence[Gap]) -> list[str]:
    """The ways of asking that a draft begins with. One with something covered up (我的电话•••，…) is no way to ask, so it is
    left out, unless nothing else was asked."""
    texts = [way.text[:QUESTION_LIMIT] for way in ways_of(newest_first)]
    return [text for text in texts if COVER not in text] or texts


def by_day(moments: Sequence[datetime], now: datetime) -> list[int]:
    """How many of the moments fall on each of the last TREND_DAYS days by China's clock, oldest first, today last."""
    today = local(now).date()
    counts = Counter((today - local(moment).date()).days for moment in moments)
    return [counts[ago] for ago in reversed(range(TREND_DAYS))]


def get_group(session: Session, group_id: int) -> GapGroup:
    """The group. Raises Refused (404)."""
    group = session.get(GapGroup, group_id)
    if group is None:
        raise Refused("not_found", 404)
    return group


def questions(session: Session, group_id: int, limit: int = 200) -> list[Gap]:
    """The newest gaps of a group, newest first. Their questions are as they were asked: mask before showing."""
    wanted = select(Gap).where(Gap.group_id == group_id).order_by(Gap.asked_at.desc(), Gap.id.desc()).limit(limit)
    return list(session.scalars(wanted))


def draft(
    session: Session, group_id: int, agency_code: str, category_code: str, author: Staff, now: datetime
) -> Article:
    """A draft whose question and other ways to ask are those of the group. Raises Refused when it was drafted already."""
    group = decide(session, group_id, "drafted", author, now)
    first, *others = ways_for_draft(questions(session, group_id))
    content = Content(
        question=first, variants=others[:VARIANTS_LIMIT], agency_code=agency_code, category_code=category_code
    )
    version = editing.create(session, content, author, now)
    group.article_id = version.article_id
    return session.get_one(Article, version.article_id)


def dismiss(session: Session, group_id: int, reason: str, by: Staff, now: datetime) -> None:
    """Take the group off the list, for a reason that is kept. Raises Refused without one."""
    reason = reason.strip()
    if not reason:
        raise Refused("reason_missing")
    if len(reason) > REASON_LIMIT:
        raise Refused("too_large")
    decide(session, group_id, "dismissed", by, now).reason = reason


def reopen(session: Session, group_id: int, by: Staff, now: datetime) -> None:
    """Put the group back on the list."""
    decide(session, group_id, "open", by, now)


def decide(session: Session, group_id: int, state: str, by: Staff, now: datetime) -> GapGroup:
    """Move the group, once: of two editors who press at the same time one is refused (409)."""
    group = session.get(GapGroup, group_id, with_for_update=True)
    if group is None:
        raise Refused("not_found", 404)
    if (group.state == "open") == (state == "open"):
        raise Refused("group_decided", 409)
    group.state, group.decided_by_id, group.decided_at = state, by.id, now
    return group
