"""/api/v1/conversations: what a chat page sends and hears, and what the bot asks about a conversation."""

from typing import Any, Final

from flask import request
from flask_smorest import Blueprint

from backend.api.access import conversation_token, wants
from backend.api.schemas import (
    AnswerIn,
    ConversationIn,
    ConversationOut,
    FeedbackIn,
    MessageIn,
    MessageOut,
    PhotoIn,
    PhotoKeyIn,
    ReplyOut,
    TurnsIn,
    TurnsOut,
)
from backend.attachments import BYTES_LIMIT
from backend.chat import gateway
from backend.conversations import answers, service
from backend.errors import Refused
from backend.parts import parts
from bot.client import Reply

blueprint = Blueprint("conversations", __name__, url_prefix="/api/v1/conversations", description="Chats")

PHOTO_REQUEST_LIMIT: Final = BYTES_LIMIT + 100_000


@blueprint.url_value_preprocessor
def allow_photos(endpoint: str | None, _: dict[str, Any] | None) -> None:
    """Let a photo come with a request. This must be set before the form is read."""
    if endpoint == "conversations.send_photo":
        request.max_content_length = PHOTO_REQUEST_LIMIT


@blueprint.post("")
@blueprint.arguments(ConversationIn)
@blueprint.response(201, ConversationOut)
def begin(body: dict[str, Any]) -> dict[str, Any]:
    """Begin a chat."""
    leaving = (body["leaving"], conversation_token()) if body["leaving"] else None
    started = gateway.begin(parts(), body["locale"], leaving)
    return {"id": started.id, "token": started.token, "replies": started.replies}


@blueprint.post("/<conversation_id>/messages")
@blueprint.arguments(MessageIn)
@blueprint.response(200, MessageOut)
def say(body: dict[str, Any], conversation_id: str) -> dict[str, Any]:
    """Say something in a chat."""
    taken = gateway.receive(parts(), conversation_id, conversation_token(), body["text"], body["key"])
    return {"replies": taken.replies, "state": taken.state}


@blueprint.post("/<conversation_id>/photos")
@blueprint.arguments(PhotoIn, location="files")
@blueprint.arguments(PhotoKeyIn, location="form")
@blueprint.response(200, MessageOut)
def send_photo(files: dict[str, Any], form: dict[str, Any], conversation_id: str) -> dict[str, Any]:
    """Send a photo in a chat. It goes along to the case that comes of the chat."""
    photo = files["photo"]
    sent = (photo.read(), photo.filename or "", form["key"])
    taken = gateway.receive_photo(parts(), conversation_id, conversation_token(), *sent)
    return {"replies": taken.replies, "state": taken.state}


@blueprint.post("/<conversation_id>/typing")
@blueprint.response(204)
def note_typing(conversation_id: str) -> None:
    """The citizen is typing, said every 3 seconds at most while a person may be reading."""
    with parts().database.write() as session:
        conversation = service.get_conversation(session, conversation_id, conversation_token())
        service.citizen_types(session, conversation, parts().clock())


@blueprint.get("/<conversation_id>/turns")
@blueprint.arguments(TurnsIn, location="query")
@blueprint.response(200, TurnsOut)
def turns(query: dict[str, Any], conversation_id: str) -> dict[str, Any]:
    """What was said since, by anybody: how a page resumes, and hears an operator."""
    shared, now = parts(), parts().clock()
    with shared.database.read() as session:
        conversation = service.get_conversation(session, conversation_id, conversation_token())
        waiting = conversation.state == "waiting"
        photos = gateway.photos_of(shared, session, conversation_id)
        return {
            "turns": [
                {
                    "number": turn.number,
                    "speaker": turn.speaker,
                    "text": turn.text,
                    "choices": reply.choices,
                    "sources": reply.sources,
                    "act": reply.act,
                    "photos": photos.get(turn.id, []),
                    "said_at": turn.said_at,
                }
                for turn in service.turns_after(session, conversation_id, query["after"])
                for reply in [Reply.from_json(turn.reply) if turn.reply else Reply(turn.text, turn.text)]
            ],
            "state": conversation.state,
            "position": service.position(session, conversation) if waiting else None,
            "minutes": service.minutes_to_wait(session, conversation, now) if waiting else None,
            "typing": service.is_typing(conversation.operator_typing_at, now),
        }


@blueprint.post("/<conversation_id>/answer")
@wants("bot")
@blueprint.arguments(AnswerIn)
@blueprint.alt_response(200, schema=ReplyOut)
def answer(body: dict[str, Any], conversation_id: str) -> dict[str, Any]:
    """For the bot: the reply to a citizen's question, as bot/client.py's contract has it."""
    if not (body["question"] or body["article"]):
        raise Refused("bad_request")
    shared = parts()
    looked_up = (shared.database, shared.knowledge, conversation_id)
    if body["in_form"]:
        return answers.answer_aside(*looked_up, body["question"] or "", shared.clock).to_json()
    if body["article"]:
        return answers.give_article(*looked_up, body["article"], shared.clock).to_json()
    return answers.answer_question(*looked_up, body["question"], shared.clock).to_json()


@blueprint.post("/<conversation_id>/feedback")
@wants("bot")
@blueprint.arguments(FeedbackIn)
@blueprint.alt_response(200, schema=ReplyOut)
def feedback(body: dict[str, Any], conversation_id: str) -> dict[str, Any]:
    """For the bot: the reply to whether the last answer helped."""
    shared = parts()
    return answers.take_feedback(shared.database, conversation_id, body["solved"], shared.clock).to_json()
