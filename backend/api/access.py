"""Who may use the API: the bot and integrators by bearer token, a chat page by its conversation's own secret."""

import hmac
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import request

from backend.errors import Refused
from backend.parts import parts

P = ParamSpec("P")
R = TypeVar("R")


def with_api_token(view: Callable[P, R]) -> Callable[P, R]:
    """Only for who sends `Authorization: Bearer <API_TOKEN>`. Raises Refused (401)."""

    @wraps(view)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {parts().settings.api_token}".encode()):
            raise Refused("not_allowed", 401)
        return view(*args, **kwargs)

    return checked


def conversation_token() -> str:
    """The secret that the chat page sends with its requests; empty when it sends none."""
    return request.headers.get("X-Conversation-Token", "")
