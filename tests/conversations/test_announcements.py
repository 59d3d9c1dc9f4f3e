"""Announcements: who is told what, when, where and in which order."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backend.calendar import is_public_holiday
from backend.clock import CHINA
from backend.conversations import announcements
from backend.conversations.announcements import AnnouncementContent, desk_open
from backend.conversations.models import Announcement
from backend.database import Database
from backend.directory.models import Staff
from backend.errors import Refused
from tests.conftest import NOON

WATER = AnnouncementContent(
    kind="outage",
    text_zh="今天14:00到18:00，云水区停水抢修。",
    text_en="Water is off in Yunshui District today from 2 to 6 p.m.",
    categories=("UT-WATER",),
)


def write(database: Database, content: AnnouncementContent = WATER, on: bool = True, **changed: object) -> int:
    """Write one as the supervisor, and switch it on; its id."""
    with database.write() as session:
        by = session.query(Staff).filter_by(username="supervisor1").one()
        one = announcements.save(session, AnnouncementContent(**vars(content) | changed), by, NOON)
        announcements.switch(session, one.id, on, by, NOON)
        return one.id


def told(database: Database, now: datetime = NOON, channel: str = "phone", language: str = "zh") -> list[int]:
    with database.read() as session:
        return [one.id for one in announcements.current(session, now, channel, language)]  # type: ignore[arg-type]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=CHINA)


def test_told_from_the_moment_it_is_switched_on_until_it_is_switched_off(database: Database) -> None:
    one = write(database, on=False)
    assert told(database) == []
    with database.write() as session:
        by = session.query(Staff).filter_by(username="supervisor1").one()
        announcements.switch(session, one, True, by, NOON)
        announcements.switch(session, one, True, by, NOON)
    assert told(database) == [one]
    with database.write() as session:
        by = session.query(Staff).filter_by(username="supervisor1").one()
        announcements.switch(session, one, False, by, NOON)
        events = [(event.act, event.staff_id) for event in session.get_one(Announcement, one).history]
    assert told(database) == []
    assert events == [("write", by.id), ("on", by.id), ("off", by.id)]


def test_emergencies_first_and_the_newest_of_a_kind_first(database: Database) -> None:
    notice = write(database, kind="notice")
    emergency = write(database, kind="emergency")
    outage = write(database)
    newer = write(database)
    assert told(database) == [emergency, newer, outage, notice]


def test_only_in_its_time_the_end_not_included(database: Database) -> None:
    one = write(database, begins_at=NOON, ends_at=NOON + timedelta(hours=1))
    assert told(database, NOON - timedelta(seconds=1)) == []
    assert told(database, NOON) == [one]
    assert told(database, NOON + timedelta(hours=1)) == []


def test_only_on_its_channels(database: Database) -> None:
    phone, chat = write(database, on_chat=False), write(database, on_phone=False)
    assert told(database, channel="phone") == [phone]
    assert told(database, channel="chat") == [chat]


def test_each_language_has_its_own_words_and_cantonese_falls_back_to_mandarin(database: Database) -> None:
    write(database)
    with database.read() as session:
        said = {
            language: announcements.current(session, NOON, "phone", language)[0] for language in ("zh", "yue", "en")
        }
    assert said["zh"].text == WATER.text_zh
    assert said["zh"].speech == said["yue"].speech == "今天十四点到十八点，云水区停水抢修。"
    assert said["en"].speech == WATER.text_en
    assert said["en"].categories == ("UT-WATER",)
    one = write(database, kind="emergency", speech_yue="今日停水。")
    with database.read() as session:
        assert [a.speech for a in announcements.current(session, NOON, "phone", "yue") if a.id == one] == ["今日停水。"]


def test_after_hours_and_holidays_only_then(database: Database) -> None:
    after_hours, holidays = write(database, occasion="after_hours"), write(database, occasion="holidays")
    assert told(database, at("2026-11-23T12:00")) == []
    assert told(database, at("2026-11-23T20:00")) == [after_hours]
    assert told(database, at("2026-11-22T12:00")) == [after_hours]  # a Sunday
    assert told(database, at("2026-10-01T12:00")) == [holidays, after_hours]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"text_zh": ""}, "something_empty"),
        ({"text_en": ""}, "something_empty"),
        ({"text_zh": "水" * 301}, "field_too_long"),
        ({"on_phone": False, "on_chat": False}, "channel_missing"),
        ({"begins_at": NOON, "ends_at": NOON}, "end_before_begin"),
        ({"speech_zh": "详见 www.yunchuan.gov.cn"}, "speech_address"),
        ({"speech_en": "See www.yunchuan.gov.cn"}, "speech_address"),
        ({"speech_zh": "水" * 81}, "speech_long"),
        ({"speech_yue": "停水3個鐘"}, "speech_number"),
        ({"categories": ("NO-SUCH",)}, "code_unknown"),
        ({"kind": "joke"}, "bad_request"),
    ],
)
def test_what_cannot_be_told_is_refused_and_not_kept(database: Database, changed: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as refused:
        write(database, **changed)
    assert refused.value.code == code
    assert told(database) == []


def test_what_the_phone_does_not_say_need_not_be_speakable(database: Database) -> None:
    one = write(database, on_phone=False, text_zh="详见 https://yunchuan.gov.cn")
    assert told(database, channel="chat") == [one]


def test_who_changes_one_stands_in_its_history_with_what_it_said(database: Database) -> None:
    one = write(database)
    with database.write() as session:
        by = session.query(Staff).filter_by(username="supervisor1").one()
        changed = AnnouncementContent(**vars(WATER) | {"text_zh": "已恢复供水。"})
        announcements.save(session, changed, by, NOON, one)
        history = session.get_one(Announcement, one).history
        assert [event.content["text_zh"] for event in history] == [WATER.text_zh, WATER.text_zh, "已恢复供水。"]
        assert announcements.current(session, NOON, "phone", "zh")[0].speech == "已恢复供水。"


@pytest.mark.parametrize(
    ("moment", "open_"),
    [
        ("2026-11-23T07:59", False),
        ("2026-11-23T08:00", True),
        ("2026-11-23T19:59", True),
        ("2026-11-23T20:00", False),
        ("2026-11-22T12:00", False),
        ("2026-10-01T12:00", False),
    ],
)
def test_the_desk_is_staffed_by_day_by_the_clock_of_china(moment: str, open_: bool) -> None:
    assert desk_open(at(moment).astimezone(UTC)) is open_


def test_a_weekend_is_no_public_holiday_and_a_year_without_notice_has_the_fixed_ones() -> None:
    assert is_public_holiday(datetime(2026, 10, 1).date())
    assert not is_public_holiday(datetime(2026, 11, 22).date())
    assert is_public_holiday(datetime(2039, 10, 1).date())
    assert not is_public_holiday(datetime(2039, 10, 4).date())
