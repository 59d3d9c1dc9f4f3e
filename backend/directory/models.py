"""Tables: agencies (three levels), categories (two levels), staff."""

from datetime import date, datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from backend.audit import audited
from backend.database import Base, UtcDateTime
from backend.encryption import Encrypted


@audited("agency", masked=("telephone",))
class Agency(Base):
    """承办单位: an agency that works cases. Level 1 is the city, 2 a district, 3 a street or town."""

    __tablename__ = "agencies"

    code: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    level: Mapped[int]
    parent_code: Mapped[str | None] = mapped_column(ForeignKey("agencies.code"))
    district: Mapped[str] = mapped_column(String(40))
    duties: Mapped[str] = mapped_column(String(500), default="")
    contact: Mapped[str] = mapped_column(String(100), default="")  # who is to be asked for there
    telephone: Mapped[str] = mapped_column(String(40), default="")
    hours: Mapped[str] = mapped_column(String(200), default="")  # directory/hours.py reads them; empty: not known
    substitute_code: Mapped[str | None] = mapped_column(
        ForeignKey("agencies.code")
    )  # who sees and acts on its cases, too
    successor_code: Mapped[str | None] = mapped_column(ForeignKey("agencies.code"))  # what it was merged into
    valid_until: Mapped[date | None]  # the last day on which it took cases; its old cases stay its own
    former_names: Mapped[str] = mapped_column(String(400), default="")  # newest first, ; between them


class DirectoryStand(Base):
    """One row: what changes whenever an agency or a category does, so that each process knows when those it keeps are old
    (known.py)."""

    __tablename__ = "directory_stand"

    id: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[str] = mapped_column(String(16))


@audited("category", without=("changed_at",))
class Category(Base):
    """What a case is about; second-level categories name the city agency that answers for them. New cases get one that is in
    use (`active`); a first-level one is in use while one below it is."""

    __tablename__ = "categories"

    code: Mapped[str] = mapped_column(String(40), primary_key=True)
    parent_code: Mapped[str | None] = mapped_column(ForeignKey("categories.code"))
    name: Mapped[str] = mapped_column(String(100))
    name_en: Mapped[str] = mapped_column(String(100))
    agency_code: Mapped[str | None] = mapped_column(ForeignKey("agencies.code"))
    active: Mapped[bool] = mapped_column(default=True)
    changed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # None: as it was loaded


@audited(
    "staff", without=("ready", "seen_at", "totp_step"), hidden=("password_hash", "totp_secret"), masked=("telephone",)
)
class Staff(Base):
    """Somebody who works the line; `role` is a key of `rules.RIGHTS`."""

    __tablename__ = "staff"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(60), unique=True)
    name: Mapped[str] = mapped_column(String(60))
    password_hash: Mapped[str] = mapped_column(String(200))
    one_time_until: Mapped[datetime | None] = mapped_column(UtcDateTime)  # the password is another's choice, good until
    left_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # since when they may not log in; None: they may
    totp_secret: Mapped[str | None] = mapped_column(String(200))  # encrypted (second_factor.py); None: no second factor
    totp_step: Mapped[int | None]  # of the last code that was used
    role: Mapped[str] = mapped_column(String(20))
    agency_code: Mapped[str | None] = mapped_column(ForeignKey("agencies.code"))
    telephone: Mapped[str | None] = mapped_column(Encrypted)  # where calls are put through: +86… or client:name
    ready: Mapped[bool] = mapped_column(default=False)
    seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    languages: Mapped[str] = mapped_column(String(60), default="zh")  # zh, yue, en; commas between them
    skills: Mapped[str] = mapped_column(String(200), default="")  # first-level categories, commas between; empty: all
    chat_limit: Mapped[int] = mapped_column(default=3, server_default="3")  # chats that they talk in at the same time

    agency: Mapped[Agency | None] = relationship()


@audited("legacy_number", without=("changed_by_id", "changed_at"))
class LegacyNumber(Base):
    """A hotline that was merged into 12345 and whose old number still rings here (or somebody still dials by habit)."""

    __tablename__ = "legacy_numbers"

    number: Mapped[str] = mapped_column(
        String(20), primary_key=True
    )  # as legacy.written gives it: 12319, +8655187654321
    name: Mapped[str] = mapped_column(String(60))  # 城管热线
    greeting_zh: Mapped[str] = mapped_column(String(300))
    greeting_yue: Mapped[str] = mapped_column(String(300), default="")  # empty: greeting_zh is said
    greeting_en: Mapped[str] = mapped_column(String(300))
    category_code: Mapped[str | None] = mapped_column(
        ForeignKey("categories.code")
    )  # of cases that nothing else places
    agency_code: Mapped[str | None] = mapped_column(ForeignKey("agencies.code"))
    basis: Mapped[str] = mapped_column(String(200), default="")  # where the merging is stated
    active: Mapped[bool] = mapped_column(default=True)
    changed_by_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))  # None: as it was loaded
    changed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    def greeting(self, language: str) -> str:
        """What a caller hears first, in zh, yue or en; it speaks the old name."""
        return {"en": self.greeting_en, "yue": self.greeting_yue}.get(language) or self.greeting_zh
