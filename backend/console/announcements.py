"""Announcements on the supervisors' screens: the list with its switches, and the form with a preview to read and to hear."""

from datetime import UTC, datetime

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.clock import CHINA, local
from backend.console.forms import field
from backend.console.knowledge import choices
from backend.console.log_in import allowed, me
from backend.console.people import staff_names
from backend.conversations import announcements
from backend.conversations.announcements import CHANNELS, TEXT_LIMIT, AnnouncementContent, completed
from backend.conversations.models import Announcement, AnnouncementEvent
from backend.directory.models import Staff
from backend.errors import Refused
from backend.knowledge.speech import LONGEST_SECONDS, seconds
from backend.locale import current_locale
from backend.parts import parts

KIND_WORDS = {
    "emergency": lazy_gettext("紧急"),
    "outage": lazy_gettext("故障停供"),
    "notice": lazy_gettext("通知"),
}
OCCASION_WORDS = {
    "always": lazy_gettext("随时"),
    "after_hours": lazy_gettext("下班时间"),
    "holidays": lazy_gettext("节假日"),
}
EVENT_WORDS = {"write": lazy_gettext("编写"), "on": lazy_gettext("已开启"), "off": lazy_gettext("已关闭")}


@allowed("line")
def list_announcements() -> ResponseReturnValue:
    """All announcements; those that are told at this moment are marked."""
    now = parts().clock()
    with parts().database.read() as session:
        told = {one.id for channel in CHANNELS for one in announcements.current(session, now, channel, "zh")}
        found = announcements.announcements(session)
        return render_template(
            "console/line/announcements.html",
            announcements=found,
            told=told,
            staff_names=names_in(session, found),
            kinds=KIND_WORDS,
            occasions=OCCASION_WORDS,
            events=EVENT_WORDS,
            now=now,
        )


@allowed("line")
def switch_announcement(announcement_id: int) -> ResponseReturnValue:
    """Switch one on or off."""
    with parts().database.write() as session:
        by = session.get_one(Staff, me().id)
        announcements.switch(session, announcement_id, field("on") == "yes", by, parts().clock())
    return redirect(url_for("console.announcements"))


@allowed("line")
def create_announcement() -> ResponseReturnValue:
    """The empty form, and keeping what was written in it."""
    if request.method == "GET":
        return form_page(AnnouncementContent())
    return keep(None)


@allowed("line")
def edit_announcement(announcement_id: int) -> ResponseReturnValue:
    """The form of one announcement, and keeping what was written in it."""
    if request.method == "GET":
        with parts().database.read() as session:
            one = announcements.get_announcement(session, announcement_id)
            return form_page(announcements.content_of(one), one=one)
    return keep(announcement_id)


def keep(announcement_id: int | None) -> ResponseReturnValue:
    """Save the form, and with its second button switch on at once. Nothing typed is lost on a refusal."""
    try:
        content = content_of_form()
        with parts().database.write() as session:
            by, now = session.get_one(Staff, me().id), parts().clock()
            saved = announcements.save(session, content, by, now, announcement_id)
            if field("act") == "on":
                announcements.switch(session, saved.id, True, by, now)
        return redirect(url_for("console.announcements"))
    except Refused as refused:
        with parts().database.read() as session:
            one = announcements.get_announcement(session, announcement_id) if announcement_id else None
            return form_page(content_of_form(strict=False), refused, one)


@allowed("line")
def preview_announcement() -> ResponseReturnValue:
    """How what is in the form would look in the chat and sound on the phone; asked for while it is written."""
    content = completed(content_of_form(strict=False))
    return render_template(
        "console/line/_preview.html",
        content=content,
        kinds=KIND_WORDS,
        lengths={"zh": round(seconds(content.speech_zh)), "en": round(seconds(content.speech_en, "en"))},
        longest=round(LONGEST_SECONDS),
        unspeakable=[refused.sentence(current_locale()) for refused in announcements.unspeakable(content)],
    )


def form_page(
    content: AnnouncementContent, refused: Refused | None = None, one: Announcement | None = None
) -> ResponseReturnValue:
    """The form with this content in it."""
    with parts().database.read() as session:
        html = render_template(
            "console/line/announcement.html",
            content=content,
            one=one,
            kinds=KIND_WORDS,
            occasions=OCCASION_WORDS,
            events=EVENT_WORDS,
            staff_names=names_in(session, [one] if one else []),
            category_groups=choices(session)["category_groups"],
            begins_at=as_typed(content.begins_at),
            ends_at=as_typed(content.ends_at),
            limit=TEXT_LIMIT,
            refusal=refused.sentence(current_locale()) if refused else None,
            now=parts().clock(),
            here=request.path,
        )
    return html, refused.status if refused else 200


def content_of_form(strict: bool = True) -> AnnouncementContent:
    """What the form says. Raises Refused for a time that is none, unless that is to be passed over."""
    return AnnouncementContent(
        kind=field("kind"),
        occasion=field("occasion"),
        **{name: field(name) for name in ("text_zh", "text_en", "speech_zh", "speech_yue", "speech_en")},
        on_phone="on_phone" in request.form,
        on_chat="on_chat" in request.form,
        categories=tuple(request.form.getlist("categories")),
        begins_at=moment(field("begins_at"), strict),
        ends_at=moment(field("ends_at"), strict),
    )


def moment(typed: str, strict: bool) -> datetime | None:
    """A time by China's clock, as a browser's field has it, in UTC; None for nothing."""
    try:
        return datetime.fromisoformat(typed).replace(tzinfo=CHINA).astimezone(UTC) if typed else None
    except (ValueError, OverflowError) as error:
        if strict:
            raise Refused("time_unreadable", value=typed[:40]) from error
        return None


def as_typed(then: datetime | None) -> str:
    """The same the other way round."""
    return f"{local(then):%Y-%m-%dT%H:%M}" if then else ""


def names_in(session: Session, some: list[Announcement]) -> dict[int, str]:
    """The names of everybody who stands in the history of these."""
    ids = [one.id for one in some]
    who = select(AnnouncementEvent.staff_id).where(AnnouncementEvent.announcement_id.in_(ids))
    return staff_names(session, session.scalars(who.distinct()))
