"""What citizens and staff see: the pages in a real browser, against the real line.

Each test leaves a picture in build/screenshots, and fails if a page complained in its console (conftest.Visit).
"""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Error, Page, expect

from backend.settings import ROOT
from tests.end_to_end.conftest import PHONE_SCREEN, Visit, choose, dial, expect_reply, say, take, waiting_row, wrap_up
from tests.running_line import RunningLine, until

SCREENSHOTS = ROOT / "build" / "screenshots"
CASE_NUMBER = re.compile(r"\d{5}-\d{5}")
HEATING = "暖气不热该找谁"


def picture(page: Page, name: str) -> None:
    """Keep how the page looks now. On a busy machine Chromium may have no frame to give when it is first asked."""

    def taken() -> bool:
        try:
            return bool(page.screenshot(path=SCREENSHOTS / f"{name}.png"))
        except Error as error:
            if "Unable to capture screenshot" not in error.message:
                raise
            return False

    until(taken, f"the picture {name}")


def open_chat(page: Page, line: RunningLine) -> None:
    """Go to the chat page and wait for the greeting."""
    page.goto(f"{line.base_url}/chat")
    expect(page.get_by_test_id("turn-bot").first).to_contain_text("您好")


def report_lamp(page: Page) -> None:
    """Report a broken street lamp at the chat page, up to the summary."""
    answers = ("我要反映问题", "小区路灯不亮", "明湖区软件园三号楼门口", "三天了")
    for number, text in enumerate(answers, start=page.get_by_test_id("turn-bot").count()):
        say(page, text)
        expect(page.get_by_test_id("turn-bot")).to_have_count(number + 1)
        expect_reply(page, "ask")
    say(page, "13800000000")
    expect_reply(page, "confirm", "小区路灯不亮")


def file_lamp(line: RunningLine) -> str:
    """File a case about a street lamp, from a telephone that no other test uses; returns its number."""
    chat = line.chat()
    for text in ("我要反映问题", "小区路灯不亮", "明湖区软件园三号楼门口", "三天了", "13800000077"):
        chat.say(text)
    return number_in(str(chat.say("确认")[-1]["text"]))


def number_in(text: str) -> str:
    """The case number in a text."""
    found = CASE_NUMBER.search(text)
    assert found, text
    return found[0]


def look_up(page: Page, last_digits: str) -> None:
    """Prove at a case's page that one left the telephone."""
    page.get_by_test_id("last-digits").fill(last_digits)
    page.get_by_test_id("look-up").click()


def overhang(page: Page) -> int:
    """By how many pixels the page is wider than the telephone's screen."""
    width: int = page.evaluate("document.documentElement.scrollWidth")
    return width - PHONE_SCREEN[0]


# ---- the citizen's chat


def test_a_question_is_answered_with_its_sources_and_choices(line: RunningLine, visit: Visit) -> None:
    page = visit.person()
    open_chat(page, line)
    say(page, HEATING)
    answer = expect_reply(page, "answer", "接下来")
    expect(answer.get_by_test_id("sources").get_by_role("listitem").first).to_be_visible()
    expect(answer.get_by_test_id("choice")).to_have_text(["解决了", "没解决"])
    expect(page.get_by_test_id("typing")).to_be_hidden()
    picture(page, "chat-answer")


def test_a_report_is_led_through_corrected_by_a_button_filed_and_found_by_its_link(
    line: RunningLine, visit: Visit
) -> None:
    page = visit.person()
    open_chat(page, line)
    say(page, HEATING)
    expect_reply(page, "answer")
    choose(page, "没解决")
    expect(page.get_by_test_id("turn-bot").last.get_by_test_id("choice")).to_have_text(["登记工单", "转人工"])

    report_lamp(page)
    picture(page, "chat-summary")
    choose(page, "改地点")
    expect_reply(page, "ask")
    say(page, "和平路十八号")
    corrected = expect_reply(page, "confirm", "和平路十八号")
    expect(corrected).to_contain_text("小区路灯不亮")
    expect(corrected).not_to_contain_text("软件园")
    choose(page, "确认")

    filed = expect_reply(page, "filed")
    number = filed.get_by_test_id("case-number")
    expect(number).to_have_text(CASE_NUMBER)
    sizes = [float(part.evaluate("part => parseFloat(getComputedStyle(part).fontSize)")) for part in (number, filed)]
    assert sizes[0] >= 1.5 * sizes[1], "the case number is no larger than the rest"
    picture(page, "chat-filed")

    with page.context.expect_page() as opened:
        filed.get_by_test_id("case-link").click()
    case = opened.value
    expect(case).to_have_url(re.compile(rf"/cases/{number.inner_text()}\b"))
    visit.expect_complaint("status of 404")
    look_up(case, "1111")
    expect(case.get_by_test_id("problem")).to_contain_text("没有找到")
    look_up(case, "0000")
    expect(case.get_by_test_id("case-number")).to_have_text(number.inner_text())
    expect(case.get_by_test_id("case-state")).to_be_visible()
    picture(case, "case-found")


