"""How a number wishes to be spoken to, kept from one call to the next."""

import hashlib
import hmac

from sqlalchemy.orm import Session

from backend.settings import Settings
from ivr.models import CallerWish


def hashed(settings: Settings, number: str) -> str:
    """The number under a keyed hash (HMAC-SHA256), by which it is found again but can't be read."""
    return hmac.new(settings.secret_key.encode(), number.encode(), hashlib.sha256).hexdigest()


def wish_of(session: Session, settings: Settings, number: str | None) -> CallerWish | None:
    """What the owner of this number (E.164) has asked for before, or None."""
    return session.get(CallerWish, hashed(settings, number)) if number else None


def remember_wish(session: Session, settings: Settings, number: str | None, language: str, slow: bool) -> None:
    """Keep how this number wishes to be spoken to. Withheld numbers are not remembered."""
    if number is None:
        return
    wish = wish_of(session, settings, number) or CallerWish(number_hash=hashed(settings, number))
    wish.language, wish.slow = language, slow
    session.add(wish)
