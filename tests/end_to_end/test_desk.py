"""Several people at once: an operator whose browser dies, a slow network, a supervisor on the floor. Each in a real browser,
against the real line."""

import re

from playwright.sync_api import APIResponse, Page, Route, expect

from tests.end_to_end.conftest import Visit, dial, say, speak, step_in, wrap_up
from tests.end_to_end.test_browser import open_chat, picture
from tests.running_line import RunningLine, until

SOON = 45_000
"""ms: half a minute until a console counts as dead, and a slow machine."""
COUNT_TONES = """
    window.tones = 0;
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (...when) { tones += 1; return start.apply(this, when); };
    null;
"""
"""What a page plays can't be heard here; that it plays can."""
SLOW = {"offline": False, "latency": 300, "downloadThroughput": 50_000, "uploadThroughput": 20_000}
"""A bad mobile connection: ms, bytes a second."""
FAST = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
"""As it comes."""


def ask_for_person(line: RunningLine, visit: Visit, words: str) -> Page:
    """A citizen at the chat who waits for a person."""
    citizen = visit.person()
    open_chat(citizen, line)
    say(citizen, words)
    expect(citizen.get_by_test_id("turn-bot")).to_have_count(2)
    say(citizen, "转人工")
    expect(citizen.get_by_test_id("chat")).to_have_attribute("data-state", "waiting")
    return citizen


def accept(desk: Page, words: str) -> None:
    """Accept by key what is offered."""
    expect(desk.get_by_test_id("offer")).to_contain_text(words, timeout=SOON)
    desk.keyboard.press("a")
    desk.wait_for_url("**/console/conversations/*")
    expect(desk.get_by_test_id("stand")).to_have_attribute("data-state", "operator")


def test_a_killed_browser_gives_its_chat_to_the_next_operator_with_nothing_lost(
    calm_line: RunningLine, visit: Visit
) -> None:
    words = "静湖区老码头的路灯坏了一排"
    first = visit.log_in(calm_line, "operator1", ready=True)
    citizen = ask_for_person(calm_line, visit, words)
    expect(first.get_by_test_id("offer")).to_contain_text(words)
    picture(first, "desk-offer")
    accept(first, words)
    first.get_by_test_id("say-text").fill("您好，我来为您登记。")
    first.get_by_test_id("say-text").press("Enter")
    expect(citizen.get_by_test_id("turn-operator")).to_contain_text("我来为您登记")

    second = visit.log_in(calm_line, "operator2", ready=True)
    visit.kill(first)
    say(citizen, "一共七盏")
    accept(second, "一共七盏")
    for said in (words, "我来为您登记", "一共七盏"):
        expect(second.get_by_test_id("transcript")).to_contain_text(said)
    expect(citizen.get_by_test_id("chat")).to_have_attribute("data-state", "operator")
    second.get_by_test_id("close").click()
    wrap_up(second, "answered")


def test_what_is_said_while_the_page_is_still_asking_is_shown_as_well(calm_line: RunningLine, visit: Visit) -> None:
    words = "静湖区码头的护栏松了"
    desk = visit.log_in(calm_line, "operator1", ready=True)
    citizen = ask_for_person(calm_line, visit, words)
    accept(desk, words)
    desk.evaluate("window.told = 0; document.body.addEventListener('conversation', () => { told += 1; }); null")
    held: list[tuple[Route, APIResponse]] = []

    def hold(route: Route) -> None:
        """The first answer is made and waits; later ones go through."""
        if held:
            route.continue_()
        else:
            held.append((route, route.fetch()))

    desk.route("**/turns?*", hold)
    say(citizen, "一共三段")
    until(lambda: bool(desk.evaluate("told") and held), "the page's question")
    before = desk.evaluate("told")
    say(citizen, "旁边有孩子在玩")
    until(lambda: bool(desk.evaluate("told") > before), "the news")
    route, answer = held[0]
    route.fulfill(response=answer)
    for said in ("一共三段", "旁边有孩子在玩"):
        expect(desk.get_by_test_id("transcript")).to_contain_text(said)
    desk.get_by_test_id("close").click()
    wrap_up(desk, "answered")


def test_who_wants_it_hears_that_somebody_is_offered_and_everybody_sees_it_on_the_tab(
    calm_line: RunningLine, visit: Visit
) -> None:
    desk = visit.log_in(calm_line, "operator1")
    desk.get_by_test_id("bell").click()
    expect(desk.get_by_test_id("bell")).to_have_attribute("aria-pressed", "true")
    expect(desk.get_by_test_id("bell")).to_have_text("提示音")
    desk.get_by_test_id("presence-ready").click()
    expect(desk.get_by_test_id("presence")).to_have_attribute("data-ready", "yes")
    expect(desk.get_by_test_id("bell")).to_have_attribute("aria-pressed", "true")
    desk.locator("h1").click()
    expect(desk.get_by_test_id("bell")).to_have_text("提示音")
    desk.evaluate(COUNT_TONES)
    ask_for_person(calm_line, visit, "静湖区梧桐路的井盖响")
    expect(desk).to_have_title(re.compile(r"^\(1\) 分配给您 · .*接听台"), timeout=SOON)
    expect(desk.locator("link[rel=icon]")).to_have_attribute("href", re.compile("icon-offered"))
    desk.wait_for_function("tones >= 2")
    picture(desk, "desk-bell")
    accept(desk, "井盖响")
    expect(desk).not_to_have_title(re.compile("分配给您"))
    desk.get_by_test_id("close").click()
    wrap_up(desk, "answered")