def test_a_reload_keeps_the_conversation(line: RunningLine, visit: Visit) -> None:
    page = visit.person()
    open_chat(page, line)
    say(page, HEATING)
    expect_reply(page, "answer")
    said = page.get_by_test_id("turns").get_by_role("listitem").all_inner_texts()
    page.reload()
    expect(page.get_by_test_id("turns").get_by_role("listitem")).to_have_text(said, use_inner_text=True)
    choose(page, "解决了")
    expect_reply(page, "solved", "别的问题")
    picture(page, "chat-reloaded")


def test_the_page_speaks_english_after_one_click(line: RunningLine, visit: Visit) -> None:
    page = visit.person()
    open_chat(page, line)
    page.get_by_test_id("language").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.get_by_test_id("turn-bot")).to_have_count(1)
    say(page, "My radiators are not warm. Whom do I turn to?")
    answer = expect_reply(page, "answer")
    expect(answer.get_by_test_id("choice")).to_have_text(["Yes", "No"])
    expect(answer.locator(".words")).not_to_have_text(re.compile("[一-鿿]"))
    picture(page, "chat-english")


def test_on_a_telephone_no_page_scrolls_sideways(line: RunningLine, visit: Visit) -> None:
    page = visit.phone()
    open_chat(page, line)
    say(page, HEATING)
    expect_reply(page, "answer")
    assert overhang(page) == 0
    picture(page, "telephone-chat")
    report_lamp(page)
    assert overhang(page) == 0
    choose(page, "确认")
    expect_reply(page, "filed")
    assert overhang(page) == 0
    picture(page, "telephone-filed")
    number = page.get_by_test_id("case-number").inner_text()

    page.goto(f"{line.base_url}/cases/{number}")
    look_up(page, "0000")
    expect(page.get_by_test_id("case-state")).to_be_visible()
    assert overhang(page) == 0
    picture(page, "telephone-case")

    page.goto(f"{line.base_url}/phone")
    expect(page.get_by_test_id("call")).to_be_visible()
    assert overhang(page) == 0


def test_in_large_letters_a_telephone_does_not_scroll_sideways_either(line: RunningLine, visit: Visit) -> None:
    page = visit.phone()
    open_chat(page, line)
    page.get_by_test_id("large").click()
    expect(page.get_by_test_id("large")).to_have_attribute("aria-pressed", "true")
    say(page, HEATING)
    expect_reply(page, "answer")
    assert overhang(page) == 0
    picture(page, "telephone-large")


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("address", ["/chat", "/cases", "/phone", "/console/log-in", "/no-such-page"])
def test_every_public_page_fits_a_telephone_in_both_languages(
    line: RunningLine, visit: Visit, address: str, language: str
) -> None:
    page = visit.phone()
    visit.expect_complaint("no-such-page")
    page.goto(f"{line.base_url}{address}?lang={language}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", re.compile(f"^{language}"))
    assert overhang(page) == 0
    picture(page, "-".join(["telephone", Path(address).name, language]))


def test_danger_is_answered_with_a_number_to_press(line: RunningLine, visit: Visit) -> None:
    page = visit.phone()
    open_chat(page, line)
    say(page, "楼下着火了")
    danger = expect_reply(page, "danger", "119")
    expect(danger.get_by_role("link", name="119")).to_have_attribute("href", "tel:119")
    picture(page, "telephone-danger")


# ---- the practice phone


def test_the_practice_phone_calls_hears_presses_and_hangs_up(line: RunningLine, visit: Visit) -> None:
    page = visit.phone()
    page.goto(f"{line.base_url}/phone")
    page.get_by_test_id("call").click()
    transcript = page.get_by_test_id("transcript")
    expect(transcript).to_contain_text("便民热线")
    expect(page.get_by_test_id("status")).to_have_attribute("data-status", "listening")
    page.get_by_test_id("speech-input").fill(HEATING)
    page.get_by_test_id("send").click()
    expect(transcript).to_contain_text("这样解决您的问题了吗")
    page.get_by_test_id("key-1").click()
    expect(transcript).to_contain_text("别的问题")
    picture(page, "practice-phone")
    page.get_by_test_id("hangup").click()
    expect(page.get_by_test_id("status")).to_have_attribute("data-status", "ended")
    expect(page.get_by_test_id("call")).to_be_visible()
    assert overhang(page) == 0
    picture(page, "practice-phone-ended")


