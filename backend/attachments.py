"""Files that people send: photos of citizens in a chat or on their case's page, files of agencies with their replies, what
comes through Open311. One table, and one way into it:

    file = accept(content, name)                      # looked at by its content, outside the transaction; raises Refused
    keep(session, file, now, case_id=case.id)         # in the transaction of what it belongs to

A picture is drawn anew: what stands beside its pixels, such as the place where it was taken, does not come in.
"""

import hashlib
import io
import re
import zipfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from flask import Response, send_file
from itsdangerous import BadSignature, TimestampSigner
from PIL import Image, ImageOps, UnidentifiedImageError
from sqlalchemy import ColumnElement, ForeignKey, Index, LargeBinary, String, func, or_, select, update
from sqlalchemy.orm import Mapped, Session, deferred, mapped_column, undefer

from backend.database import Base, UtcDateTime
from backend.errors import Refused

BYTES_LIMIT: Final = 10_000_000
PIXELS_LIMIT: Final = 64_000_000
"""Of one picture when it is unpacked: more than today's telephones take."""
LONGEST_SIDE: Final = 2560
"""Pixels; a larger picture is made smaller. A number plate across the street can still be read."""
FILES_LIMIT: Final = 20
"""Files of one conversation, and of one case."""
LINK_LASTS: Final = timedelta(days=1)

WORD: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
EXCEL: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ENDINGS: Final = {"image/jpeg": "jpg", "image/png": "png", "application/pdf": "pdf", WORD: "docx", EXCEL: "xlsx"}
"""What is kept: media type -> the ending of its name."""
PICTURES: Final = ("JPEG", "PNG", "GIF", "WEBP")
"""What is read as a picture, by Pillow's names."""


