"""Tables: articles and their versions, documents and their passages, vectors of texts, imports, gaps."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from backend.audit import audited
from backend.database import Base, UtcDateTime
from backend.directory import models as _directory  # noqa: F401  # these tables refer to staff and agencies


@audited("article", only=("state", "version", "question", "valid_from", "valid_until"))
class Article(Base):
    """One answer of the city, as it stands now. Only `published` articles inside their dates are ever given to a citizen.

    What editors work on is an `ArticleVersion`; publishing one copies it here, so that search reads one table.
    """

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
    region: Mapped[str] = mapped_column(String(40), default="")  # a district of the city; empty: the whole city
    sources: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list)
    state: Mapped[str] = mapped_column(String(20), default="draft")  # draft, reviewed, published, retired
    valid_from: Mapped[date | None]
    valid_until: Mapped[date | None]
    version: Mapped[int] = mapped_column(default=1)  # the number of the version that stands here
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)

    versions: Mapped[list["ArticleVersion"]] = relationship(order_by="ArticleVersion.number", viewonly=True)


class ArticleVersion(Base):
    """One version of an article's content: what was changed, by whom, and whose second pair of eyes let it pass."""

    __tablename__ = "article_versions"
    __table_args__ = (UniqueConstraint("article_id", "number"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    article_id: Mapped[str] = mapped_column(ForeignKey("articles.id"))
    number: Mapped[int]
    content: Mapped[dict[str, Any]] = mapped_column(JSON)  # the article's fields, dates in ISO form
    state: Mapped[str] = mapped_column(String(20))  # one of lifecycle.STATES
    note: Mapped[str] = mapped_column(String(300), default="")  # what was changed and why
    author_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))  # none: starter content
    reviewer_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    published_by_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    retired_by_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    remark: Mapped[str] = mapped_column(String(300), default="")  # why it was sent back or retired
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    reviewed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    retired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


@audited("document", only=("title", "number", "state", "replaced_by_id", "valid_from", "valid_until"))
class Document(Base):
    """A law, notice or guide that was imported; its passages can be answers. Retired when another one replaces it."""

    __tablename__ = "documents"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(300))
    number: Mapped[str] = mapped_column(String(120), default="")  # 文号
    issuer: Mapped[str] = mapped_column(String(200), default="")
    issued_on: Mapped[date | None]
    valid_from: Mapped[date | None]
    valid_until: Mapped[date | None]
    region: Mapped[str] = mapped_column(String(40), default="")
    url: Mapped[str] = mapped_column(String(500), default="")
    state: Mapped[str] = mapped_column(String(20), default="published")  # published, retired
    replaced_by_id: Mapped[int | None] = mapped_column(ForeignKey("documents.id"))
    file_name: Mapped[str] = mapped_column(String(255))
    digest: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256 of the file: the same file is imported once
    file: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    added_by_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)

    passages: Mapped[list["Passage"]] = relationship(order_by="Passage.place", cascade="all, delete-orphan")


class Passage(Base):
    """One piece of a document, cut by the document's own structure, with the clause that it is cited by."""

    __tablename__ = "passages"
    __table_args__ = (UniqueConstraint("document_id", "place"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    document_id: Mapped[int] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"))
    place: Mapped[int]  # 0, 1, 2 … in the document
    heading: Mapped[str] = mapped_column(String(300), default="")  # chapter and section above it, joined by " › "
    clause: Mapped[str] = mapped_column(String(120), default="")  # 第十二条, （三）, 表 2 第 4 行 …
    text: Mapped[str] = mapped_column(Text)


class Vector(Base):
    """The dense vector of one text by one model: made once, kept for ever, found by the text's digest."""

    __tablename__ = "vectors"

    model: Mapped[str] = mapped_column(String(80), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256 of kind ("query"/"passage") and text
    numbers: Mapped[bytes] = mapped_column(LargeBinary)  # float16, little-endian, of unit length


class KnowledgeVersion(Base):
    """One row: a number that grows with every change, so that each process knows when its index is old."""

    __tablename__ = "knowledge_version"

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column()


class Import(Base):
    """A batch of uploaded documents that a worker takes in one by one; it can be stopped and resumed."""

    __tablename__ = "imports"

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(20), default="running")  # running, stopped, done
    started_by_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    files: Mapped[list["ImportFile"]] = relationship(order_by="ImportFile.id", cascade="all, delete-orphan")


class ImportFile(Base):
    """One file of an import, and what became of it."""

    __tablename__ = "import_files"

    id: Mapped[int] = mapped_column(primary_key=True)
    import_id: Mapped[int] = mapped_column(ForeignKey("imports.id", ondelete="CASCADE"), index=True)
    file_name: Mapped[str] = mapped_column(String(255))
    file: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)  # dropped when the document holds it
    state: Mapped[str] = mapped_column(String(20), default="waiting")  # waiting, imported, refused
    reason: Mapped[str] = mapped_column(String(60), default="")  # key of errors.yml when refused
    tries: Mapped[int] = mapped_column(default=0)  # how often a worker has begun it: some files end their worker
    claimed_until: Mapped[datetime | None] = mapped_column(UtcDateTime)  # a worker is at it, unless it has died
    document_id: Mapped[int | None] = mapped_column(ForeignKey("documents.id"))


class GapGroup(Base):
    """Gaps that mean the same: one to-do of the editors. Comes again after a decision: it is open again."""

    __tablename__ = "gap_groups"

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(20), default="open")  # open, drafted, dismissed
    article_id: Mapped[str | None] = mapped_column(ForeignKey("articles.id"))  # the draft that was made of it
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    reason: Mapped[str] = mapped_column(String(300), default="")  # why it was dismissed
    decided_by_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))  # who drafted or dismissed it last
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Gap(Base):
    """A question that got no answer, or an answer that didn't help."""

    __tablename__ = "gaps"

    id: Mapped[int] = mapped_column(primary_key=True)
    conversation_id: Mapped[str] = mapped_column(String(40), index=True)
    question: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(String(20))  # unknown: no article; unsolved: an article didn't help
    article_id: Mapped[str | None] = mapped_column(String(80))  # what the last answer before it was about
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    group_id: Mapped[int | None] = mapped_column(
        ForeignKey("gap_groups.id", name="gaps_group_id_fkey"), index=True
    )  # none: not yet grouped
