"""Hot words: what citizens say more often than usual, in a period, a district, a category.

A word counts once a case, however often the case says it. What is more than usual is told by log-odds with an informative
Dirichlet prior (Monroe, Colaresi & Quinn, "Fightin' Words", Political Analysis 16, 2008), not by raw counts, which would
show the same words every month. Nothing personal comes as far as the counts: texts are masked first, the tagger's names of
people are left out, and a word that fewer than LEAST cases say is not shown.

Counts are kept by day and by month (models.WordCell), each case in four cells: of its district and category, of either
alone, and of the whole city; so a page reads a few dozen rows, however many cases there are.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from math import log, sqrt
from typing import Any, Final

import rjieba
from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from backend.cases.models import Case
from backend.cases.places import gazetteer
from backend.cases.sameness import stop_words
from backend.clock import Clock, local
from backend.database import Database
from backend.insight.figures import UNKNOWN, Slice, month_after, with_all_below
from backend.insight.models import CaseFact, Mark, WordCell
from backend.insight.rollups import SETTLES_IN, locked_mark
from backend.knowledge.masking import COVER, mask

LEAST: Final = 3
"""Cases that must say a word before it is shown: what one citizen alone says is nobody else's to read."""
UNUSUAL: Final = 1.96
"""The least z-score of a hot word: less is found by chance more than once in twenty."""
PRIOR: Final = 500.0
"""Weight of the prior in words: so many words said in the usual way are added to each side."""
PHRASE: Final = 0.55
"""Normalised pointwise mutual information (Bouma 2009; 1: never apart) from which two neighbours are one phrase."""
USUAL_MONTHS: Final = 12
USUAL_CASES: Final = 100
"""Cases that a background needs before anything is compared with it."""
MOST: Final = 20_000
"""Words that one cell keeps; of a month of a great city the rarest are let go."""
AT_ONCE: Final = 2000
ALL: Final = "*"
JOINT: Final = "|"
"""Between the two words of a phrase."""

CLAUSES: Final = re.compile(rf"[，。！？；：、,.!?;:\s“”\"()（）《》【】…]+|{re.escape(COVER)}")
KINDS: Final = ("n", "v", "a", "j", "l", "i", "s")
"""Parts of speech (jieba's) that tell what something is about; nr, names of people, are none of them."""
HAN: Final = re.compile(r"[\u4e00-\u9fff]{2,}")


@dataclass(frozen=True)
class HotWord:
    """A word or phrase: in how many cases of the slice it is, in how many of the background, and how unusual that is (z)."""

    word: str
    cases: int
    usual: int
    z: float


@dataclass(frozen=True)
class HotWords:
    """The words, most unusual first, and with what they were compared: `before` (the same slice in the twelve months
    before), `city` (the whole city in the same period) or empty (nothing; the words are the most frequent ones)."""

    words: list[HotWord]
    compared: str
    cases: int


# --- of one text ----------------------------------------------------------------------------------------------------


def terms(text: str, places: bool = True) -> set[str]:
    """The words, the pairs of neighbouring words (joined by JOINT) and, if wanted, the places of one message. Pure."""
    found: set[str] = set()
    for clause in CLAUSES.split(mask(text)):
        for piece, is_place in gazetteer().pieces(clause):
            if is_place:
                found |= {piece} if places else set()
                continue
            before = ""
            for word, kind in rjieba.tag(piece):
                if not is_telling(word, kind):
                    before = ""
                    continue
                found.add(word)
                if before:
                    found.add(f"{before}{JOINT}{word}")
                before = word
    return found


def is_telling(word: str, kind: str) -> bool:
    """Whether a word says what a message is about."""
    return (
        kind.startswith(KINDS)
        and not kind.startswith("nr")
        and HAN.fullmatch(word) is not None
        and word not in stop_words()
    )


# --- of many --------------------------------------------------------------------------------------------------------


def hot(said: Mapping[str, int], usual: Mapping[str, int], limit: int) -> list[HotWord]:
    """The words of `said` (cases by term) that are more frequent than in `usual`, phrases in place of their parts. Pure."""
    phrases = phrases_of(said)
    said, usual = joined(said, phrases), joined(usual, phrases)
    found = [
        HotWord(word.replace(JOINT, ""), said[word], usual.get(word, 0), z)
        for word, z in log_odds(said, usual).items()
        if said[word] >= LEAST and z >= UNUSUAL
    ]
    return sorted(found, key=lambda one: (-one.z, one.word))[:limit]


def log_odds(said: Mapping[str, int], usual: Mapping[str, int]) -> dict[str, float]:
    """z-score of each word of `said`: the log of its odds here over its odds usually, by its standard deviation, with the
    words of both together as prior (Monroe et al. 2008, equations 15, 16, 22, 23). Pure."""
    here, there = sum(said.values()), sum(usual.values())
    if len({*said, *usual}) < 2:  # a word that is all that is ever said has no odds
        return {}
    found = {}
    for word, count in said.items():
        before = usual.get(word, 0)
        prior = PRIOR * (count + before) / (here + there)
        one, other = count + prior, before + prior
        odds = log(one / (here + PRIOR - one)) - log(other / (there + PRIOR - other))
        found[word] = odds / sqrt(1 / one + 1 / other)
    return found


