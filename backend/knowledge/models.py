"""Tables: articles with their other ways to be asked, the version of the published whole, and gaps."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from backend.database import Base, UtcDateTime


class Article(Base):
    """One answer of the city. Only `published` articles inside their dates are ever given to a citizen."""

    __tablename__ = "articles"

    id: Mapped[str] = mapped_column(String(80), primary_key=True)
    question: Mapped[str] = mapped_column(String(300))
    question_en: Mapped[str] = mapped_column(String(300), default="")
    variants: Mapped[list[str]] = mapped_column(JSON, default=list)
    answer: Mapped[str] = mapped_column(Text)
    next_step: Mapped[str] = mapped_column(Text, default="")
    speech: Mapped[str] = mapped_column(Text)
    answer_en: Mapped[str] = mapped_column(Text, default="")
    agency_code: Mapped[str] = mapped_column(ForeignKey("agencies.code"))
    category_code: Mapped[str] = mapped_column(ForeignKey("categories.code"))
    sources: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    state: Mapped[str] = mapped_column(String(20), default="draft")  # draft, reviewed, published, retired
    valid_from: Mapped[date | None]
    valid_until: Mapped[date | None]
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class KnowledgeVersion(Base):
    """One row: a number that grows with every change, so that each process knows when its index is old."""

    __tablename__ = "knowledge_version"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column()


class Gap(Base):
    """A question that got no answer, or an answer that didn't help: an editor's to-do."""

    __tablename__ = "gaps"

    id: Mapped[int] = mapped_column(primary_key=True)
    conversation_id: Mapped[str] = mapped_column(String(40), index=True)
    question: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(String(20))  # unknown: no article; unsolved: an article didn't help
    article_id: Mapped[str | None] = mapped_column(String(80))
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
