"""Deadlines as the city has them now: what a supervisor saved, over what ships."""

from datetime import date, datetime

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.audit import put_down
from backend.calendar import city_calendar
from backend.cases.deadlines import Deadlines, Profile, shipped_profiles
from backend.cases.models import CalendarDay, DeadlineProfile
from backend.directory.models import Staff
from backend.errors import Refused


def deadlines(session: Session, jurisdiction: str) -> Deadlines:
    """The deadlines of a jurisdiction. Raises KeyError for one that isn't there."""
    saved = session.scalar(
        select(DeadlineProfile.content)
        .where(DeadlineProfile.jurisdiction == jurisdiction)
        .order_by(DeadlineProfile.id.desc())
        .limit(1)
    )
    profile = Profile.model_validate(saved) if saved else shipped_profiles()[jurisdiction]
    own_days = {day.day: day.working for day in session.scalars(select(CalendarDay))}
    return Deadlines(profile, {**city_calendar(), **own_days})


def save_profile(
    session: Session, jurisdiction: str, content: dict[str, object], staff: Staff, now: datetime
) -> Profile:
    """Save deadlines; they hold for every step that begins from now on. Cases keep the deadlines that they have.

    Raises Refused with the names of the fields that can't be so.
    """
    if jurisdiction not in shipped_profiles():
        raise Refused("not_found", 404)
    try:
        profile = Profile.model_validate(content)
    except ValidationError as error:
        fields = sorted({".".join(str(part) for part in fault["loc"][:2]) or "reply" for fault in error.errors()})
        raise Refused("deadlines_refused", fields=", ".join(fields)) from error
    old, new = deadlines(session, jurisdiction).profile.model_dump(mode="json"), profile.model_dump(mode="json")
    changed = [name for name in new if new[name] != old[name]]
    put_down(
        session,
        "deadlines",
        jurisdiction,
        "changed",
        {name: old[name] for name in changed},
        {name: new[name] for name in changed},
    )
    session.add(DeadlineProfile(jurisdiction=jurisdiction, content=new, saved_by_id=staff.id, saved_at=now))
    session.flush()
    return profile


def last_saved(session: Session, jurisdiction: str) -> DeadlineProfile | None:
    """Who saved the deadlines last and when; None: they are as they ship."""
    query = select(DeadlineProfile).where(DeadlineProfile.jurisdiction == jurisdiction)
    return session.scalar(query.order_by(DeadlineProfile.id.desc()).limit(1))


def own_days(session: Session) -> list[CalendarDay]:
    """The days that the city has set, in their order."""
    return list(session.scalars(select(CalendarDay).order_by(CalendarDay.day)))


def set_day(session: Session, day: date, working: bool, name: str, staff: Staff) -> None:
    """Set a day to working or not, whatever it was set to before."""
    row = session.get(CalendarDay, day) or CalendarDay(day=day)
    row.working, row.name, row.set_by_id = working, name, staff.id
    session.add(row)


def unset_day(session: Session, day: date) -> None:
    """Leave a day to the calendars again."""
    row = session.get(CalendarDay, day)
    if row:
        session.delete(row)
