"""What a conversation is about, read from its turns: the last answer, the district, and the citizen's own words."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.city import district_in
from backend.conversations.models import Turn
from backend.conversations.rules import PHOTO, chosen_message
from backend.conversations.safety import asks_for_person
from bot.client import Reply

REPLIES_BACK = 3
"""An answer is what a follow-up is about for so many replies: the answer itself, whether it helped, one unknown question."""
TURNS_BACK = 40
"""A district counts as long as it was named in so many turns: a whole filing, and some questions after it."""


@dataclass(frozen=True)
class Context:
    """What a question may leave unsaid: the answerable that the last answer gave, and the district spoken of."""

    about: str | None = None
    region: str = ""


def context_of(session: Session, conversation_id: str, question: str = "") -> Context:
    """The context in which `question` is asked; a district that it names itself comes before any named earlier."""
    turns = session.execute(
        select(Turn.speaker, Turn.text, Turn.article_id)
        .where(Turn.conversation_id == conversation_id)
        .order_by(Turn.number.desc())
        .limit(TURNS_BACK)
    ).all()
    spoken_of = [turn.article_id for turn in turns if turn.speaker == "bot"][:REPLIES_BACK]
    said = [question, *(turn.text for turn in turns if turn.speaker == "citizen")]
    return Context(
        about=next(filter(None, spoken_of), None),
        region=next(filter(None, map(district_in, said)), ""),
    )


def said_by_citizen(turns: Sequence[Turn]) -> list[tuple[Turn, Reply | None]]:
    """What the citizen said that is more than a choice or the wish for a person, each with the bot's reply before it."""
    said: list[tuple[Turn, Reply | None]] = []
    last: Reply | None = None
    for turn in turns:
        if turn.act == PHOTO:
            continue
        if turn.speaker == "citizen" and not asks_for_person(turn.text) and chosen_message(turn.text, last) is None:
            said.append((turn, last))
        last = Reply.from_json(turn.reply) if turn.speaker == "bot" and turn.reply else None
    return said
