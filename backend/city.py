"""Facts of the city that pages and prompts name, from nlu_data/city.yml."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

CITY_FILE = Path(__file__).resolve().parents[1] / "nlu_data" / "city.yml"


@cache
def city() -> dict[str, Any]:
    """The whole file."""
    loaded: dict[str, Any] = yaml.safe_load(CITY_FILE.read_text(encoding="utf-8"))
    return loaded


def city_name(locale: str) -> str:
    """The city's name in Chinese or English."""
    return str(city()["name_en"] if locale == "en" else city()["name"])


def district_in(text: str) -> str:
    """The Chinese name of the district that `text` names last, with or without 区, 县 or District; empty for none."""
    lower = text.lower()
    named = {
        name: max(lower.rfind(name[:-1]), lower.rfind(english.rsplit(" ", 1)[0].lower()))
        for name, english in city()["districts"].items()
    }
    last = max(named, key=lambda name: named[name])
    return last if named[last] >= 0 else ""
