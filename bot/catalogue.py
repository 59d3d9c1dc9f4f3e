"""Catalogues: everything the line says, by key and language, in YAML files beside the code that says it.

Each entry gives for `zh` and `en` either one sentence, or `text` (shown) and `speech` (spoken) where they differ. What only
the telephone says is there in Cantonese (`yue`) too.
"""

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
    """The phrases of one YAML file: {key: {zh: str | {text, speech}, en: ...}}."""

    def __init__(self, path: Path) -> None:
        self.entries: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))

    def say(self, key: str, locale: str, **facts: Any) -> Phrase:
        """The phrase `key` in `locale`, else in Chinese, with `{facts}` filled in. Raises KeyError for a key that isn't
        there."""
        entry = self.entries[key].get(locale) or self.entries[key]["zh"]
        text, speech = (entry, entry) if isinstance(entry, str) else (entry["text"], entry["speech"])
        return Phrase(text.format_map(facts).strip(), speech.format_map(facts).strip())

    def words(self, key: str, locale: str) -> str:
        """What is shown of the phrase `key`, for labels."""
        return self.say(key, locale).text
