"""Hints for speech recognition: names that a caller is likely to say, from the starter data."""

import csv
from functools import cache
from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "nlu_data"
HINT_LIMIT = 500
"""Hints of one <Gather> at most (voice/twiml/gather)."""


@cache
def speech_hints() -> str:
    """Districts, streets and kinds of matters, separated by commas."""
    with (DATA / "agencies.csv").open(encoding="utf-8", newline="") as file:
        agencies = list(csv.DictReader(file))
    with (DATA / "categories.csv").open(encoding="utf-8", newline="") as file:
        matters = [row["name"] for row in csv.DictReader(file) if row["parent"]]
    districts = [row["district"] for row in agencies if row["level"] == "2"]
    streets = [row["name"] for row in agencies if row["level"] == "3"]
    return ",".join(list(dict.fromkeys(["人工", "工单", *districts, *matters, *streets]))[:HINT_LIMIT])
