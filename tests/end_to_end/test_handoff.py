"""From a citizen's first word to the closed case, by chat and by phone, and a network that is slow and drops out. Everybody
in a browser of their own, against the real line."""

import re

from playwright.sync_api import CDPSession, Page, expect

from tests.end_to_end.conftest import Visit, dial, say, speak, wrap_up
from tests.end_to_end.test_browser import act, look_up, open_case, picture
from tests.end_to_end.test_desk import FAST, SLOW, accept, ask_for_person
from tests.running_line import RunningLine

DEAD = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
ANSWER = "已派人修好，现场已清理。"


def answer(desk: Page, words: str) -> None:
    """Write to the citizen."""
    desk.get_by_test_id("say-text").fill(words)
    desk.get_by_test_id("say-text").press("Enter")


def file_case(desk: Page, words: str, contact: str = "") -> str:
    """File the case as it was filled in, with a telephone if the line knows none; returns its number."""
    expect(desk.get_by_test_id("case-what")).to_have_value(re.compile(words))
    if contact:
        desk.get_by_test_id("case-contact").fill(contact)
    desk.get_by_test_id("file-case").click()
    return desk.get_by_test_id("case-number").inner_text()


def work_off(line: RunningLine, visit: Visit, number: str) -> None:
    """A dispatcher gives the case to an agency, which signs for it and replies."""
    dispatcher = visit.log_in(line, "dispatcher1")
    open_case(dispatcher, number)
    act(dispatcher, "accept", "accepted")
    dispatcher.get_by_test_id("act-form-dispatch").get_by_test_id("act-agency").select_option("C-URBAN")
    act(dispatcher, "dispatch", "dispatched")
    agency = visit.log_in(line, "agency1")
    agency.get_by_role("link", name=number).click()
    act(agency, "sign", "signed")
    agency.get_by_test_id("act-form-reply").get_by_test_id("act-note").fill(ANSWER)
    act(agency, "reply", "replied")


def rate(citizen: Page, line: RunningLine, number: str, last_digits: str) -> None:
    """The citizen reads the answer at the case's page and says that it is solved."""
    citizen.goto(f"{line.base_url}/cases/{number}")
    look_up(citizen, last_digits)
    expect(citizen.get_by_test_id("answer")).to_have_text(ANSWER)
    for question in ("contacted", "solved", "satisfied"):
        citizen.get_by_test_id(f"{question}-yes").check()
    citizen.get_by_test_id("visit").click()
    expect(citizen.get_by_test_id("visit")).to_have_count(0)


def close_case(desk: Page, number: str) -> None:
    """The operator closes what is solved, and the case's history has everything that was done."""
    open_case(desk, number)
    act(desk, "close", "closed")
    acts = desk.get_by_test_id("event").evaluate_all("events => events.map(event => event.dataset.act)")
    assert acts == ["close", "visit", "reply", "sign", "dispatch", "accept", "file"]


def test_a_chat_goes_from_its_first_word_to_a_closed_case(calm_line: RunningLine, visit: Visit) -> None:
    words = "云水区望月街道菜市场的顶棚掉了一块"
    citizen = ask_for_person(calm_line, visit, words)
    desk = visit.log_in(calm_line, "operator1", ready=True)
    accept(desk, words)
    answer(desk, "您好，我马上为您登记。请留个电话。")
    expect(citizen.get_by_test_id("turn-operator")).to_contain_text("请留个电话")
    say(citizen, "13900004321")
    expect(desk.get_by_test_id("transcript")).to_contain_text("13900004321")
    number = file_case(desk, "顶棚掉了一块", "13900004321")
    expect(citizen.get_by_test_id("turn-line").last).to_contain_text(number)
    desk.get_by_test_id("close").click()
    wrap_up(desk, "filed")
    expect(citizen.get_by_test_id("ended")).to_be_visible()

    work_off(calm_line, visit, number)
    rate(citizen, calm_line, number, "4321")
    close_case(desk, number)
    picture(desk, "handoff-chat-closed")


