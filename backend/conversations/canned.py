"""Canned phrases: what operators say again and again, written once for the city."""

import re
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.conversations.models import CannedPhrase
from backend.errors import Refused

CODE: Final = re.compile(r"[A-Za-z0-9_-]{1,20}")
TEXT_LIMIT: Final = 500


@dataclass(frozen=True)
class PhraseContent:
    """What the form of a phrase holds. `{name}` in a text is the operator's own name."""

    code: str
    position: int
    text_zh: str
    text_en: str
    active: bool = True


def phrases(session: Session, all_of_them: bool = False) -> list[CannedPhrase]:
    """The phrases in the city's order; the first nine have a key each."""
    wanted = select(CannedPhrase).order_by(CannedPhrase.position, CannedPhrase.code)
    return list(session.scalars(wanted if all_of_them else wanted.where(CannedPhrase.active)))


def save(session: Session, content: PhraseContent, new: bool) -> None:
    """Write a phrase. Raises Refused for a code that is malformed, taken or not there, and for empty or long texts."""
    if not CODE.fullmatch(content.code):
        raise Refused("code_malformed")
    if not content.text_zh or not content.text_en:
        raise Refused("something_empty")
    if max(len(content.text_zh), len(content.text_en)) > TEXT_LIMIT:
        raise Refused("too_large")
    there = session.get(CannedPhrase, content.code)
    if new and there:
        raise Refused("code_there", name=content.code)
    if not new and there is None:
        raise Refused("not_found", 404)
    phrase = there or CannedPhrase(code=content.code)
    phrase.position, phrase.active = content.position, content.active
    phrase.text_zh, phrase.text_en = content.text_zh, content.text_en
    session.add(phrase)


def said_by(phrase: CannedPhrase, locale: str, name: str) -> str:
    """The phrase as this operator says it."""
    return (phrase.text_en if locale == "en" else phrase.text_zh).replace("{name}", name)