# ---- operators


def test_a_chat_goes_to_an_operator_who_answers_files_a_case_and_closes(line: RunningLine, visit: Visit) -> None:
    citizen = visit.person()
    open_chat(citizen, line)
    say(citizen, "云水区望月街道的公交站牌倒了两天了")
    expect(citizen.get_by_test_id("turn-bot")).to_have_count(2)
    say(citizen, "转人工")
    expect(citizen.get_by_test_id("queue")).to_be_visible()
    expect(citizen.get_by_test_id("chat")).to_have_attribute("data-state", "waiting")
    picture(citizen, "handoff-citizen-waits")

    operator = visit.log_in(line, "operator1", ready=True)
    expect(waiting_row(operator, "公交站牌")).to_be_visible()
    picture(operator, "handoff-desk")
    take(operator, "公交站牌")
    expect(operator.get_by_test_id("transcript")).to_contain_text("云水区望月街道的公交站牌倒了两天了")
    expect(citizen.get_by_test_id("chat")).to_have_attribute("data-state", "operator")

    operator.get_by_test_id("say-text").fill("您好，我马上为您登记。")
    operator.get_by_test_id("say-text").press("Enter")
    expect(operator.get_by_test_id("transcript")).to_contain_text("我马上为您登记")
    expect(operator.get_by_test_id("say-text")).to_have_value("")
    expect(citizen.get_by_test_id("turn-operator")).to_contain_text("您好，我马上为您登记。")
    say(citizen, "谢谢，就在路口")
    expect(operator.get_by_test_id("transcript")).to_contain_text("谢谢，就在路口")

    expect(operator.get_by_test_id("case-what")).to_have_value(re.compile("公交站牌"))
    operator.get_by_test_id("case-contact").fill("13900001234")
    picture(operator, "handoff-conversation")
    operator.get_by_test_id("file-case").click()
    expect(operator.get_by_test_id("case-number")).to_have_text(CASE_NUMBER)
    number = operator.get_by_test_id("case-number").inner_text()
    expect(citizen.get_by_test_id("turn-line").last).to_contain_text(number)
    picture(operator, "handoff-filed")

    operator.get_by_test_id("close").click()
    expect(operator.get_by_test_id("stand")).to_have_attribute("data-state", "closed")
    wrap_up(operator, "filed")
    expect(citizen.get_by_test_id("ended")).to_be_visible()
    picture(citizen, "handoff-citizen-closed")


def test_of_two_operators_who_take_one_conversation_the_slower_reads_who_has_it(
    line: RunningLine, visit: Visit
) -> None:
    words = "川北区北仓街道的早市几点收摊好像没人管"
    chat = line.chat()
    chat.say(words)
    chat.say("转人工")
    first, second = (visit.log_in(line, name, ready=True) for name in ("operator1", "operator2"))
    expect(waiting_row(second, words)).to_be_visible()
    second.evaluate("dispatchEvent(new Event('pagehide'))")  # its stream ends: it hears nothing new from here on
    take(first, words)

    visit.expect_complaint("status of 409")
    waiting_row(second, words).get_by_test_id("take").click()
    expect(second.get_by_test_id("refusal")).to_have_text("这个会话已由 坐席甲 接起。")
    expect(second.get_by_test_id("transcript")).to_contain_text(words)
    expect(second.get_by_test_id("say-text")).to_have_count(0)
    picture(second, "taken-by-another")
    first.get_by_test_id("close").click()
    expect(first.get_by_test_id("stand")).to_have_attribute("data-state", "closed")
    wrap_up(first, "answered")


