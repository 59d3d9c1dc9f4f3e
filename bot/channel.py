"""Rasa's HTTP channel `line`: messages with a shared token, each answered once, and a path that says whether a model is
loaded."""

import hmac
import os
from collections.abc import Awaitable, Callable
from typing import Any, Optional

from rasa.core.channels.channel import InputChannel, UserMessage
from rasa.shared.core.events import BotUttered, UserUttered
from sanic import Blueprint, response
from sanic.request import Request
from sanic.response import HTTPResponse


class NotKept(Exception):
    """The turn couldn't be stored: another process was quicker with one of the same dialogue, or there is no database."""


class LineInput(InputChannel):
    """The door that bot/client.py knocks at: POST /webhooks/line/webhook, GET /webhooks/line/ready."""

    @classmethod
    def name(cls) -> str:
        """The channel's place in the URL."""
        return "line"

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """The routes, closed to everybody without BOT_TOKEN."""
        blueprint = Blueprint("line")
        expected = f"Bearer {os.environ['BOT_TOKEN']}"

        @blueprint.middleware("request")
        async def check_token(request: Request) -> HTTPResponse | None:
            given = request.headers.get("Authorization", "")
            return None if hmac.compare_digest(given.encode(), expected.encode()) else response.json({}, 403)

        @blueprint.route("/ready", methods=["GET"])
        async def ready(request: Request) -> HTTPResponse:
            return response.json({"ready": is_ready(request)})

        @blueprint.route("/webhook", methods=["POST"])
        async def receive(request: Request) -> HTTPResponse:
            if not is_ready(request):
                return response.json({}, 503)
            try:
                return response.json(await answer(request.app.ctx.agent, request.json))
            except NotKept:
                return response.json({}, 409)

        return blueprint


def is_ready(request: Request) -> bool:
    """Whether the process that is asked has loaded its model."""
    agent = request.app.ctx.agent
    return bool(agent and agent.is_ready())


async def answer(agent: Any, body: dict[str, Any]) -> list[dict[str, Any]]:
    """What is replied to a message: what was replied before, if it has been heard, perhaps by another process; nothing if an
    action failed (the dialogue has gone on all the same, and may not hear it again). Raises NotKept, and what Rasa raises;
    the turn then counts for nothing.

    Rasa's `Agent.handle_message` does the same without the looks at what is stored, which have to happen under its lock. A
    store that can't save is no error to Rasa, which goes on in memory: so what is replied is what is found there afterwards.
    """
    message = UserMessage(
        body["message"], None, body["sender"], input_channel=body["input_channel"], metadata=body["metadata"]
    )
    async with agent.lock_store.lock(message.sender_id):
        replies = await kept(agent, message)
        if replies is None:
            await agent.processor.handle_message(message)
            replies = await kept(agent, message)
    if replies is None:
        raise NotKept
    return replies


async def kept(agent: Any, message: UserMessage) -> Optional[list[dict[str, Any]]]:
    """What the stored dialogue has as replies to this message, which it knows by its key; None if it hasn't heard it."""
    tracker = await agent.tracker_store.retrieve(message.sender_id)
    replies: list[dict[str, Any]] = []
    for event in reversed(tracker.events if tracker else ()):
        if isinstance(event, BotUttered):
            replies.insert(0, {"custom": event.data.get("custom")})
        elif isinstance(event, UserUttered):
            if event.metadata.get("filing_key") == message.metadata["filing_key"]:
                return replies
            replies = []
    return None
