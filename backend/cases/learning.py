"""What routing learns from, and when what it has learned is used.

On the first day it learns from the knowledge (every way to ask an article's question), from the agencies' duties and the
names of categories, from examples of urgency (nlu_data/urgency.csv), and from everyday questions that are none of a city's
business. Later also from cases: where an agency has signed for a case, dispatchers and agencies agree that it belongs there.
Every fifth case, chosen by its number, is never learned from: on these a new version is compared with the one in use.
"""

import csv
import hashlib
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from zlib import crc32

import numpy as np
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from backend.cases.linear import FEW, Linear, Said
from backend.cases.models import Case, CaseEvent, RoutingModel
from backend.cases.places import Place, gazetteer
from backend.clock import local
from backend.database import Database
from backend.directory.categories import UNSORTED_CATEGORY
from backend.directory.known import known_categories
from backend.directory.models import Agency
from backend.knowledge.embedding import Embedder, EmbeddingFailed, vectors
from backend.knowledge.models import Article
from backend.knowledge.search import STRANGERS
from backend.settings import ROOT

LINE_AGENCY: Final = "C-LINE"
STREET: Final = "street"
DISTRICT: Final = "district"
"""What a case of a street's office, or of a district's government, is learned as: which one it is, the place says."""
TARGETS: Final = ("category", "agency", "urgency", "risk")
CASES_LIMIT: Final = 10_000
"""The newest so many cases are learned from: some minutes' work for a night's job."""
LEAST_HELD_OUT: Final = 50
"""With fewer cases than this to compare two versions on, neither is known to be better; a new one is then used only if what
the city itself says (articles, duties, categories) has changed."""
KEPT: Final = 3
"""Replaced versions whose numbers are kept."""
MEANT: Final = 200
"""Characters of a text whose meaning is taken: the vector of more takes longer than a citizen should wait."""


