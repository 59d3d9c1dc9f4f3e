"""What the screen in the hall shows, as one piece of plain data: numbers, names of categories, agencies and districts, and
nothing of any citizen. A part that nothing is known of yet is empty."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend.clock import local
from backend.conversations.models import Conversation
from backend.insight import figures, issues, names, warning
from backend.insight.figures import Slice, midnight
from backend.insight.models import Mark
from backend.insight.words import hot_words

TREND_DAYS: Final = 30
SHOWN: Final = 5
LOOKED_AT: Final = 50
"""Issues, the largest, among which those are chosen that may be shown."""
AGENCIES_SHOWN: Final = 6
WORDS_SHOWN: Final = 12
LEAST_IN_PUBLIC: Final = 3

_kept: dict[str, tuple[tuple[Slice, datetime], list[dict[str, Any]]]] = {}
"""Words and issues of this month as they were last counted: every screen asks for them every few seconds."""


def snapshot(session: Session, now: datetime, locale: str) -> dict[str, Any]:
    """Everything on the screen at this moment."""
    today = figures.today(now)
    day = Slice(today, today + timedelta(days=1))
    month = Slice(today.replace(day=1), day.until)
    called = names.names(session, locale)
    counted = figures.up_to_date(session)
    return {
        "at": now.isoformat(),
        "counted_at": counted.at.isoformat() if counted.at else None,
        "rebuilding": counted.rebuilding,
        "month": local(now).month,
        "talks": talks_now(session) | talks_today(session, now),
        "cases": cases_today(session, day, now),
        "trend": trend(session, day),
        "issues": hot_issues(session, month) or top(session, month, called),
        "districts": districts(session, month, called),
        "agencies": agencies(session, month, called),
        "overdue": overdue(session, now, called),
        "words": hot(session, month),
        "alerts": alerts(session, called, locale),
    }


def talks_now(session: Session) -> dict[str, int]:
    """Calls and chats that are going on, and who waits for a person."""
    open_ones = Conversation.state.in_(("bot", "waiting", "operator"))
    query = select(Conversation.channel, Conversation.state, func.count()).where(open_ones)
    found = session.execute(query.group_by(Conversation.channel, Conversation.state)).all()
    return {
        "calls": sum(count for channel, _, count in found if channel == "phone"),
        "chats": sum(count for channel, _, count in found if channel != "phone"),
        "waiting": sum(count for _, state, count in found if state == "waiting"),
    }


def talks_today(session: Session, now: datetime) -> dict[str, Any]:
    """Calls and chats since midnight, hour by hour, and how quickly who wanted a person had one."""
    begin = midnight(figures.today(now))
    end = begin + timedelta(days=1)
    hours = figures.talks_by_hour(session, begin, end)
    phone = figures.talks(session, begin, end, "phone")
    everything = figures.talks(session, begin, end)
    return {
        "calls_today": phone.began,
        "chats_today": everything.began - phone.began,
        "answered_by_bot": figures.rate(everything.answered, everything.began),
        "service_level": everything.service_level,
        "mean_wait": everything.mean_wait,
        "hours": [hours[moment].began if moment in hours else 0 for moment in each_hour(begin)],
    }


def each_hour(begin: datetime) -> list[datetime]:
    """The 24 hours of a day of China, which has no summer time."""
    return [begin + timedelta(hours=hour) for hour in range(24)]


def cases_today(session: Session, day: Slice, now: datetime) -> dict[str, int]:
    """What came in and went out today, and what lies there."""
    counts, stock = figures.totals(session, day), figures.stock(session, day, now)
    return {
        "filed": counts.filed,
        "settled": counts.settled,
        "ended": counts.ended,
        "open": stock.open,
        "overdue": stock.overdue,
    }


def trend(session: Session, day: Slice) -> list[dict[str, Any]]:
    """In and out, day by day."""
    days = Slice(day.until - timedelta(days=TREND_DAYS), day.until)
    return [
        {"day": at.isoformat(), "filed": counts.filed, "ended": counts.ended}
        for at, counts in figures.over_time(session, days, "day")
    ]


def top(session: Session, month: Slice, called: names.Names) -> list[dict[str, Any]]:
    """What is reported most this month, with its share of all and how many often it was in as many days before."""
    counts, before = figures.by(session, month, "category"), figures.by(session, month.before(), "category")
    whole = sum(one.filed for one in counts.values())
    return [
        {
            "name": called.of("category", code),
            "count": one.filed,
            "share": figures.rate(one.filed, whole),
            "before": before[code].filed if code in before else 0,
        }
        for code, one in list(counts.items())[:SHOWN]
        if one.filed
    ]


def hot(session: Session, month: Slice) -> list[dict[str, Any]]:
    """The words that are said unusually often this month."""

    def make() -> list[dict[str, Any]]:
        return [{"name": one.word, "count": one.cases} for one in hot_words(session, month, WORDS_SHOWN).words]

    return kept(session, "words", month, make)


def hot_issues(session: Session, month: Slice) -> list[dict[str, Any]]:
    """The issues that most cases and conversations of this month are about; none while they are fewer than SHOWN. What
    LEAST_IN_PUBLIC citizens or more say is nobody's own; an issue of fewer, however often they call, is left out."""

    def make() -> list[dict[str, Any]]:
        largest = issues.top(session, month, LOOKED_AT).issues
        found = [one for one in largest if one.name and one.citizens >= LEAST_IN_PUBLIC][:SHOWN]
        if len(found) < SHOWN:
            return []
        return [
            {"name": one.name, "count": one.members.count, "share": one.share, "before": one.before} for one in found
        ]

    return kept(session, "hot", month, make)


