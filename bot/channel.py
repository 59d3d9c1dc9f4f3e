"""Rasa's HTTP channel `line`: its REST channel with a shared token, and a path that says whether a model is loaded."""

import hmac
import os
from collections.abc import Awaitable, Callable
from typing import Any

from rasa.core.channels.channel import UserMessage
from rasa.core.channels.rest import RestInput
from sanic import Blueprint, response
from sanic.request import Request
from sanic.response import HTTPResponse


class LineInput(RestInput):
    """The door that bot/client.py knocks at: POST /webhooks/line/webhook, GET /webhooks/line/ready."""

    @classmethod
    def name(cls) -> str:
        """The channel's place in the URL."""
        return "line"

    def blueprint(self, on_new_message: Callable[[UserMessage], Awaitable[Any]]) -> Blueprint:
        """Rasa's REST routes, closed to everybody without BOT_TOKEN."""
        blueprint = super().blueprint(on_new_message)
        expected = f"Bearer {os.environ['BOT_TOKEN']}"

        @blueprint.middleware("request")
        async def check_token(request: Request) -> HTTPResponse | None:
            given = request.headers.get("Authorization", "")
            return None if hmac.compare_digest(given.encode(), expected.encode()) else response.json({}, 403)

        @blueprint.route("/ready", methods=["GET"])
        async def ready(request: Request) -> HTTPResponse:
            agent = request.app.ctx.agent
            return response.json({"ready": bool(agent and agent.is_ready())})

        return blueprint
