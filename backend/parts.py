"""What the views of one process share: settings, record, clock, bot, knowledge, embedder, telephone, wordings, the
line's settings and hints for speech recognition, made once by app.py."""

from collections.abc import Mapping
from dataclasses import dataclass

from flask import current_app

from backend.clock import Clock
from backend.conversations.summary import Summarizer
from backend.conversations.telephone import Telephone
from backend.database import Database
from backend.followed import Followed
from backend.knowledge.embedding import Embedder
from backend.knowledge.service import Knowledge
from backend.line_settings import SettingsKept
from backend.settings import Settings
from backend.wordings import Wordings
from bot.client import Bot


@dataclass(frozen=True)
class Parts:
    """The parts that a request works with."""

    settings: Settings
    database: Database
    clock: Clock
    bot: Bot
    knowledge: Knowledge
    embedder: Embedder | None
    telephone: Telephone
    wordings: Wordings
    line_settings: SettingsKept
    speech_hints: Followed[Mapping[str, str]]  # by language: names that callers are likely to say
    summarizer: Summarizer | None  # None: no service writes summaries


def parts() -> Parts:
    """The parts of the application that handles this request."""
    found: Parts = current_app.extensions["parts"]
    return found
