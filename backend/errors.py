"""Refusals that a person is told: a code, a status, and the sentence from errors.yml in their language."""

from pathlib import Path
from typing import Any

from bot.catalogue import Catalogue

SENTENCES = Catalogue(Path(__file__).with_name("errors.yml"))


class Refused(Exception):
    """Something that the line won't do. `code` is a key of errors.yml, `facts` fill its sentence."""

    def __init__(self, code: str, status: int = 422, **facts: Any) -> None:
        super().__init__(code)
        self.code = code
        self.status = status
        self.facts = facts

    def sentence(self, locale: str) -> str:
        """What the person is told."""
        return SENTENCES.say(self.code, locale, **self.facts).text
