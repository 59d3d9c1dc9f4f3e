"""What citizens see in the middle of a talk, which no address alone brings up: the chat with answers and in its queue, the
widget on a strange page, a case's page, the practice phone in a call. As axe-core finds it by WCAG 2.2 A and AA, light and
dark, in both languages."""

import pytest
from playwright.sync_api import Frame, Page, expect

from tests.end_to_end.conftest import Visit, expect_reply, say
from tests.end_to_end.test_accessibility import WCAG, faults
from tests.end_to_end.test_browser import file_lamp, look_up
from tests.end_to_end.test_widget import Site
from tests.running_line import RunningLine

QUESTION = {"zh": "暖气不热该找谁", "en": "My radiators are not warm. Whom do I turn to?"}
DANGER = {"zh": "楼下着火了", "en": "There is a fire downstairs"}
PERSON = {"zh": "转人工", "en": "I want to talk to a person"}
BUTTON = {"zh": "12345 在线服务", "en": "Ask 12345"}

both_languages = pytest.mark.parametrize("language", ["zh", "en"])


def expect_no_faults(page: Page, *frames: Frame) -> None:
    """Axe finds nothing, light and dark, on the page and in these frames of it."""
    parts: list[Page | Frame] = [page, *frames]
    found = list[str]()
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        found += [f"{theme}: {fault}" for part in parts for fault in faults(part, WCAG)]
    page.emulate_media(color_scheme="light")
    assert found == []


@both_languages
def test_axe_finds_nothing_in_a_chat_from_greeting_to_queue(line: RunningLine, visit: Visit, language: str) -> None:
    page = visit.person()
    page.goto(f"{line.base_url}/chat?lang={language}")
    expect(page.get_by_test_id("turn-bot")).to_have_count(1)
    expect_no_faults(page)
    say(page, QUESTION[language])
    expect_reply(page, "answer")
    say(page, DANGER[language])
    expect_reply(page, "danger")
    page.get_by_test_id("large").click()
    expect_no_faults(page)
    say(page, PERSON[language])
    expect(page.get_by_test_id("queue")).to_be_visible()
    page.get_by_test_id("restart").click()
    expect(page.get_by_test_id("ask")).to_be_visible()
    expect_no_faults(page)
    page.get_by_test_id("leave").click()
    expect(page.get_by_test_id("queue")).to_be_hidden()


@both_languages
def test_axe_finds_nothing_in_the_widget(line: RunningLine, visit: Visit, language: str) -> None:
    site, page = Site(line.base_url, language), visit.person()
    page.goto(site.url)
    button = page.get_by_role("button", name=BUTTON[language])
    expect(button).to_be_visible()
    expect_no_faults(page)
    button.click()
    expect(page.frame_locator("iframe").get_by_test_id("turn-bot")).to_have_count(1)
    expect_no_faults(page, page.frames[-1])
    site.close()


@both_languages
def test_axe_finds_nothing_on_a_case_page_from_the_empty_form_to_the_case(
    line: RunningLine, visit: Visit, language: str
) -> None:
    number, page = file_lamp(line), visit.phone()
    page.goto(f"{line.base_url}/cases/{number}?lang={language}")
    expect_no_faults(page)
    visit.expect_complaint("status of 404")
    look_up(page, "1111")
    expect(page.get_by_test_id("problem")).to_be_visible()
    expect_no_faults(page)
    look_up(page, "0077")
    expect(page.get_by_test_id("case-state")).to_be_visible()
    for more in page.locator("details").all():
        more.locator("summary").click()
    expect_no_faults(page)


@both_languages
def test_axe_finds_nothing_on_the_practice_phone_before_in_and_after_a_call(
    line: RunningLine, visit: Visit, language: str
) -> None:
    page = visit.phone()
    page.goto(f"{line.base_url}/phone?lang={language}")
    page.locator("details summary").click()
    expect_no_faults(page)
    page.get_by_test_id("call").click()
    expect(page.get_by_test_id("status")).to_have_attribute("data-status", "listening")
    expect_no_faults(page)
    page.get_by_test_id("hangup").click()
    expect(page.get_by_test_id("status")).to_have_attribute("data-status", "ended")
    expect_no_faults(page)
    page.goto(f"{line.base_url}/phone?as=operator1&lang={language}")
    expect_no_faults(page)
