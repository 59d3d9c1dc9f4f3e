"""Tables: keys of the API, and what Open311 keeps of a case beside the case itself."""

from datetime import datetime

from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from backend.audit import audited
from backend.cases.models import Case
from backend.database import Base, UtcDateTime


@audited("api_key", without=("used_at",), hidden=("key_hash",))
class ApiKey(Base):
    """A key with which another system uses the API. The key itself is shown once and kept nowhere."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(60))
    begins: Mapped[str] = mapped_column(String(12))  # its first characters, to tell it from others
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256; a key is random, so no salt is needed
    scopes: Mapped[list[str]] = mapped_column(JSON)  # keys of keys.SCOPES
    agency_code: Mapped[str | None] = mapped_column(
        ForeignKey("agencies.code")
    )  # acts as this agency; None: as the line
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # to the hour: not every request writes
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class PublicRequest(Base):
    """A case that was filed through Open311, with what its location parameter said. These cases alone are shown there."""

    __tablename__ = "open311_requests"

    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), primary_key=True)
    key_id: Mapped[int | None] = mapped_column(ForeignKey("api_keys.id"))  # whose client filed it; None: API_TOKEN
    address: Mapped[str] = mapped_column(String(300))
    address_id: Mapped[str] = mapped_column(String(80))
    latitude: Mapped[float | None]  # WGS 84
    longitude: Mapped[float | None]
    media_url: Mapped[str] = mapped_column(String(500))
    hidden: Mapped[bool] = mapped_column(default=False)  # the line has taken it out of the public's sight

    case: Mapped[Case] = relationship()