def test_a_supervisor_sees_the_floor_whispers_and_steps_in_while_the_operator_is_on_a_slow_network(
    calm_line: RunningLine, visit: Visit
) -> None:
    words = "云水区农贸市场门口的下水道堵了"
    operator = visit.log_in(calm_line, "operator1", ready=True)
    network = operator.context.new_cdp_session(operator)
    network.send("Network.emulateNetworkConditions", SLOW)
    citizen = ask_for_person(calm_line, visit, words)
    accept(operator, words)
    supervisor = visit.log_in(calm_line, "supervisor1", ready=True)
    supervisor.get_by_test_id("nav-floor").click()
    talk = supervisor.get_by_test_id("floor-talk").filter(has_text=words)
    expect(talk).to_be_visible()
    picture(supervisor, "floor")
    supervisor.emulate_media(color_scheme="dark")
    picture(supervisor, "floor-dark")
    supervisor.emulate_media(color_scheme="light")

    talk.get_by_role("link").click()
    supervisor.get_by_test_id("note-text").fill("请问清楚有没有人受伤")
    supervisor.get_by_test_id("add-note").click()
    expect(operator.get_by_test_id("whisper")).to_contain_text("有没有人受伤")
    picture(operator, "talk")
    operator.emulate_media(color_scheme="dark")
    picture(operator, "talk-dark")
    expect(citizen.get_by_test_id("turns")).not_to_contain_text("有没有人受伤")

    step_in(supervisor, talk, "您好，我是值班长。")
    expect(citizen.get_by_test_id("turn-operator").last).to_contain_text("我是值班长")
    expect(operator.get_by_test_id("say-text")).to_have_count(0)
    supervisor.get_by_test_id("close").click()
    picture(supervisor, "wrap-up")
    wrap_up(supervisor, "passed_on")
    network.send("Network.emulateNetworkConditions", FAST)  # nothing is on its way when the operator logs out


def test_a_supervisor_listens_to_a_call_whispers_unheard_by_the_citizen_and_steps_in(
    calm_line: RunningLine, visit: Visit
) -> None:
    words = "云水区滨河步道的护栏断了"
    operator = visit.log_in(calm_line, "operator1", ready=True)
    citizen, telephone = dial(calm_line, visit, "operator1")
    speak(citizen, words)
    expect(citizen.get_by_test_id("transcript")).to_contain_text(words)
    citizen.get_by_test_id("key-0").click()
    expect(operator.get_by_test_id("offer")).to_contain_text(words, timeout=SOON)
    telephone.get_by_test_id("answer-call").click()
    expect(telephone.get_by_test_id("transcript")).to_contain_text(words)

    supervisor, ear = visit.log_in(calm_line, "supervisor1"), visit.phone()
    ear.goto(f"{calm_line.base_url}/phone?as=supervisor1")
    supervisor.get_by_test_id("nav-floor").click()
    talk = supervisor.get_by_test_id("floor-talk").filter(has_text=words)
    talk.get_by_test_id("enter").click()
    picture(supervisor, "floor-call")
    talk.get_by_test_id("listener").click()
    supervisor.wait_for_url("**/console/conversations/*")
    ear.get_by_test_id("answer-call").click()
    stand = supervisor.get_by_test_id("supervise")
    expect(stand).to_have_attribute("data-as", "listener")
    speak(citizen, "断口很尖")
    expect(ear.get_by_test_id("transcript")).to_contain_text("断口很尖")

    stand.get_by_test_id("coach").click()
    expect(stand).to_have_attribute("data-as", "coach")
    speak(ear, "问问有没有人受伤")
    expect(telephone.get_by_test_id("transcript")).to_contain_text("有没有人受伤")
    picture(supervisor, "call-coached")

    stand.get_by_test_id("barge").click()
    expect(stand).to_have_attribute("data-as", "barge")
    speak(ear, "您好，我是值班长")
    expect(citizen.get_by_test_id("transcript")).to_contain_text("我是值班长")
    expect(citizen.get_by_test_id("transcript")).not_to_contain_text("有没有人受伤")

    supervisor.get_by_test_id("drop").click()
    expect(stand).to_have_attribute("data-as", "")
    operator.goto(f"{calm_line.base_url}/console")
    telephone.get_by_test_id("hangup").click()
    operator.get_by_test_id("unfinished").get_by_role("link").click()
    wrap_up(operator, "answered")