@dataclass(frozen=True)
class Lesson:
    """A text with what is known of it (target -> label), the moment and place of a case, and the matter that it belongs to:
    texts of one matter are not used to judge each other."""

    text: str
    labels: Mapping[str, str]
    matter: str
    circumstances: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lessons:
    """All that there is to learn, and what is held out."""

    said_by_city: list[Lesson] = field(default_factory=list)
    cases: list[Lesson] = field(default_factory=list)
    held_out: list[Lesson] = field(default_factory=list)

    def digest(self) -> str:
        """SHA-256 of what the city itself says."""
        told = json.dumps([asdict(lesson) for lesson in self.said_by_city], ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()


def circumstances(moment: datetime, place: Place) -> tuple[str, ...]:
    """What else a request is known by: the month, night or day by China's clock, and the district."""
    then = local(moment)
    hour = "night" if then.hour >= 22 or then.hour < 6 else "day"
    return tuple(filter(None, (f"month {then.month}", hour, place.district)))


def gather(session: Session) -> Lessons:
    """All lessons that the record and the files have. What has a retired category teaches the rest of what it says."""
    used = known_categories(session)
    known = {agency.code: agency for agency in session.scalars(select(Agency))}
    lessons = Lessons()
    articles = select(Article).where(Article.state == "published").order_by(Article.id)
    for article in session.scalars(articles):
        labels = {"agency": line_of(known[article.agency_code])} | category_of(article, used)
        for text in filter(None, (article.question, article.question_en, *article.variants)):
            lessons.said_by_city.append(Lesson(text, labels, article.id))
    for agency in known.values():
        for duty in filter(None, agency.duties.split(";") if agency.level == 1 else []):
            lessons.said_by_city.append(Lesson(duty, {"agency": agency.code}, f"duties {agency.code}"))
    for category in used.values():
        labels = {"category": category.code, "agency": line_of(known[str(category.agency_code)])}
        lessons.said_by_city.append(Lesson(category.name, labels, f"category {category.code}"))
    for stranger in STRANGERS:
        labels = {"category": UNSORTED_CATEGORY, "agency": LINE_AGENCY}
        lessons.said_by_city.append(Lesson(stranger, labels, stranger))
    with (ROOT / "nlu_data" / "urgency.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            labels = {"urgency": row["urgency"], "risk": row["risk"]}
            lessons.said_by_city.append(Lesson(row["text"], labels, row["text"]))
    signed = select(CaseEvent.case_id).where(CaseEvent.act == "sign")
    newest = select(Case).where(Case.id.in_(signed)).order_by(Case.id.desc()).limit(CASES_LIMIT)
    for case in session.scalars(newest):
        place = gazetteer().find(case.place + case.what)
        labels = {"agency": line_of(known[case.agency_code]), "urgency": case.urgency} | category_of(case, used)
        lesson = Lesson(case.what, labels, case.number, circumstances(case.filed_at, place))
        (lessons.held_out if is_held_out(case.number) else lessons.cases).append(lesson)
    return lessons


def category_of(one: Article | Case, used: Container[str]) -> dict[str, str]:
    """Its category as a label; none where that takes no new cases."""
    return {"category": one.category_code} if one.category_code in used else {}


def line_of(agency: Agency) -> str:
    """What a case of this agency is learned as: the city agency whose line of work it is, a district's or a street's."""
    if agency.level == 3:
        return STREET
    if agency.level == 2:
        return DISTRICT if agency.parent_code == LINE_AGENCY else str(agency.parent_code)
    return agency.code


def is_held_out(number: str) -> bool:
    """Whether the case with this number is kept for comparing versions: the same fifth for ever."""
    return crc32(number.encode()) % 5 == 0


def learn(database: Database, embedder: Embedder | None, now: datetime) -> RoutingModel | None:
    """Learn anew from all that there is now. The version that comes of it is used when it is better on the cases held out;
    returns its row, or None when nothing has changed since the last time."""
    with database.read() as session:
        lessons = gather(session)
        newest = session.scalar(select(RoutingModel).order_by(RoutingModel.id.desc()).limit(1))
        used = in_use(session)
    if newest and (newest.knows, newest.cases) == (lessons.digest(), len(lessons.cases)):
        return None
    fresh = fit([*lessons.said_by_city, *lessons.cases], database, embedder)
    newest_held_out = lessons.held_out[: FEW - 1]
    asked = said_of(newest_held_out, None, embedder)
    figures: dict[str, Any] = {"held_out": len(asked), "new": judge(fresh, asked, newest_held_out)}
    if used is not None:
        figures["used"] = judge(used, asked, newest_held_out)
    numbers = fresh.pack()
    with database.write() as session:
        current = session.scalar(select(RoutingModel).where(RoutingModel.state == "in_use"))
        better = current is None or is_better(figures, current.knows != lessons.digest())
        made = RoutingModel(
            made_at=now,
            state="in_use" if better else "refused",
            knows=lessons.digest(),
            texts=len(lessons.said_by_city) + len(lessons.cases),
            cases=len(lessons.cases),
            figures=figures,
            numbers=numbers if better else None,
        )
        if better and current is not None:
            current.state = "replaced"
        session.add(made)
        session.flush()
        replaced = select(RoutingModel.id).where(RoutingModel.state == "replaced").order_by(RoutingModel.id.desc())
        old = list(session.scalars(replaced))[KEPT:]
        session.execute(update(RoutingModel).where(RoutingModel.id.in_(old)).values(numbers=None))
    return made


def is_better(figures: Mapping[str, Any], city_says_otherwise: bool) -> bool:
    """Whether the new version is to be used, by the probability (its mean logarithm) that each gave to what was true."""
    if figures["held_out"] < LEAST_HELD_OUT:
        return city_says_otherwise
    return bool(figures["new"]["likelihood"] > figures["used"]["likelihood"])


def fit(lessons: Sequence[Lesson], database: Database, embedder: Embedder | None) -> Linear:
    """A model of these lessons."""
    targets = {target: [lesson.labels.get(target) for lesson in lessons] for target in TARGETS}
    return Linear.fit(said_of(lessons, database, embedder), targets, [lesson.matter for lesson in lessons])


def said_of(lessons: Sequence[Lesson], database: Database | None, embedder: Embedder | None) -> list[Said]:
    """The lessons as a model takes them. The vectors of what the city says are kept in the database, if that is given; those
    of what citizens said never are."""
    texts = [lesson.text[:MEANT] for lesson in lessons]
    rows: dict[str, Any] = {}
    if embedder and texts and len(texts) < FEW:
        try:
            public = [lesson.text[:MEANT] for lesson in lessons if not lesson.circumstances]
            if database and public:
                rows.update(zip(public, vectors(database, embedder, "query", public), strict=True))
            others = list(dict.fromkeys(text for text in texts if text not in rows))
            if others:
                rows.update(zip(others, embedder.questions(others), strict=True))
        except EmbeddingFailed:
            rows = {}  # words alone
    return [
        Said(gazetteer().without(lesson.text), lesson.circumstances, rows.get(text))
        for lesson, text in zip(lessons, texts, strict=True)
    ]


def judge(model: Linear, asked: Sequence[Said], lessons: Sequence[Lesson]) -> dict[str, float]:
    """How a model does on cases: the share whose agency is its first or among its first three, and the mean logarithm of the
    probability that it gave to the right one."""
    if not asked:
        return {}
    labels, probabilities = model.probabilities("agency", asked)
    right = np.array([[lesson.labels["agency"] == label for label in labels] for lesson in lessons])
    order = np.argsort(-probabilities, axis=1)
    placed = np.take_along_axis(right, order, axis=1)
    given = np.where(right, probabilities, 0.0).sum(axis=1)
    return {
        "first": float(placed[:, 0].mean()),
        "first_three": float(placed[:, :3].any(axis=1).mean()),
        "likelihood": float(np.log(np.maximum(given, 1e-6)).mean()),
    }


def in_use(session: Session) -> Linear | None:
    """The model of the version in use, unpacked once a process; None on a line that has learned nothing yet."""
    row = session.execute(
        select(RoutingModel.id, RoutingModel.made_at, RoutingModel.knows).where(RoutingModel.state == "in_use")
    ).first()
    return None if row is None else unpacked(Version(session, *row))


@dataclass(frozen=True)
class Version:
    """What a version is known by, and the session that it can be read in, which makes no difference to what it is."""

    session: Session = field(compare=False)
    id: int
    made_at: datetime
    knows: str


@lru_cache(maxsize=2)
def unpacked(version: Version) -> Linear:
    """The model of a version."""
    return Linear.unpack(version.session.get_one(RoutingModel, version.id).numbers or b"")


def is_time_to_learn(database: Database, now: datetime) -> bool:
    """Whether it is time to learn anew: nothing was learned yet, or not since yesterday, and it is three at night."""
    with database.read() as session:
        newest = session.scalar(select(RoutingModel.made_at).order_by(RoutingModel.id.desc()).limit(1))
    then = local(now)
    return newest is None or (now - newest > timedelta(hours=20) and then.hour == 3 and then.minute < 5)
