"""/api/v1/knowledge: search of the published knowledge, for citizens and for operators who are typing."""

from typing import Any

from flask_smorest import Blueprint

from backend.api.access import wants
from backend.api.schemas import AssistIn, ErrorOut, FoundOut, SearchIn, SuggestionOut
from backend.conversations.answers import answer_text
from backend.conversations.assist import assist, snippet
from backend.conversations.service import get_conversation
from backend.knowledge.service import Found
from backend.parts import parts

blueprint = Blueprint("knowledge", __name__, url_prefix="/api/v1/knowledge", description="Answers")


@blueprint.get("/search")
@blueprint.arguments(SearchIn, location="query")
@blueprint.response(200, FoundOut(many=True))
def search(query: dict[str, Any]) -> list[dict[str, Any]]:
    """The published articles nearest to a question, best first, with the verdict on the whole."""
    shared = parts()
    with shared.database.read() as session:
        found = shared.knowledge.search(session, query["q"], shared.clock(), query["limit"])
    return found_json(found)


@blueprint.get("/assist")
@wants("knowledge:assist")
@blueprint.arguments(AssistIn, location="query")
@blueprint.response(200, SuggestionOut(many=True))
@blueprint.alt_response(401, schema=ErrorOut, description="without a key")
@blueprint.alt_response(404, schema=ErrorOut, description="no such conversation")
def suggest(query: dict[str, Any]) -> list[dict[str, Any]]:
    """The same search for an operator's words as they are typed, complete or not; with a `conversation` in its context.
    404 when there is no such conversation."""
    shared, locale = parts(), "zh"
    with shared.database.read() as session:
        if query["conversation"]:
            locale = get_conversation(session, query["conversation"]).locale
        found = assist(session, shared.knowledge, query["q"], shared.clock(), query["limit"], query["conversation"])
    replies = [answer_text(article, locale, with_next_step=True) for article, _ in found.articles]
    return [
        row | {"snippet": snippet(reply, query["q"]), "reply": reply}
        for row, reply in zip(found_json(found), replies, strict=True)
    ]


def found_json(found: Found) -> list[dict[str, Any]]:
    """What was found, as the API shows it."""
    return [
        {
            "id": article.id,
            "question": article.question,
            "answer": article.answer,
            "speech": article.speech,
            "score": round(score, 4),
            "verdict": found.verdict,
            "sources": article.sources,
        }
        for article, score in found.articles
    ]
