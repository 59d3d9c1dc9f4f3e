"""/api/v1/conversations: what a chat page sends and hears, and what the bot asks about a conversation."""

from typing import Any

from flask_smorest import Blueprint

from backend.api.access import conversation_token, wants
from backend.api.schemas import (
    AnswerIn,
    ConversationIn,
    ConversationOut,
    FeedbackIn,
    MessageIn,
    MessageOut,
    ReplyOut,
    TurnsIn,
    TurnsOut,
)
from backend.chat import gateway
from backend.conversations import answers, service
from backend.errors import Refused
from backend.parts import parts
from bot.client import Reply

blueprint = Blueprint("conversations", __name__, url_prefix="/api/v1/conversations", description="Chats")


@blueprint.post("")
@blueprint.arguments(ConversationIn)
@blueprint.response(201, ConversationOut)
def begin(body: dict[str, Any]) -> dict[str, Any]:
    """Begin a chat."""
    started = gateway.begin(parts(), body["locale"])
    return {"id": started.id, "token": started.token, "replies": started.replies}


@blueprint.post("/<conversation_id>/messages")
@blueprint.arguments(MessageIn)
@blueprint.response(200, MessageOut)
def say(body: dict[str, Any], conversation_id: str) -> dict[str, Any]:
    """Say something in a chat."""
    taken = gateway.receive(parts(), conversation_id, conversation_token(), body["text"], body["key"])
    return {"replies": taken.replies, "state": taken.state}


@blueprint.get("/<conversation_id>/turns")
@blueprint.arguments(TurnsIn, location="query")
@blueprint.response(200, TurnsOut)
def turns(query: dict[str, Any], conversation_id: str) -> dict[str, Any]:
    """What was said since, by anybody: how a page resumes, and hears an operator."""
    with parts().database.read() as session:
        conversation = service.get_conversation(session, conversation_id, conversation_token())
        waiting = conversation.state == "waiting"
        return {
            "turns": [
                {
                    "number": turn.number,
                    "speaker": turn.speaker,
                    "text": turn.text,
                    "choices": reply.choices,
                    "sources": reply.sources,
                    "act": reply.act,
                    "said_at": turn.said_at,
                }
                for turn in service.turns_after(session, conversation_id, query["after"])
                for reply in [Reply.from_json(turn.reply) if turn.reply else Reply(turn.text, turn.text)]
            ],
            "state": conversation.state,
            "position": service.position(session, conversation) if waiting else None,
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
