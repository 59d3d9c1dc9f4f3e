"""What must be understood without the bot: danger, and the wish for a person. Pure; the words are data."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

WORDS_FILE = Path(__file__).resolve().parents[2] / "nlu_data" / "safety.yml"


@dataclass(frozen=True)
class Danger:
    """A kind of danger and the number to call; `kind` is a key of phrases.yml after `danger_`."""

    kind: str
    number: str
    expressions: re.Pattern[str]
    unless: re.Pattern[str]


@cache
def dangers() -> tuple[Danger, ...]:
    """The dangers of nlu_data/safety.yml, in the order in which they are looked for."""
    return tuple(
        Danger(
            kind=entry["kind"],
            number=entry["number"],
            expressions=re.compile("|".join(entry["expressions"]), re.IGNORECASE),
            unless=re.compile("|".join(entry["unless"]), re.IGNORECASE),
        )
        for entry in yaml.safe_load(WORDS_FILE.read_text(encoding="utf-8"))["dangers"]
    )


@cache
def person_words() -> frozenset[str]:
    """The expressions that, said on their own, ask for a person."""
    return frozenset(yaml.safe_load(WORDS_FILE.read_text(encoding="utf-8"))["person"])


def find_danger(text: str) -> Danger | None:
    """The first danger that `text` speaks of and doesn't deny, or None.

    A denial only covers the words that it stands over: in 不是着火，是煤气泄漏 the gas is still found.
    """
    squeezed = re.sub(r"(?<=[^\x00-\x7f])\s+|\s+(?=[^\x00-\x7f])", "", text)
    for danger in dangers():
        covered = [match.span() for match in danger.unless.finditer(squeezed)]
        for match in danger.expressions.finditer(squeezed):
            if not any(start < match.end() and match.start() < end for start, end in covered):
                return danger
    return None


def asks_for_person(text: str) -> bool:
    """Whether `text`, politeness and punctuation aside, is nothing but the wish for a person."""
    return plain(text) in person_words()


def plain(text: str) -> str:
    """`text` in lower case without punctuation, particles and politeness at its ends, for comparing short answers."""
    bare = re.sub(r"[^\w\s]", "", text.strip().lower())
    bare = re.sub(r"^(嗯+|呃+|那个|那|请|麻烦你?|我说|喂)|(吧|啊|呢|呀|哦|嘛|谢谢|please)$", "", bare.strip())
    return bare.strip()
