"""Tables: agencies (three levels), categories (two levels), staff."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from backend.database import Base, UtcDateTime


class Agency(Base):
    """承办单位: an agency that works cases. Level 1 is the city, 2 a district, 3 a street or town."""

    __tablename__ = "agencies"

    code: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    level: Mapped[int]
    parent_code: Mapped[str | None] = mapped_column(ForeignKey("agencies.code"))
    district: Mapped[str] = mapped_column(String(40))
    duties: Mapped[str] = mapped_column(String(500), default="")


class Category(Base):
    """What a case is about; second-level categories name the city agency that answers for them."""

    __tablename__ = "categories"

    code: Mapped[str] = mapped_column(String(40), primary_key=True)
    parent_code: Mapped[str | None] = mapped_column(ForeignKey("categories.code"))
    name: Mapped[str] = mapped_column(String(100))
    name_en: Mapped[str] = mapped_column(String(100))
    agency_code: Mapped[str | None] = mapped_column(ForeignKey("agencies.code"))


class Staff(Base):
    """Somebody who works the line; `role` is a key of `rules.RIGHTS`."""

    __tablename__ = "staff"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(60), unique=True)
    name: Mapped[str] = mapped_column(String(60))
    password_hash: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(20))
    agency_code: Mapped[str | None] = mapped_column(ForeignKey("agencies.code"))
    telephone: Mapped[str | None] = mapped_column(String(60))  # where calls are put through: +86… or client:name
    ready: Mapped[bool] = mapped_column(default=False)
    seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    agency: Mapped[Agency | None] = relationship()
