"""What the bot says of a case that is followed up, without Rasa."""

import pytest

from bot import say

CASE = {
    "number": "26000-00015",
    "state": "已答复",
    "agency": "市水务集团",
    "due": "",
    "due_spoken": "",
    "note": "已修好。",
    "to_rate": True,
}


@pytest.mark.parametrize("locale", ["zh", "en"])
def test_who_follows_up_an_answered_case_hears_of_no_deadline_and_has_a_person_at_hand(locale: str) -> None:
    answered = say.case_state(locale, CASE)
    assert CASE["number"] in answered["text"]
    assert CASE["note"] in answered["speech"]
    assert [choice["message"] for choice in answered["choices"]] == ["/human"]
    closed = say.case_state(locale, CASE | {"state": "已办结", "to_rate": False})
    assert closed["choices"] == []
    assert CASE["agency"] not in closed["text"]


def test_what_still_waits_for_an_answer_is_told_with_its_day() -> None:
    waiting = say.case_state("zh", CASE | {"due": "2026年11月30日", "due_spoken": "十一月三十日", "to_rate": False})
    assert "2026年11月30日" in waiting["text"]
    assert "十一月三十日" in waiting["speech"]