def alerts(session: Session, called: names.Names, locale: str) -> list[dict[str, Any]]:
    """What early warning has found and nobody has closed, newest first. What words of a risk found is not for a hall."""
    everywhere, everything = ("Whole city", "all categories") if locale == "en" else ("全市", "全部类别")
    found = [one for one in warning.alerts(session, "") if not one.risk and one.kind != "topic"][:SHOWN]
    return [
        {
            "name": warning.subject(one, called, everywhere, everything),
            "count": one.count,
            "expected": round(one.expected, 1),
        }
        for one in found
    ]


def kept(session: Session, name: str, month: Slice, make: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What `make` makes, made once after each counting (the mark of this name)."""
    mark = session.get(Mark, name)
    if mark is None or mark.at is None:
        return []
    key = (month, mark.at)
    if _kept.get(name, (None,))[0] != key:
        _kept[name] = key, make()
    return _kept[name][1]


def districts(session: Session, month: Slice, called: names.Names) -> list[dict[str, Any]]:
    """Each district of the city with what came from it this month."""
    counts = figures.by(session, month, "district")
    rows = []
    for name in called.districts:
        one = counts.get(name, figures.Counts())
        shown = {"name": called.of("district", name), "key": name, "filed": one.filed, "solved": one.solved_rate}
        rows.append(shown)
    return rows


def agencies(session: Session, month: Slice, called: names.Names) -> list[dict[str, Any]]:
    """The agencies that were asked about most this month, with their three rates."""
    counts = figures.by(session, month, "agency")
    asked = sorted(counts.items(), key=lambda one: (-one[1].visited, one[0]))[:AGENCIES_SHOWN]
    return [
        {
            "name": called.of("agency", code),
            "visited": one.visited,
            "contacted": one.contacted_rate,
            "solved": one.solved_rate,
            "satisfied": one.satisfied_rate,
        }
        for code, one in asked
        if one.visited
    ]


def overdue(session: Session, now: datetime, called: names.Names) -> list[dict[str, Any]]:
    """What has been overdue longest, without the cases' numbers, by which they could be looked up."""
    return [
        {
            "district": called.of("district", fact.district),
            "category": called.of("category", fact.category),
            "agency": called.of("agency", fact.agency),
            "days": (now - fact.due_at).days,
        }
        for fact in figures.longest_overdue(session, now, SHOWN)
    ]
