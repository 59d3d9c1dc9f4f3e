"""Rasa's HTTP channel `line`: messages with a shared token, each answered once, and a path that says whether a model is
loaded."""

import hmac
import os
from collections.abc import Awaitable, Callable
from typing import Any, Optional

from rasa.core.channels.channel import CollectingOutputChannel, InputChannel, UserMessage
from rasa.shared.core.events import BotUttered, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker
from sanic import Blueprint, response
from sanic.request import Request
from sanic.response import HTTPResponse

from bot.tracker_store import Overtaken


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
            except Overtaken:
                return response.json({}, 409)

        return blueprint


def is_ready(request: Request) -> bool:
    """Whether the process that is asked has loaded its model."""
    agent = request.app.ctx.agent
    return bool(agent and agent.is_ready())


async def answer(agent: Any, body: dict[str, Any]) -> list[dict[str, Any]]:
    """What is replied to a message: what was replied before, if it has been answered, perhaps by another process. Raises
    Overtaken, and what Rasa raises; the turn then counts for nothing.

    Rasa's `Agent.handle_message` does the same without the look at what was answered, which has to happen under its lock.
    """
    collector = CollectingOutputChannel()
    message = UserMessage(
        body["message"],
        collector,
        body["sender"],
        input_channel=body["input_channel"],
        metadata=body["metadata"],
    )
    async with agent.lock_store.lock(message.sender_id):
        tracker = await agent.tracker_store.retrieve(message.sender_id)
        before = answered_before(tracker, message.metadata.get("filing_key")) if tracker else None
        if (
            before is not None
        ):  # nothing, if it failed: the dialogue has gone on all the same, and may not hear it again
            return before
        await agent.processor.handle_message(message)
    return collector.messages


def answered_before(tracker: DialogueStateTracker, key: Optional[str]) -> Optional[list[dict[str, Any]]]:
    """What was replied to the message with this key; None if it hasn't come before, or has no key."""
    replies: list[dict[str, Any]] = []
    for event in reversed(tracker.events):
        if isinstance(event, BotUttered):
            replies.insert(0, {"custom": event.data.get("custom")})
        elif isinstance(event, UserUttered):
            if key and event.metadata.get("filing_key") == key:
                return replies
            replies = []
    return None
