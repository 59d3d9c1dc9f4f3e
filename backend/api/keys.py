"""Keys of the API: made, found, revoked. Each has scopes, and may be that of one agency's own system."""

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from flask_babel import lazy_gettext
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.api.models import ApiKey
from backend.directory.models import Agency
from backend.errors import Refused

SCOPES: Final = {
    "cases:read": lazy_gettext("查看工单"),
    "cases:file": lazy_gettext("登记工单"),
    "cases:act": lazy_gettext("办理工单"),
    "knowledge:assist": lazy_gettext("坐席知识提示"),
    "open311": lazy_gettext("通过 Open311 登记和补充"),
    "bot": lazy_gettext("智能助手"),
}
"""What a key may be good for -> what people call it."""

PREFIX: Final = "line_"
"""By it scanners of leaked secrets know a key of this line."""
USE_NOTED_EVERY: Final = timedelta(hours=1)


def make_key(
    session: Session, name: str, scopes: Collection[str], agency_code: str | None, now: datetime
) -> tuple[ApiKey, str]:
    """Make a key and return its row and, this once, the key itself. Raises Refused for what doesn't exist."""
    if not name.strip():
        raise Refused("name_missing")
    if not scopes:
        raise Refused("scopes_missing")
    for scope in scopes:
        if scope not in SCOPES:
            raise Refused("unknown_scope", scope=scope)
    if agency_code and session.get(Agency, agency_code) is None:
        raise Refused("unknown_agency", agency=agency_code)
    key = PREFIX + secrets.token_urlsafe(32)
    row = ApiKey(
        name=name.strip()[:60],
        begins=key[:10],
        key_hash=hash_of(key),
        scopes=sorted(scopes),
        agency_code=agency_code or None,
        made_at=now,
    )
    session.add(row)
    session.flush()
    return row, key


def find_key(session: Session, key: str) -> ApiKey | None:
    """The row of a key that has not been revoked."""
    row = session.scalar(select(ApiKey).where(ApiKey.key_hash == hash_of(key)))
    return row if row and row.revoked_at is None else None


def is_use_noted(row: ApiKey, now: datetime) -> bool:
    """Whether this use is near enough to the last one that was noted."""
    return row.used_at is not None and now - row.used_at < USE_NOTED_EVERY


def revoke(session: Session, key_id: int, now: datetime) -> None:
    """From now on this key opens nothing."""
    row = session.get(ApiKey, key_id)
    if row is None:
        raise Refused("not_found", 404)
    row.revoked_at = row.revoked_at or now


def keys(session: Session) -> list[ApiKey]:
    """All keys, those that were revoked last."""
    return list(session.scalars(select(ApiKey).order_by(ApiKey.revoked_at.is_not(None), ApiKey.id)))


def hash_of(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()
