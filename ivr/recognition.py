"""Speech recognition: the names that a caller is likely to say, as hints, and what was recognised in the words that the bot
has learned."""

import csv
import re
from functools import cache
from pathlib import Path

from opencc import OpenCC

DATA = Path(__file__).resolve().parents[1] / "nlu_data"
HINT_LIMIT = 500
"""Hints of one <Gather> at most (voice/twiml/gather)."""

TO_SIMPLIFIED, TO_HONG_KONG = OpenCC("hk2s"), OpenCC("s2hk")


@cache
def speech_hints(language: str) -> str:
    """Districts, streets, estates and kinds of matters in the language's own script, separated by commas."""
    with (DATA / "agencies.csv").open(encoding="utf-8", newline="") as file:
        agencies = list(csv.DictReader(file))
    with (DATA / "categories.csv").open(encoding="utf-8", newline="") as file:
        matters = [row for row in csv.DictReader(file) if row["parent"]]
    if language == "en":
        return ",".join(["operator", "case", *(row["name_en"].replace(",", "") for row in matters)][:HINT_LIMIT])
    with (DATA / "places.csv").open(encoding="utf-8", newline="") as file:
        places = [row["community"] for row in csv.DictReader(file) if row["community"]]
    districts = [row["district"] for row in agencies if row["level"] == "2"]
    streets = [row["name"] for row in agencies if row["level"] == "3"]
    names = ["人工", "工单", *districts, *(row["name"] for row in matters), *streets, *places]
    hints = ",".join(list(dict.fromkeys(names))[:HINT_LIMIT])
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
