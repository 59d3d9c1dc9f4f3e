"""The days that docs/a-day.md and docs/a-day.zh-CN.md describe, lived step by step in the browser as they say, with the
pictures that they show (docs/pictures/days). tests/end_to_end/pictures.py runs it."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.end_to_end.conftest import Visit, expect_reply, say, step_in, wrap_up
from tests.end_to_end.test_desk import accept, ask_for_person
from tests.end_to_end.test_widget import photo
from tests.running_line import RunningLine, until

Keep = Callable[[Page, str], None]
MATTER = {"zh": "静湖区老码头的路灯坏了一排，晚上很黑", "en": "云水区望月街道菜市场的顶棚掉了一块"}
CONTACT = {"zh": "13900004321", "en": "13900004322"}
UNKNOWN = {"zh": ("明湖里可以钓鱼吗", "明湖里能钓鱼吗"), "en": ("博物馆可以带宠物吗", "博物馆里能带宠物吗")}
ANSWER = {"zh": "明湖里不能钓鱼，湖边有指定的垂钓区。", "en": "博物馆里不能带宠物，导盲犬可以。"}


def speak(page: Page, language: str) -> None:
    """Let the console speak this language from here on."""
    if page.get_by_test_id(f"lang-{language}").get_attribute("aria-current") is None:
        page.get_by_test_id(f"lang-{language}").click()
    expect(page.get_by_test_id(f"lang-{language}")).to_have_attribute("aria-current", "true")


def of_operator(line: RunningLine, visit: Visit, language: str, keep: Keep) -> None:
    """Ready, an offer, a talk, a case, what came of it, a break."""
    desk = visit.log_in(line, "operator1")
    speak(desk, language)
    desk.get_by_test_id("presence-ready").click()
    expect(desk.get_by_test_id("presence")).to_have_attribute("data-ready", "yes")
    citizen = ask_for_person(line, visit, MATTER[language])
    expect(desk.get_by_test_id("offer")).to_contain_text(MATTER[language])
    keep(desk, "operator-offer")
    accept(desk, MATTER[language])
    desk.get_by_test_id("use-suggestion").first.click()
    expect(desk.get_by_test_id("say-text")).not_to_have_value("")
    keep(desk, "operator-talk")
    desk.get_by_test_id("say-text").fill("您好，我马上为您登记。请留个电话。")
    desk.get_by_test_id("say-text").press("Enter")
    expect(citizen.get_by_test_id("turn-operator")).to_be_visible()
    say(citizen, CONTACT[language])
    expect(desk.get_by_test_id("transcript")).to_contain_text(CONTACT[language])
    desk.get_by_test_id("case-contact").fill(CONTACT[language])
    desk.get_by_test_id("file-case").click()
    expect(desk.get_by_test_id("case-number").first).to_be_visible()
    desk.get_by_test_id("close").click()
    desk.get_by_test_id("outcome-filed").check()
    keep(desk, "operator-wrap-up")
    wrap_up(desk, "filed")
    desk.get_by_test_id("presence-break").locator("summary").click()
    desk.get_by_test_id("break-meal").click()
    expect(desk.get_by_test_id("presence")).to_have_attribute("data-state", "break")


def of_clerk(line: RunningLine, visit: Visit, language: str, keep: Keep) -> None:
    """Sign for what has come, reply to the first of what is in hand."""
    page = visit.log_in(line, "agency1")
    speak(page, language)
    keep(page, "clerk-inbox")
    page.get_by_test_id("list-sign").get_by_test_id("sign").first.click()
    page.get_by_test_id("list-hand").get_by_role("link").first.click()
    form = page.get_by_test_id("act-form-reply")
    form.get_by_test_id("act-note").fill("已派人修好，现场已清理。")
    form.get_by_test_id("act-files").set_input_files(photo())
    form.scroll_into_view_if_needed()
    keep(page, "clerk-reply")
    form.get_by_test_id("act-reply").click()
    expect(page.get_by_test_id("case-state")).to_have_attribute("data-state", "replied")


def of_supervisor(line: RunningLine, visit: Visit, language: str, keep: Keep) -> None:
    """Watch the floor, whisper to an operator, take the talk over, see what is overdue."""
    desk = visit.log_in(line, "operator2", ready=True)
    words = f"{MATTER[language]}，已经报过两次"
    citizen = ask_for_person(line, visit, words)
    accept(desk, words)
    page = visit.log_in(line, "supervisor1")
    speak(page, language)
    page.get_by_test_id("nav-floor").click()
    talk = page.get_by_test_id("floor-talk").filter(has_text=words)
    expect(talk).to_be_visible()
    keep(page, "supervisor-floor")
    talk.get_by_role("link").click()
    page.get_by_test_id("note-text").fill("请问清楚有没有人受伤")
    page.get_by_test_id("add-note").click()
    expect(desk.get_by_test_id("whisper")).to_contain_text("有没有人受伤")
    speak(desk, language)
    keep(desk, "supervisor-whisper")
    step_in(page, talk, "您好，我是值班长。")
    expect(citizen.get_by_test_id("turn-operator").last).to_contain_text("值班长")
    page.get_by_test_id("close").click()
    wrap_up(page, "passed_on")
    page.get_by_test_id("nav-supervision").click()
    keep(page, "supervisor-register")


def of_editor(line: RunningLine, visit: Visit, language: str, keep: Keep) -> None:
    """From a question without an answer to the answer that the next citizen gets."""
    for question in UNKNOWN[language]:
        line.chat().say(question)
    author = visit.log_in(line, "editor1")
    speak(author, language)
    author.get_by_test_id("nav-articles").click()
    author.get_by_test_id("tab-gaps").click()
    row = author.get_by_test_id("gap-row").filter(has_text=UNKNOWN[language][0][:3])

    def grouped() -> bool:
        author.reload()
        return row.count() > 0

    until(grouped, "that the question is in the list")
    keep(author, "editor-gaps")
    row.get_by_role("link").first.click()
    author.get_by_test_id("draft-gap").click()
    author.get_by_test_id("field-answer").fill(ANSWER[language])
    author.get_by_test_id("field-speech").fill(ANSWER[language])
    author.get_by_test_id("field-agency_code").select_option("C-URBAN")
    author.get_by_test_id("field-category_code").select_option("MA-CONS")
    author.get_by_test_id("source-title").first.fill("开放公告")
    expect(author.get_by_test_id("preview-chat")).to_contain_text(ANSWER[language])
    keep(author, "editor-article")
    author.get_by_test_id("save-submit").click()
    expect(author.get_by_test_id("version")).to_have_count(1)
    reviewer = visit.log_in(line, "editor2")
    speak(reviewer, language)
    reviewer.get_by_test_id("tab-review").click()
    reviewer.get_by_test_id("to-review").get_by_role("link", name=UNKNOWN[language][0][:3]).first.click()
    reviewer.get_by_test_id("act-approve").click()
    keep(reviewer, "editor-review")
    reviewer.get_by_test_id("act-publish").click()
    expect(reviewer.get_by_test_id("version-state")).to_have_attribute("data-state", "published")
    citizen = visit.person()
    citizen.goto(f"{line.base_url}/chat")
    expect(citizen.get_by_test_id("turn-bot")).to_have_count(1)
    say(citizen, UNKNOWN[language][0])
    expect_reply(citizen, "answer", ANSWER[language][:8])


DAYS = (of_operator, of_clerk, of_supervisor, of_editor)
