"""What the line says in a city's own words: changes to the catalogues (bot/catalogue.py), over what is delivered.

A change holds in every process within two seconds. It can't break a call: the facts in braces must be those that are filled
in there, what is spoken must be speakable, by the rule that articles are held to, and emergency numbers stay.
"""

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from backend.audit import audited
from backend.database import Base, Database
from backend.errors import Refused
from backend.followed import Followed
from backend.knowledge.speech import LONGEST_SECONDS, problems
from bot.catalogue import Catalogue, Phrase

LONGEST: Final = 500
"""Characters of a wording; the longest <Say> and eight parts of a text message hold it."""
OPTIONAL: Final = frozenset({"city"})
"""Facts that a wording may leave out. All others are what it is said for: a number, a date, a place."""
EMERGENCY: Final = frozenset({"110", "119", "120", "122", "12356"})
"""Police, fire and rescue, ambulance, traffic accidents, and psychological help (12356 since 2025-05-01, National Health
Commission). A wording that sends people there goes on to say the number."""
DIGITS: Final = str.maketrans("〇零一幺二三四五六七八九０１２３４５６７８９", "0011234567890123456789")
CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


@audited("prompt")
class Wording(Base):
    """One phrase of a catalogue in one language, as the city says it. `speech` is `text` where the file has one sentence."""

    __tablename__ = "wordings"

    catalogue: Mapped[str] = mapped_column(String(20), primary_key=True)
    key: Mapped[str] = mapped_column(String(40), primary_key=True)
    language: Mapped[str] = mapped_column(String(3), primary_key=True)
    text: Mapped[str] = mapped_column(String(LONGEST))
    speech: Mapped[str] = mapped_column(String(LONGEST))


@dataclass(frozen=True)
class Fault:
    """Why a wording is refused: the language, and a refusal with the reason."""

    language: str
    refusal: Refused


class WordingRefused(Refused):
    """A wording that can't be said; `faults` has every reason."""

    def __init__(self, faults: list[Fault]) -> None:
        first = faults[0].refusal
        super().__init__(first.code, first.status, **first.facts)
        self.faults = faults


class Wordings:
    """The catalogues of one process, by name, which from now on say what the record has for them. Those that are `written`
    are never spoken."""

    def __init__(self, database: Database, catalogues: Mapping[str, Catalogue], written: frozenset[str]) -> None:
        self.catalogues, self.written = catalogues, written
        self.now: Followed[dict[str, dict[tuple[str, str], Phrase]]] = Followed(database, self._read, {})
        for name, catalogue in catalogues.items():
            catalogue.changed = partial(self.of, name)

    def of(self, name: str) -> Mapping[tuple[str, str], Phrase]:
        """What the city has changed of a catalogue, by key and language."""
        return self.now().get(name, {})

    def find(self, name: str, key: str) -> dict[str, Phrase]:
        """The phrase in each language, as it is said now. Raises Refused for one that isn't there."""
        delivered = self.delivered(name, key)
        changed = self.of(name)
        return {language: changed.get((key, language), phrase) for language, phrase in delivered.items()}

    def delivered(self, name: str, key: str) -> dict[str, Phrase]:
        """The phrase in each language, as it is delivered. Raises Refused for one that isn't there."""
        catalogue = self.catalogues.get(name)
        if catalogue is None or key not in catalogue.entries:
            raise Refused("not_found", 404)
        return {language: catalogue.delivered(key, language) for language in catalogue.entries[key]}

    def faults(self, name: str, key: str, wanted: Mapping[str, Phrase]) -> list[Fault]:
        """Why this wording can't be said, language by language."""
        spoken = name not in self.written
        return [
            Fault(language, refusal)
            for language, phrase in self.delivered(name, key).items()
            for refusal in refusals(wanted[language], phrase, language, spoken)
        ]

    def change(self, session: Session, name: str, key: str, wanted: Mapping[str, Phrase]) -> None:
        """Say the phrase like this from now on; what is as delivered needs no row. Raises WordingRefused."""
        if faults := self.faults(name, key, wanted):
            raise WordingRefused(faults)
        for language, phrase in self.delivered(name, key).items():
            row = session.get(Wording, (name, key, language))
            if wanted[language] == phrase:
                if row:
                    session.delete(row)
                continue
            row = row or Wording(catalogue=name, key=key, language=language)
            row.text, row.speech = wanted[language].text, wanted[language].speech
            session.add(row)

    def _read(self, session: Session) -> dict[str, dict[tuple[str, str], Phrase]]:
        """Everything that the city has changed, by catalogue, key and language. What a later release no longer says, or says
        with fewer facts, is left out: it couldn't be filled in."""
        found: dict[str, dict[tuple[str, str], Phrase]] = {}
        for row in session.scalars(select(Wording)):
            catalogue = self.catalogues.get(row.catalogue)
            if catalogue is None or row.language not in catalogue.entries.get(row.key, {}):
                continue
            wanted, delivered = Phrase(row.text, row.speech), catalogue.delivered(row.key, row.language)
            if facts_of(wanted) <= facts_of(delivered):
                found.setdefault(row.catalogue, {})[row.key, row.language] = wanted
        return found


