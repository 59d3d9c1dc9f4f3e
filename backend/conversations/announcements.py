"""Announcements: what everybody is told before anything else. Supervisors write them and switch them on and off; the next
call and the next chat page have it, in every process, as they are read from the record each time."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from backend.calendar import is_public_holiday, is_working_day
from backend.city import city
from backend.clock import local
from backend.conversations.models import Announcement, AnnouncementEvent
from backend.directory.hours import is_open
from backend.directory.legacy import known_codes, require
from backend.directory.models import Staff
from backend.errors import Refused
from backend.knowledge.speech import LONGEST_SECONDS, problems, spoken

Channel = Literal["phone", "chat"]

CHANNELS: Final[tuple[Channel, ...]] = ("phone", "chat")
KINDS: Final = ("emergency", "outage", "notice")
"""The order in which they are told."""
OCCASIONS: Final = ("always", "after_hours", "holidays")
TEXT_LIMIT: Final = 300


@dataclass(frozen=True)
class AnnouncementContent:
    """What a supervisor writes. Times are in UTC; without `speech_…` the text is said, with its numbers in words."""

    kind: str = "notice"
    occasion: str = "always"
    text_zh: str = ""
    text_en: str = ""
    speech_zh: str = ""
    speech_yue: str = ""
    speech_en: str = ""
    on_phone: bool = True
    on_chat: bool = True
    categories: tuple[str, ...] = ()
    begins_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True)
class Announced:
    """An announcement in one language: `text` to read, `speech` to hear; `categories` are the codes of what it answers, so
    that who calls about these knows why."""

    id: int
    kind: str
    text: str
    speech: str
    categories: tuple[str, ...]


def desk_open(moment: datetime) -> bool:
    """Whether the desk is staffed by day (city.yml, `desk_hours`); the line itself answers at all hours."""
    then = local(moment)
    return is_open(city()["desk_hours"], then, is_working_day(then.date()))


def occasions_at(moment: datetime) -> list[str]:
    """Which of OCCASIONS it is. A public holiday is both a holiday and, the desk being shut, after hours."""
    found = ["always"]
    if not desk_open(moment):
        found.append("after_hours")
    if is_public_holiday(local(moment).date()):
        found.append("holidays")
    return found


def current(session: Session, now: datetime, channel: Channel, language: str) -> list[Announced]:
    """What is announced on this channel now, in `language` (zh, yue, en): emergencies first, the newest of a kind first."""
    on_channel = Announcement.on_phone if channel == "phone" else Announcement.on_chat
    found = session.scalars(
        select(Announcement).where(
            Announcement.active,
            on_channel,
            Announcement.occasion.in_(occasions_at(now)),
            or_(Announcement.begins_at.is_(None), Announcement.begins_at <= now),
            or_(Announcement.ends_at.is_(None), Announcement.ends_at > now),
        )
    )
    return [in_language(one, language) for one in in_order(list(found))]


def in_order(some: Collection[Announcement]) -> list[Announcement]:
    """Emergencies first, the newest of a kind first."""
    return sorted(some, key=lambda one: (KINDS.index(one.kind), -one.id))


def in_language(one: Announcement, language: str) -> Announced:
    """An announcement as it is told in `language`."""
    content = completed(content_of(one))
    text = content.text_en if language == "en" else content.text_zh
    speech = {"en": content.speech_en, "yue": content.speech_yue}.get(language) or content.speech_zh
    return Announced(one.id, one.kind, text, speech, content.categories)


def announcements(session: Session) -> list[Announcement]:
    """All of them: those switched on first, then as they are told."""
    return sorted(in_order(list(session.scalars(select(Announcement)))), key=lambda one: not one.active)


def get_announcement(session: Session, announcement_id: int) -> Announcement:
    """Raises Refused (404)."""
    found = session.get(Announcement, announcement_id)
    if found is None:
        raise Refused("not_found", 404)
    return found


def completed(content: AnnouncementContent) -> AnnouncementContent:
    """The content with what is said where only the text was written. It is made anew each time and not kept, so that a text
    which is changed is never read out in its old words."""
    values = vars(content) | {
        "speech_zh": content.speech_zh or spoken(content.text_zh),
        "speech_en": content.speech_en or content.text_en,
    }
    return AnnouncementContent(**values)


def faults(content: AnnouncementContent) -> list[Refused]:
    """Why a completed content can't be told; empty when it can."""
    if content.kind not in KINDS or content.occasion not in OCCASIONS:
        return [Refused("bad_request", 400)]
    found = []
    for text in (content.text_zh, content.text_en, content.speech_zh, content.speech_en, content.speech_yue or "-"):
        try:
            require(text, TEXT_LIMIT)
        except Refused as refused:
            found.append(refused)
    if not (content.on_phone or content.on_chat):
        found.append(Refused("channel_missing"))
    if content.begins_at and content.ends_at and content.ends_at <= content.begins_at:
        found.append(Refused("end_before_begin"))
    return [*found, *unspeakable(content)]


def unspeakable(content: AnnouncementContent) -> list[Refused]:
    """Why a voice can't say what the phone would say of this; empty when it can, and when the phone says nothing."""
    if not content.on_phone:
        return []
    said = (("zh", content.speech_zh), ("yue", content.speech_yue), ("en", content.speech_en))
    codes = dict.fromkeys(problem for language, text in said for problem in problems(text, language))
    return [Refused(f"speech_{problem}", seconds=round(LONGEST_SECONDS)) for problem in codes]


def save(
    session: Session, content: AnnouncementContent, by: Staff, now: datetime, announcement_id: int | None = None
) -> Announcement:
    """Keep a new announcement, switched off, or change one, which stays as it is switched. Raises Refused with the first
    thing that is wrong."""
    for refused in faults(completed(content)):
        raise refused
    known_codes(session, content.categories)
    one = get_announcement(session, announcement_id) if announcement_id else Announcement(active=False)
    for field in fields(content):
        setattr(one, field.name, getattr(content, field.name))
    one.categories = list(content.categories)
    session.add(one)
    session.flush()
    note(session, one, "write", by, now)
    return one


def switch(session: Session, announcement_id: int, on: bool, by: Staff, now: datetime) -> Announcement:
    """Switch it on or off, from now on everywhere. Switching to what it is already changes nothing."""
    one = get_announcement(session, announcement_id)
    if one.active != on:
        one.active = on
        note(session, one, "on" if on else "off", by, now)
    return one


def content_of(one: Announcement) -> AnnouncementContent:
    """What was written, to be changed."""
    values: dict[str, Any] = {field.name: getattr(one, field.name) for field in fields(AnnouncementContent)}
    return AnnouncementContent(**values | {"categories": tuple(one.categories)})


def note(session: Session, one: Announcement, act: str, by: Staff, now: datetime) -> None:
    """Keep who did what, and what it says since."""
    values = vars(content_of(one))
    content = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}
    session.add(AnnouncementEvent(announcement_id=one.id, act=act, content=content, staff_id=by.id, acted_at=now))
    session.flush()
