"""Speech recognition: the names that a caller is likely to say, as hints, and what was recognised in the words that the bot
has learned."""

import csv
import re
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path

from opencc import OpenCC
from sqlalchemy.orm import Session

from backend.directory.known import Stand, agencies_at, categories_at, stand_of
from ivr.twiml import SPEECH_LANGUAGES

DATA = Path(__file__).resolve().parents[1] / "nlu_data"
HINT_LIMIT = 500
"""Hints of one <Gather> at most (voice/twiml/gather)."""

TO_SIMPLIFIED, TO_HONG_KONG = OpenCC("hk2s"), OpenCC("s2hk")


def speech_hints(session: Session) -> Mapping[str, str]:
    """By language: districts, streets, estates and kinds of matters in its own script, separated by commas."""
    stand = stand_of(session)
    return {language: hints_at(stand, language) for language in SPEECH_LANGUAGES}


@lru_cache(maxsize=6)
def hints_at(stand: Stand, language: str) -> str:
    """The hints for one stand of the directory."""
    matters = categories_at(stand).values()
    if language == "en":
        return ",".join(["operator", "case", *(one.name_en.replace(",", "") for one in matters)][:HINT_LIMIT])
    with (DATA / "places.csv").open(encoding="utf-8", newline="") as file:
        places = [row["community"] for row in csv.DictReader(file) if row["community"]]
    agencies = agencies_at(stand).values()
    districts = [one.district for one in agencies if one.level == 2 and one.district]
    streets = [one.name for one in agencies if one.level == 3]
    names = ["人工", "工单", *districts, *(one.name for one in matters), *streets, *places]
    hints = ",".join([name.replace(",", "") for name in dict.fromkeys(names)][:HINT_LIMIT])
    return TO_HONG_KONG.convert(hints) if language == "yue" else hints


def in_written_words(speech: str, language: str) -> str:
    """What was recognised as the bot has learned to read it: Cantonese in simplified signs and common written words."""
    if language != "yue":
        return speech
    spoken = re.sub("|".join(map(re.escape, cantonese())), lambda word: cantonese()[word[0]], speech)
    written: str = TO_SIMPLIFIED.convert(spoken)
    return written


@cache
def cantonese() -> dict[str, str]:
    """Words that only Cantonese has -> written Chinese; longest first, so that 唔知 is found before 唔."""
    with (DATA / "cantonese.csv").open(encoding="utf-8", newline="") as file:
        words = {row["cantonese"]: row["mandarin"] for row in csv.DictReader(file)}
    return dict(sorted(words.items(), key=lambda word: -len(word[0])))