def refusals(wanted: Phrase, delivered: Phrase, language: str, spoken: bool) -> list[Refused]:
    """Why one wording can't be said in place of the delivered one; empty when it can. Pure."""
    found = []
    for new, old in dict.fromkeys([(wanted.text, delivered.text), (wanted.speech, delivered.speech)]):
        if not new.strip():
            return [Refused("field_empty")]
        if len(new) > LONGEST or CONTROL.search(new):
            return [Refused("field_too_long", limit=LONGEST, length=len(new))]
        names, known = facts_in(new), facts_in(old) or set()
        if names is None:
            return [Refused("prompt_braces")]
        if names - known:
            found.append(Refused("prompt_fact_unknown", names=in_braces(names - known), known=in_braces(known) or "—"))
        if known - names - OPTIONAL:
            found.append(Refused("prompt_fact_missing", names=in_braces(known - names - OPTIONAL)))
        if gone := emergency_numbers(old) - emergency_numbers(new):
            found.append(Refused("prompt_number_missing", numbers=", ".join(sorted(gone))))
    if spoken and not found:
        old_problems = problems(without_facts(delivered.speech), language)
        for problem in problems(without_facts(wanted.speech), language):
            if problem not in old_problems:
                found.append(Refused(f"speech_{problem}", seconds=round(LONGEST_SECONDS)))
    return found


def facts_in(text: str) -> set[str] | None:
    """The names in braces, or None when the braces can't be read or hold more than a name."""
    try:
        parts = [part for part in string.Formatter().parse(text) if part[1] is not None]
    except ValueError:
        return None
    if any(not re.fullmatch(r"[a-z_]+", name or "") or how or change for _, name, how, change in parts):
        return None
    return {name for _, name, _, _ in parts if name}


def facts_of(phrase: Phrase) -> set[str]:
    """The facts of a phrase whose braces have been checked."""
    return facts_in(phrase.text + phrase.speech) or set()


def emergency_numbers(text: str) -> set[str]:
    """The emergency numbers that a sentence names, written (119) or as they are spoken (幺幺九, 1 1 9)."""
    digits = re.sub(r"(?<=\d) (?=\d)", "", text.translate(DIGITS))
    return set(re.findall(r"\d+", digits)) & EMERGENCY


def in_braces(names: set[str]) -> str:
    """Names as they stand in a wording."""
    return " ".join(f"{{{name}}}" for name in sorted(names))


def without_facts(text: str) -> str:
    """The wording with a word that any voice can say for each fact."""
    return re.sub(r"\{[a-z_]+\}", "一", text)


def filled(phrase: Phrase, facts: Mapping[str, Any]) -> Phrase:
    """The phrase with its facts filled in, for a preview; a name that isn't known stays as it is."""
    texts = [
        re.sub(r"\{([a-z_]+)\}", lambda found: str(facts.get(found[1], found[0])), text)
        for text in (phrase.text, phrase.speech)
    ]
    return Phrase(texts[0].strip(), texts[1].strip())
