"""What an operator is shown while they type or the citizen speaks: the same search, in the context of the conversation."""

import re
from datetime import datetime
from itertools import zip_longest

from sqlalchemy.orm import Session

from backend.conversations.context import context_of
from backend.knowledge.service import Answerable, Found, Knowledge
from backend.knowledge.text import grams, normalise

QUERY_LIMIT = 500
"""Characters of the citizen's last remarks that are looked up together."""
REMARKS = 3
"""The last remarks that are looked up together: what it is about is often said before what is asked."""
SNIPPET_LENGTH = 80


def assist(
    session: Session,
    knowledge: Knowledge,
    typed: str,
    now: datetime,
    limit: int,
    conversation_id: str | None = None,
) -> Found:
    """What is found for the operator's own words, complete or not; in a conversation, with its last answer and district
    in mind."""
    context = context_of(session, conversation_id, typed) if conversation_id else None
    if context is None:
        return knowledge.search(session, typed, now, limit)
    return knowledge.search(session, typed, now, limit, about=context.about, region=context.region)


def follow(
    session: Session, knowledge: Knowledge, remarks: list[str], now: datetime, limit: int, conversation_id: str
) -> list[Answerable]:
    """The answers nearest to the citizen's last remark, and in turn with them those nearest to the last few together."""
    asked = [remarks[-1], "，".join(remarks[-REMARKS:])[-QUERY_LIMIT:]] if remarks else []
    found = [assist(session, knowledge, one, now, limit, conversation_id).articles for one in dict.fromkeys(asked)]
    in_turn = {one[0].id: one[0] for some in zip_longest(*found) for one in some if one}
    return list(in_turn.values())[:limit]


def snippet(answer: str, query: str) -> str:
    """The sentence of the answer that shares most with what was asked, the first one if none does; cut to a line."""
    sentences = [part.strip() for part in re.split(r"(?<=[。！？；!?;])|(?<=\.)\s|\n", answer) if part.strip()]
    wanted = set(grams(normalise(query)))
    best = max(sentences, key=lambda sentence: len(wanted & set(grams(normalise(sentence)))), default="")
    return best if len(best) <= SNIPPET_LENGTH else f"{best[: SNIPPET_LENGTH - 1]}…"
