"""/api/v1/knowledge: search of the published knowledge."""

from typing import Any

from flask_smorest import Blueprint

from backend.api.schemas import FoundOut, SearchIn
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