def test_a_call_goes_from_its_first_word_to_a_closed_case(calm_line: RunningLine, visit: Visit) -> None:
    words = "川北区北仓街道的公园健身器材断了"
    desk = visit.log_in(calm_line, "operator1", ready=True)
    citizen, telephone = dial(calm_line, visit, "operator1")
    speak(citizen, words)
    expect(citizen.get_by_test_id("transcript")).to_contain_text(words)
    citizen.get_by_test_id("key-0").click()
    expect(desk.get_by_test_id("offer")).to_contain_text(words)
    desk.get_by_test_id("offer-open").click()
    telephone.get_by_test_id("answer-call").click()
    expect(desk.get_by_test_id("hold")).to_be_visible()
    speak(telephone, "您好，请说具体地点")
    expect(citizen.get_by_test_id("transcript")).to_contain_text("请说具体地点")
    number = file_case(desk, "健身器材断了")
    telephone.get_by_test_id("hangup").click()
    expect(desk.get_by_test_id("stand")).to_have_attribute("data-state", "closed")
    wrap_up(desk, "filed")

    work_off(calm_line, visit, number)
    rate(citizen, calm_line, number, "8000")
    close_case(desk, number)


def network_of(page: Page) -> CDPSession:
    """The browser's own network, to be made worse."""
    network: CDPSession = page.context.new_cdp_session(page)
    return network


def test_a_network_that_is_slow_and_drops_out_loses_no_word_and_says_none_twice(
    calm_line: RunningLine, visit: Visit
) -> None:
    for complaint in ("ERR_INTERNET_DISCONNECTED", "htmx.min.js: htmx:"):
        visit.expect_complaint(complaint)
    words = "静湖区码头路的路灯杆歪了"
    citizen = ask_for_person(calm_line, visit, words)
    desk = visit.log_in(calm_line, "operator1", ready=True)
    accept(desk, words)
    networks = [network_of(page) for page in (citizen, desk)]
    for network in networks:
        network.send("Network.emulateNetworkConditions", SLOW)
    for number in range(1, 4):
        say(citizen, f"第{number}句话")
        answer(desk, f"第{number}个回答")
        expect(desk.get_by_test_id("transcript")).to_contain_text(f"第{number}个回答")

    networks[1].send("Network.emulateNetworkConditions", DEAD)
    answer(desk, "断线时的回答")
    expect(desk.get_by_test_id("say-text")).to_have_value("断线时的回答")  # it came back into the box
    say(citizen, "您还在吗")
    networks[1].send("Network.emulateNetworkConditions", SLOW)
    expect(desk.get_by_test_id("transcript")).to_contain_text("您还在吗")
    desk.get_by_test_id("say-text").press("Enter")
    expect(citizen.get_by_test_id("turn-operator").last).to_contain_text("断线时的回答")

    networks[0].send("Network.emulateNetworkConditions", DEAD)
    citizen.get_by_test_id("text").fill("断线时的话")
    citizen.get_by_test_id("text").press("Enter")
    expect(citizen.get_by_test_id("retry")).to_be_visible()
    answer(desk, "我还在")
    networks[0].send("Network.emulateNetworkConditions", SLOW)
    citizen.get_by_test_id("retry").click()
    expect(citizen.get_by_test_id("turn-operator").last).to_contain_text("我还在")
    expect(desk.get_by_test_id("transcript")).to_contain_text("断线时的话")

    for network in networks:
        network.send("Network.emulateNetworkConditions", FAST)
    wanted = ["第1句话", "第1个回答", "第2句话", "第2个回答", "第3句话", "第3个回答"]
    wanted += ["断线时的回答", "您还在吗", "我还在", "断线时的话"]
    for page in (citizen, desk):
        said = page.locator(".turn .words").all_inner_texts()
        assert sorted(one for one in said if one in wanted) == sorted(wanted)
    desk.get_by_test_id("close").click()
    wrap_up(desk, "answered")