def test_a_caller_who_presses_zero_is_put_through_to_the_operator_whose_telephone_rings(
    line: RunningLine, visit: Visit
) -> None:
    operator = visit.log_in(line, "operator1", ready=True)
    citizen, telephone = dial(line, visit, "operator1")
    words = "高新区体育公园的健身器材坏了"
    citizen.get_by_test_id("speech-input").fill(words)
    citizen.get_by_test_id("send").click()
    expect(citizen.get_by_test_id("transcript")).to_contain_text(words)
    citizen.get_by_test_id("key-0").click()
    expect(operator.get_by_test_id("offer")).to_contain_text(words)
    picture(operator, "call-offered")
    operator.get_by_test_id("offer-open").click()
    expect(operator.get_by_test_id("voice-note")).to_be_visible()
    expect(operator.get_by_test_id("caller")).to_contain_text("138 0013 8000")
    expect(operator.get_by_test_id("transcript")).to_contain_text(words)

    telephone.get_by_test_id("answer-call").click()
    expect(operator.get_by_test_id("hold")).to_be_visible()
    picture(operator, "call-taken")
    expect(telephone.get_by_test_id("transcript")).to_contain_text(words)
    citizen.get_by_test_id("speech-input").fill("已经坏了三天")
    citizen.get_by_test_id("send").click()
    expect(telephone.get_by_test_id("transcript")).to_contain_text("已经坏了三天")
    telephone.get_by_test_id("hangup").click()
    expect(citizen.get_by_test_id("transcript")).to_contain_text("人工服务已结束")
    expect(operator.get_by_test_id("stand")).to_have_attribute("data-state", "closed")
    wrap_up(operator, "answered")


# ---- cases


def test_a_case_goes_from_dispatcher_to_agency_to_return_visit_and_the_citizen_reads_the_answer(
    line: RunningLine, visit: Visit
) -> None:
    number = file_lamp(line)

    dispatcher = visit.log_in(line, "dispatcher1")
    open_case(dispatcher, number)
    picture(dispatcher, "case-filed")
    act(dispatcher, "accept", "accepted")
    dispatcher.get_by_test_id("act-form-dispatch").get_by_test_id("act-agency").select_option("C-URBAN")
    act(dispatcher, "dispatch", "dispatched")

    agency = visit.log_in(line, "agency1")
    picture(agency, "cases-of-agency")
    open_case(agency, number)
    act(agency, "sign", "signed")
    agency.get_by_test_id("act-form-reply").get_by_test_id("act-note").fill("灯头已更换，今晚恢复照明。")
    act(agency, "reply", "replied")

    operator = visit.log_in(line, "operator1")
    open_case(operator, number)
    form = operator.get_by_test_id("act-form-visit")
    for question in ("contacted", "solved", "satisfied"):
        form.get_by_test_id(f"act-{question}").select_option("yes")
    picture(operator, "case-visit")
    act(operator, "visit", "visited")
    act(operator, "close", "closed")
    acts = operator.get_by_test_id("event").evaluate_all("events => events.map(event => event.dataset.act)")
    assert acts == ["close", "visit", "reply", "sign", "dispatch", "accept", "file"]
    picture(operator, "case-closed")

    citizen = visit.person()
    citizen.goto(f"{line.base_url}/cases/{number}")
    look_up(citizen, "0077")
    expect(citizen.get_by_test_id("answer")).to_have_text("灯头已更换，今晚恢复照明。")
    expect(citizen.get_by_test_id("agency")).not_to_contain_text("待审核")
    picture(citizen, "case-answered")


def open_case(page: Page, number: str) -> None:
    """Find a case in the list and open it."""
    page.get_by_test_id("nav-cases").click()
    page.get_by_test_id("cases").get_by_role("link", name=number).click()
    expect(page.get_by_test_id("case-number")).to_have_text(number)


def act(page: Page, name: str, state: str) -> None:
    """Send an act's form, and see that it led to this state."""
    page.get_by_test_id(f"act-form-{name}").get_by_test_id(f"act-{name}").click()
    expect(page.get_by_test_id("case-state")).to_have_attribute("data-state", state)


@pytest.mark.parametrize("username", ["operator1", "dispatcher1", "agency1", "supervisor1"])
def test_each_role_sees_its_pages_in_both_languages(line: RunningLine, visit: Visit, username: str) -> None:
    page = visit.log_in(line, username)
    addresses = {link.get_attribute("href") for link in page.get_by_role("navigation").get_by_role("link").all()}
    for address in sorted(filter(None, addresses)):
        for language in ("zh", "en"):
            page.goto(f"{line.base_url}{address}?lang={language}")
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            picture(page, "-".join([username, Path(address).name, language]))


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_longest_navigation_is_one_line_on_a_small_laptop_and_fits_a_telephone(
    line: RunningLine, visit: Visit, language: str
) -> None:
    page = visit.log_in(line, "supervisor1")
    page.goto(f"{line.base_url}/console/knowledge/gaps?lang={language}")
    first, last = page.get_by_test_id("nav-desk").bounding_box(), page.get_by_test_id("log-out").bounding_box()
    assert first and last
    assert first["y"] + first["height"] > last["y"]
    expect(page.get_by_test_id("nav-articles")).to_have_attribute("aria-current", "page")
    page.set_viewport_size({"width": PHONE_SCREEN[0], "height": PHONE_SCREEN[1]})
    assert overhang(page) == 0
