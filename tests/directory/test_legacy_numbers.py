"""Old numbers: found however the telephone service writes them."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backend.cases.service import Actor, Filing, file_case
from backend.conversations.service import open_conversation
from backend.database import Database
from backend.directory import legacy
from backend.directory.legacy import LegacyContent, written
from backend.directory.models import LegacyNumber, Staff
from backend.errors import Refused
from backend.knowledge.speech import problems
from backend.parts import Parts
from tests.conftest import NOON

OLD = LegacyContent(
    "+8655187654321", "供热服务热线", "您好，原供热热线已并入一二三四五。", "", "The former heating line."
)


@pytest.mark.parametrize(
    "dialled", ["12319", "+8612319", "+8655112319", "055112319", "0551-12319", "+861012319", "sip:12319@line.example"]
)
def test_a_short_number_is_found_with_and_without_area_code(database: Database, dialled: str) -> None:
    with database.read() as session:
        found = legacy.legacy_number(session, dialled)
        assert found and (found.number, found.category_code, found.agency_code) == ("12319", "CM", "C-URBAN")


@pytest.mark.parametrize(
    "dialled", ["12345", "+8655112345", "+8613800138000", "+8613800112319", "", "anonymous", "119"]
)
def test_other_numbers_are_not_old_ones(database: Database, dialled: str) -> None:
    with database.read() as session:
        assert legacy.legacy_number(session, dialled) is None


@given(st.text() | st.from_regex(r"\+?[0-9 ()-]{0,24}", fullmatch=True))
@example("+8655112319")
@example("１２３１９")
def test_whatever_is_dialled_has_one_form_that_fits_the_record(dialled: str) -> None:
    form = written(dialled)
    assert re.fullmatch(r"(\+?[0-9]{3,15})?", form)
    assert written(form) == form


def test_one_that_is_switched_off_is_not_found(database: Database) -> None:
    with database.write() as session:
        by = session.query(Staff).filter_by(username="supervisor1").one()
        legacy.save(session, OLD, by, NOON)
        assert legacy.legacy_number(session, "+86 551 8765 4321")
        legacy.save(session, LegacyContent(**vars(OLD) | {"active": False}), by, NOON)
        assert legacy.legacy_number(session, "+8655187654321") is None


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"number": "城管"}, "number_unreadable"),
        ({"name": ""}, "something_empty"),
        ({"greeting_en": ""}, "something_empty"),
        ({"greeting_yue": "好" * 301}, "field_too_long"),
        ({"category": "NO-SUCH"}, "code_unknown"),
        ({"agency": "NO-SUCH"}, "code_unknown"),
    ],
)
def test_what_is_wrong_is_refused(database: Database, changed: dict[str, str], code: str) -> None:
    with database.write() as session, pytest.raises(Refused) as refused:
        legacy.save(session, LegacyContent(**vars(OLD) | changed), session.query(Staff).first(), NOON)  # type: ignore[arg-type]
    assert refused.value.code == code


def test_every_starter_greeting_speaks_the_old_number_and_can_be_said(database: Database) -> None:
    with database.read() as session:
        numbers = legacy.legacy_numbers(session)
        assert len(numbers) > 15
        for one in numbers:
            assert one.basis and one.category_code and one.agency_code
            for language in ("zh", "yue", "en"):
                said = one.greeting(language)
                assert not problems(said, language)
                assert "{" not in said
            assert " ".join(one.number) in one.greeting("en")
            assert one.name in one.greeting("zh")


def test_cantonese_falls_back_to_mandarin() -> None:
    row = LegacyNumber(number="1", name="旧", greeting_zh="中", greeting_yue="", greeting_en="e")
    assert [row.greeting(language) for language in ("zh", "yue", "en")] == ["中", "中", "e"]


@pytest.mark.parametrize(
    ("dialled", "place", "agency"),
    [("12319", "", "C-URBAN"), ("12319", "明湖区", "D-MH-URBAN"), ("12345", "", "C-LINE")],
)
def test_where_the_words_say_too_little_the_number_dialled_says_where_a_case_goes(
    parts: Parts, dialled: str, place: str, agency: str
) -> None:
    with parts.database.write() as session:
        conversation, _ = open_conversation(session, "phone", "zh", NOON)
        conversation.dialled = written(dialled)
        filing = Filing(what="嗯嗯", place=place, channel="phone", conversation_id=conversation.id)
        case = file_case(session, parts.knowledge, filing, Actor("bot"), NOON, "shandong")
        assert case.agency_code == agency
        assert (case.category_code == "CM") == (dialled == "12319")
