"""What a caller hears first: announcements by the hour and by what is on, and the old hotline's name."""

from datetime import datetime

import pytest

from backend.clock import CHINA
from backend.conversations import announcements
from backend.conversations.announcements import AnnouncementContent
from backend.directory.models import Staff
from backend.parts import Parts
from ivr.service import Line

GREETING = "请问有什么可以帮您"
CLOSED = "现在是下班时间，智能助手照常服务。"


def announce(parts: Parts, text: str, **changed: object) -> None:
    with parts.database.write() as session:
        by = session.query(Staff).filter_by(username="supervisor1").one()
        content = AnnouncementContent(**{"text_zh": text, "text_en": "Closed.", **changed})  # type: ignore[arg-type]
        announcements.switch(
            session, announcements.save(session, content, by, parts.clock()).id, True, by, parts.clock()
        )


def heard(parts: Parts, dialled: str = "12345") -> str:
    """All that a caller hears at the beginning of a call to this number."""
    return " ".join(Line(parts).begin("CA" + "1" * 32, "+8613800138000", dialled).prompts)


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        ("2026-11-23T07:59", True),
        ("2026-11-23T08:00", False),
        ("2026-11-23T20:00", True),
        ("2026-11-22T12:00", True),
        ("2026-10-01T12:00", True),
    ],
)
def test_outside_desk_hours_the_caller_is_told_before_the_greeting(parts: Parts, moment: str, told: bool) -> None:
    announce(parts, CLOSED, occasion="after_hours")
    parts.clock.now = datetime.fromisoformat(moment).replace(tzinfo=CHINA)  # type: ignore[attr-defined]
    words = heard(parts)
    assert (CLOSED in words) is told
    assert words.endswith(f"{GREETING}？")


def test_an_emergency_comes_before_a_notice(parts: Parts) -> None:
    announce(parts, "现在是供暖季。", kind="notice")
    announce(parts, "解放路正在抢修。", kind="emergency")
    words = heard(parts)
    assert words.index("解放路") < words.index("供暖季") < words.index(GREETING)


def test_who_calls_about_what_is_announced_may_hang_up(parts: Parts) -> None:
    announce(parts, "云水区停水。", kind="outage", categories=("UT-WATER",))
    assert "听完就可以挂机" in heard(parts)


def test_an_old_number_is_answered_with_its_old_name(parts: Parts) -> None:
    assert "原幺二三幺九城管热线已并入" in heard(parts, "+8655112319")
