"""How often one address on the network may ask for what costs something or can be guessed at, in one table; more is refused
with 429 in the citizen's language. Counted in Redis where there is one; without one, and while it can't be reached, in each
process for itself.

A company or a campus is one address, so the limits are far above what one person does. What comes from this machine is the
line itself (its bot, its benches), and what sends API_TOKEN is the bot elsewhere.
"""

import hmac
from ipaddress import ip_address
from typing import Final

from flask import Flask, request
from flask_limiter import Limiter

from backend.api.access import bearer_token
from backend.jobs.queue import REDIS_WAITS
from backend.settings import Settings

LIMITS: Final[dict[str, str]] = {
    "chat.case_page": "20 per minute; 120 per hour",
    "chat.act_on_case": "20 per minute; 120 per hour",
    "cases.case_state": "20 per minute; 120 per hour",
    "cases.file_case": "120 per minute; 3000 per hour",
    "conversations.begin": "30 per minute; 600 per hour",
    "conversations.say": "240 per minute",
    "open311.file_request": "60 per minute; 1000 per hour",
    "open311.add_update": "60 per minute; 1000 per hour",
    "console.log_in": "60 per minute",
}
"""Endpoint -> how often. Only what sends something counts; looking at the empty form does not. Wrong passwords
(directory/sessions.py) and wrong digits (cases/lookup.py) are counted besides, by name and by case number."""


def set_up_limits(app: Flask, settings: Settings) -> Limiter:
    """Put the limits on the application's views, after these have been registered."""
    limiter = Limiter(
        lambda: request.remote_addr or "",
        app=app,
        storage_uri=settings.redis_url or "memory://",
        strategy="moving-window",
        headers_enabled=True,  # Retry-After
        storage_options={**REDIS_WAITS} if settings.redis_url else {},
        in_memory_fallback_enabled=True,
        swallow_errors=True,  # whatever else it is, the line goes on
        key_prefix="line",
    )
    for endpoint, limit in LIMITS.items():
        held = limiter.limit(limit, methods=["POST"], exempt_when=lambda: is_the_line(settings))
        app.view_functions[endpoint] = held(app.view_functions[endpoint])  # type: ignore[assignment]  # stays synchronous
    return limiter


def is_the_line(settings: Settings) -> bool:
    """Whether the line itself asks."""
    try:
        here = ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        here = False
    return here or hmac.compare_digest(bearer_token().encode(), settings.api_token.encode())
