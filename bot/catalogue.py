"""Catalogues: everything the line says, by key and language, in YAML files beside the code that says it.

Each entry gives for `zh` and `en` either one sentence, or `text` (shown) and `speech` (spoken) where they differ. What only
the telephone says is there in Cantonese (`yue`) too. A city may have changed the wording of some (`changed`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

LOCALES = ("zh", "en")


@dataclass(frozen=True)
class Phrase:
    """What is shown and what is spoken."""

    text: str
    speech: str


class Catalogue:
    """The phrases of one YAML file: {key: {zh: str | {text, speech}, en: ...}}. `changed` gives those of a city by key and
    language, which come before the file's."""

    def __init__(self, path: Path) -> None:
        self.entries: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
        self.changed: Callable[[], Mapping[tuple[str, str], Phrase]] = dict

    def say(self, key: str, locale: str, **facts: Any) -> Phrase:
        """The phrase `key` in `locale`, else in Chinese, with `{facts}` filled in. Raises KeyError for a key that isn't
        there."""
        language = locale if self.entries[key].get(locale) else "zh"
        phrase = self.changed().get((key, language)) or self.delivered(key, language)
        return Phrase(phrase.text.format_map(facts).strip(), phrase.speech.format_map(facts).strip())

    def delivered(self, key: str, language: str) -> Phrase:
        """The phrase as the file has it, with its `{facts}`. Raises KeyError."""
        entry = self.entries[key][language]
        return Phrase(entry, entry) if isinstance(entry, str) else Phrase(entry["text"], entry["speech"])

    def words(self, key: str, locale: str) -> str:
        """What is shown of the phrase `key`, for labels."""
        return self.say(key, locale).text
