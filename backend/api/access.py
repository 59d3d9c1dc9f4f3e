"""Who may use the API: another system by its key, the bot by API_TOKEN, a chat page by its conversation's own secret."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import g, request
from flask_smorest import Blueprint

from backend.api.keys import SCOPES, find_key, is_use_noted
from backend.api.models import ApiKey
from backend.cases.service import Actor
from backend.errors import Refused
from backend.parts import parts

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Caller:
    """Which system asks: one with a key, or (`key_id` None) whoever has API_TOKEN, which is good for everything."""

    key_id: int | None = None
    name: str = ""
    agency_code: str | None = None
    scopes: frozenset[str] = frozenset(SCOPES)

    @property
    def actor(self) -> Actor:
        """Who acts on a case when this system does: its agency, or else the line's dispatching."""
        role = "agency" if self.agency_code else "dispatcher"
        return Actor(role, agency_code=self.agency_code, system=self.name)


def find_caller(token: str) -> Caller | None:
    """Whose token this is; None: nobody's."""
    shared = parts()
    if hmac.compare_digest(token.encode(), shared.settings.api_token.encode()):
        return Caller()
    now = shared.clock()
    with shared.database.read() as session:
        row = find_key(session, token) if token else None
    if row is None:
        return None
    if not is_use_noted(row, now):
        with shared.database.write() as session:
            session.get_one(ApiKey, row.id).used_at = now
    return Caller(row.id, row.name, row.agency_code, frozenset(row.scopes))


def wants(scope: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A view for who sends `Authorization: Bearer <key>` and whose key has `scope`, which is the one place where scopes are
    checked. Raises Refused (401 without a key, 403 without the scope)."""
    assert scope in SCOPES

    def guard(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            g.caller = allowed_caller(bearer_token(), scope)
            return view(*args, **kwargs)

        guarded.wanted_scope = scope  # type: ignore[attr-defined]  # a test asks every view of the API for it
        described: Callable[P, R] = Blueprint.doc(security=[{"key": []}], **{"x-scope": scope})(guarded)
        return described

    return guard


def allowed_caller(token: str, scope: str) -> Caller:
    """Whose token this is, if it has the scope; else raises Refused."""
    found = find_caller(token)
    if found is None:
        raise Refused("not_allowed", 401)
    if scope not in found.scopes:
        raise Refused("key_scope", 403, scope=scope)
    return found


def caller() -> Caller:
    """Which system asks; only for views that `wants` guards."""
    found: Caller = g.caller
    return found


def bearer_token() -> str:
    """The token of the Authorization header; empty when there is none."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def conversation_token() -> str:
    """The secret that the chat page sends with its requests; empty when it sends none."""
    return request.headers.get("X-Conversation-Token", "")
