"""Which language a request is answered in: ?lang=, the cookie that remembers it, else Chinese."""

from flask import g, request

from bot.catalogue import LOCALES

COOKIE = "lang"


def current_locale() -> str:
    """`zh` or `en` for this request. A JSON body's own `locale` comes first, as a chat page has its own switch."""
    if "locale" not in g:
        body = request.get_json(silent=True) if request.is_json else None
        asked = [
            body.get("locale") if isinstance(body, dict) else None,
            request.args.get("lang"),
            request.headers.get("X-Locale"),
            request.cookies.get(COOKIE),
        ]
        g.locale = next((choice for choice in asked if choice in LOCALES), "zh")
    locale: str = g.locale
    return locale
