"""/api/v1/wordings: what the city says differently of the bot's phrases."""

from flask_smorest import Blueprint

from backend.api.access import wants
from backend.api.schemas import WordingOut
from backend.parts import parts

blueprint = Blueprint("wordings", __name__, url_prefix="/api/v1/wordings", description="Words of the line")


@blueprint.get("")
@wants("bot")
@blueprint.response(200, WordingOut(many=True))
def list_wordings() -> list[dict[str, str]]:
    """For the bot: every phrase of its own that is said differently from bot/phrases.yml."""
    changed = parts().wordings.of("bot")
    return [
        {"key": key, "language": language, "text": phrase.text, "speech": phrase.speech}
        for (key, language), phrase in changed.items()
    ]