def phrases_of(said: Mapping[str, int]) -> set[str]:
    """The pairs that are one phrase here. Pure."""
    whole = sum(count for term, count in said.items() if JOINT not in term)
    found = set()
    for pair, together in said.items():
        first, joint, second = pair.partition(JOINT)
        if joint and together >= LEAST and together < whole:
            share = together / whole
            expected = said.get(first, together) * said.get(second, together) / whole**2
            if log(share / expected) / -log(share) >= PHRASE:
                found.add(pair)
    return found


def joined(counts: Mapping[str, int], phrases: set[str]) -> dict[str, int]:
    """Counts of words and of these phrases; what a phrase says, its words don't say once more. Pure."""
    found = {term: count for term, count in counts.items() if JOINT not in term}
    for pair in phrases:
        if together := counts.get(pair, 0):
            for word in pair.split(JOINT):
                found[word] = max(0, found.get(word, 0) - together)
            found[pair] = together
    return {term: count for term, count in found.items() if count}


def most_frequent(said: Mapping[str, int], limit: int) -> list[HotWord]:
    """The most frequent words, where there is nothing to compare them with. Pure."""
    counts = Counter(joined(said, phrases_of(said)))
    return [
        HotWord(word.replace(JOINT, ""), count, 0, 0.0) for word, count in counts.most_common(limit) if count >= LEAST
    ]


# --- of the record --------------------------------------------------------------------------------------------------


def hot_words(session: Session, wanted: Slice, limit: int = 40) -> HotWords:
    """The hot words of a slice; its agency, channel and urgency are not looked at."""
    cases, said = counted(session, wanted, days_of(wanted))
    first = wanted.since.replace(day=1)
    year = date(first.year - 1, first.month, 1)
    backgrounds = [("before", wanted, [and_(WordCell.grain == "m", WordCell.at >= year, WordCell.at < first)])]
    if wanted.district or wanted.category:
        backgrounds.append(("city", Slice(wanted.since, wanted.until), days_of(wanted)))
    for name, where, when in backgrounds:
        usual_cases, usual = counted(session, where, when)
        if usual_cases >= max(USUAL_CASES, cases if name == "city" else 0):
            return HotWords(hot(said, usual, limit), name, cases)
    return HotWords(most_frequent(said, limit), "", cases)


def days_of(wanted: Slice) -> list[Any]:
    """The cells of the period: whole months, and days at its ends (as figures.in_period)."""
    first = wanted.since if wanted.since.day == 1 else month_after(wanted.since)
    last = max(first, wanted.until.replace(day=1))
    days = [(wanted.since, min(first, wanted.until)), (last, wanted.until)]
    parts = [and_(WordCell.grain == "d", WordCell.at >= begin, WordCell.at < end) for begin, end in days if begin < end]
    if first < last:
        parts.append(and_(WordCell.grain == "m", WordCell.at >= first, WordCell.at < last))
    return parts


def counted(session: Session, wanted: Slice, when: list[Any]) -> tuple[int, Counter[str]]:
    """How many cases, and of them by term, the cells of a slice hold."""
    categories = with_all_below(session, "category", wanted.category) if wanted.category else [ALL]
    district = "" if wanted.district == UNKNOWN else wanted.district or ALL
    query = select(WordCell.cases, WordCell.words).where(
        or_(*when), WordCell.district == district, WordCell.category.in_(categories)
    )
    cases, said = 0, Counter[str]()
    for number, words in session.execute(query):
        cases += number
        said.update(words)
    return cases, said


def count_words(database: Database, clock: Clock) -> None:
    """Count the words of cases that have come since the last time: what the clock does every minute. A case is counted under
    the category that it has some minutes after its filing."""
    while count_some(database, clock()):
        pass


def count_some(database: Database, now: datetime) -> bool:
    """AT_ONCE cases at most; whether there are more."""
    with database.write() as session:
        cases = session.get(Mark, "cases")
        if cases is None or cases.note:  # a rebuilding is under way: cases would be passed over
            return False
        mark = locked_mark(session, "words")
        query = select(CaseFact, Case.what, Case.place).join(Case, Case.id == CaseFact.case_id)
        ready = CaseFact.case_id > mark.value, CaseFact.filed_at <= now - SETTLES_IN
        rows = session.execute(query.where(*ready).order_by(CaseFact.case_id).limit(AT_ONCE)).all()
        add(session, ((fact, f"{place}，{what}") for fact, what, place in rows))
        if rows:
            mark.value = rows[-1][0].case_id
        mark.at = now
        return len(rows) == AT_ONCE


def add(session: Session, texts: Iterable[tuple[CaseFact, str]]) -> None:
    """Add cases to their cells."""
    new: dict[tuple[str, date, str, str], tuple[int, Counter[str]]] = {}
    for fact, text in texts:
        said = terms(text)
        for key in keys_of(fact):
            number, counts = new.get(key, (0, Counter()))
            counts.update(said)
            new[key] = number + 1, counts
    for key in sorted(new):
        number, counts = new[key]
        cell = session.get(WordCell, key)
        if cell is None:
            cell = WordCell(grain=key[0], at=key[1], district=key[2], category=key[3], cases=0, words={})
            session.add(cell)
        cell.cases += number
        cell.words = dict((Counter(cell.words) + counts).most_common(MOST))


def keys_of(fact: CaseFact) -> Iterator[tuple[str, date, str, str]]:
    """The keys of the cells of a case."""
    day = local(fact.filed_at).date()
    for grain, at in (("d", day), ("m", day.replace(day=1))):
        for district in (fact.district, ALL):
            for category in (fact.category, ALL):
                yield grain, at, district, category