class Attachment(Base):
    """A file that came with a conversation or a case. It is never public; who may see it is for the pages to say."""

    __tablename__ = "attachments"
    __table_args__ = (Index("ix_attachments_sha256", "sha256"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[int | None] = mapped_column(ForeignKey("cases.id"), index=True)
    event_id: Mapped[int | None] = mapped_column(ForeignKey("case_events.id"), index=True)  # the act it came with
    conversation_id: Mapped[str | None] = mapped_column(ForeignKey("conversations.id"), index=True)
    turn_id: Mapped[int | None] = mapped_column(ForeignKey("turns.id"))  # the turn it was sent with
    staff_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"))  # who sent it; None: the citizen
    for_citizen: Mapped[bool] = mapped_column(default=True, server_default="1")  # the citizen may see it
    name: Mapped[str] = mapped_column(String(120))
    media_type: Mapped[str] = mapped_column(String(80))  # a key of ENDINGS
    size: Mapped[int]  # bytes
    sha256: Mapped[str] = mapped_column(String(64))
    content: Mapped[bytes] = deferred(mapped_column(LargeBinary, nullable=False))
    kept_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @property
    def is_picture(self) -> bool:
        """Whether a page may show it."""
        return self.media_type.startswith("image/")


@dataclass(frozen=True)
class File:
    """A file that was looked at and may be kept."""

    name: str
    media_type: str
    content: bytes


def accept(content: bytes, name: str = "", pictures_only: bool = False) -> File:
    """The file as it may be kept: a picture drawn anew, or a PDF, docx or xlsx as it is. What it is, is seen from its
    content; `name` only gives the name. Raises Refused (413 too large, 422 not taken, broken)."""
    if len(content) > BYTES_LIMIT:
        raise Refused("attachment_too_large", 413, limit=BYTES_LIMIT // 1_000_000)
    media_type = None if pictures_only else document_type(content)
    if media_type is None:
        content, media_type = draw_anew(content, "attachment_picture" if pictures_only else "attachment_kind")
    return File(clean_name(name, ENDINGS[media_type]), media_type, content)


def document_type(content: bytes) -> str | None:
    """PDF, docx or xlsx; None for anything else, and for office files with macros in them."""
    if content.startswith(b"%PDF-"):
        return "application/pdf"
    if not content.startswith(b"PK\x03\x04"):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            names = set(packed.namelist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return None
    if "[Content_Types].xml" not in names or any(name.endswith("vbaProject.bin") for name in names):
        return None
    if "word/document.xml" in names:
        return WORD
    return EXCEL if "xl/workbook.xml" in names else None


def draw_anew(content: bytes, otherwise: str) -> tuple[bytes, str]:
    """The picture upright, no larger than LONGEST_SIDE, without EXIF and everything else that is not pixels, and its media
    type. Raises Refused: `otherwise` for what is no picture."""
    try:
        with Image.open(io.BytesIO(content), formats=PICTURES) as picture:
            if picture.width * picture.height > PIXELS_LIMIT:
                raise Refused("attachment_too_large", 413, limit=BYTES_LIMIT // 1_000_000)
            photo = picture.format in ("JPEG", "MPO")  # MPO: a JPEG with a second picture behind it, of some telephones
            picture.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))  # a large JPEG is not unpacked in full
            upright = ImageOps.exif_transpose(picture)
            upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            drawn = upright.convert("RGB" if photo else "RGBA")
            drawn.info.clear()
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise Refused(otherwise) from error
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        OverflowError,
        MemoryError,
    ) as error:  # as Pillow meets broken ones
        raise Refused("attachment_broken") from error
    packed = io.BytesIO()
    if photo:
        drawn.save(packed, "JPEG", quality=88)
        return packed.getvalue(), "image/jpeg"
    drawn.save(packed, "PNG")
    return packed.getvalue(), "image/png"


def clean_name(name: str, ending: str) -> str:
    """A name for the file: without folders, control characters and what file systems mind, and with the right ending."""
    last = re.split(r"[/\\]", name)[-1]
    stem = re.sub(r'[\x00-\x1f\x7f<>:"|?*\u202a-\u202e\u2066-\u2069\ud800-\udfff]', "", last.rsplit(".", 1)[0]).strip(
        ". "
    )
    return f"{stem[:100] or 'file'}.{ending}"


def keep(
    session: Session,
    file: File,
    now: datetime,
    *,
    case_id: int | None = None,
    event_id: int | None = None,
    conversation_id: str | None = None,
    turn_id: int | None = None,
    staff_id: int | None = None,
    for_citizen: bool = True,
) -> Attachment:
    """Keep the file with the conversation or case (or both) that it belongs to. The same file sent again to the same one is
    kept once. Raises Refused when that one has FILES_LIMIT already."""
    owner = Attachment.case_id == case_id if case_id is not None else Attachment.conversation_id == conversation_id
    sha256 = hashlib.sha256(file.content).hexdigest()
    same_sender = Attachment.staff_id.is_not_distinct_from(staff_id)
    again = Attachment.sha256 == sha256, Attachment.event_id.is_not_distinct_from(event_id), same_sender
    if kept := session.scalar(select(Attachment).where(owner, *again).limit(1)):
        return kept
    if (session.scalar(select(func.count()).select_from(Attachment).where(owner)) or 0) >= FILES_LIMIT:
        raise Refused("attachment_count", limit=FILES_LIMIT)
    attachment = Attachment(
        case_id=case_id,
        event_id=event_id,
        conversation_id=conversation_id,
        turn_id=turn_id,
        staff_id=staff_id,
        for_citizen=for_citizen,
        name=file.name,
        media_type=file.media_type,
        size=len(file.content),
        sha256=sha256,
        content=file.content,
        kept_at=now,
    )
    session.add(attachment)
    session.flush()
    return attachment


def attachments_of(
    session: Session, *, case_id: int | None = None, conversation_id: str | None = None, for_citizen: bool = False
) -> list[Attachment]:
    """What is kept of a case, of a conversation, or of either, oldest first, without contents; `for_citizen`: only what the
    citizen may see."""
    either: list[ColumnElement[bool]] = []
    if case_id is not None:
        either.append(Attachment.case_id == case_id)
    if conversation_id is not None:
        either.append(Attachment.conversation_id == conversation_id)
    query = select(Attachment).where(or_(*either)).order_by(Attachment.id)
    return list(session.scalars(query.where(Attachment.for_citizen) if for_citizen else query))


def hand_over(session: Session, conversation_id: str, case_id: int) -> None:
    """A case has come of a conversation: what was sent in it, and belongs to no case yet, is the case's from now on."""
    theirs = Attachment.conversation_id == conversation_id, Attachment.case_id.is_(None)
    session.execute(update(Attachment).where(*theirs).values(case_id=case_id))


def with_content(session: Session, attachment_id: int) -> Attachment:
    """The file with its content. Raises Refused (404)."""
    found = session.get(Attachment, attachment_id, options=[undefer(Attachment.content)])
    if found is None:
        raise Refused("not_found", 404)
    return found


def as_response(found: Attachment) -> Response:
    """The file for a browser: a picture is shown, anything else is saved; neither runs anything."""
    sent = send_file(
        io.BytesIO(found.content), found.media_type, as_attachment=not found.is_picture, download_name=found.name
    )
    sent.headers["Cache-Control"] = "private, max-age=3600"
    sent.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return sent


def link_part(secret_key: str, attachment_id: int) -> str:
    """The last part of a link to the file, for who may see it now; it lasts LINK_LASTS."""
    return signer(secret_key).sign(str(attachment_id)).decode()


def read_link(secret_key: str, token: str) -> int:
    """The id of the file that a link was made for. Raises Refused (404) for one that is too old or was not made here."""
    try:
        return int(signer(secret_key).unsign(token, max_age=int(LINK_LASTS.total_seconds())))
    except BadSignature as error:
        raise Refused("not_found", 404) from error


def signer(secret_key: str) -> TimestampSigner:
    """What signs links to files, and nothing else."""
    return TimestampSigner(secret_key, salt="attachment")
