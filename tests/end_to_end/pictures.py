"""Takes the pictures of docs/pictures anew, from the real line in a real browser: some of single moments, and every desk in
both languages and both themes (docs/pictures/desks).

Run as `.venv/web/bin/python -m tests.end_to_end.pictures`, or with the names of some of the pictures; it needs what the
browser tests need, Chromium and a trained bot, and starts a line of its own whose record has invented cases of two months.
"""

import io
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright
from sqlalchemy import select

from backend.cases.service import Actor, Filing, act_on, file_case
from backend.clock import utc_now
from backend.database import Database
from backend.directory.models import Staff
from backend.insight import rollups, sample_year
from backend.knowledge.service import Knowledge
from backend.settings import ROOT
from tests.end_to_end import days
from tests.end_to_end.conftest import PHONE_SCREEN, Visit, calm, expect_reply, launch, say, take
from tests.end_to_end.test_widget import Site, photo
from tests.running_line import RunningLine

PICTURES = ROOT / "docs" / "pictures"
COLOURS = 64
"""Of a picture: pages have few, and it is a quarter of the size then."""
HANDED_OUT = (
    (9, "accept dispatch sign", "和平路路灯连着六盏不亮，晚上看不清路", "明湖区和平路十八号"),
    (5, "accept dispatch sign", "菜市场门口占道经营，早高峰公交车进不了站", "云水区望月街道"),
    (3, "accept dispatch sign", "小区垃圾桶满了三天没人清运，有味道", "川北区北仓街道幸福里"),
    (2, "accept dispatch sign reply", "人行道地砖松动，下雨天溅水", "静湖区码头路"),
    (0, "accept dispatch", "公园健身器材断了一根，孩子划伤了手", "高新区体育公园"),
    (0, "accept dispatch", "夜里工地渣土车不盖篷布，满路是土", "明湖区滨河大道"),
    (0, "accept dispatch", "公厕水管漏水，地上都是冰", "云水区老码头"),
    (0, "", "楼下饭店的油烟管对着我家窗户", "川北区北仓街道十二号"),
    (0, "", "地铁口的共享单车堵住了盲道", "明湖区软件园站"),
    (0, "", "孩子转学的材料交了两个星期没有回音", "静湖区第三小学"),
    (0, "", "楼道里的灯还是不亮", "云水区望月小区三号楼"),
)
"""Days ago, what was done, what about, where."""
CASES, DAYS, SEED = 1200, 60, 12345
LAPTOP = (1366, 768)
LANGUAGES, THEMES = ("zh", "en"), ("light", "dark")
HEATING = "暖气不热该找谁"
QUESTIONS = {"zh": HEATING, "en": "My radiators are not warm. Whom do I turn to?"}
OPENS = {"zh": "12345 在线服务", "en": "Ask 12345"}
COLD = "明湖区软件园三号楼的暖气不热三天了"


def main(wanted: list[str]) -> None:
    """Take those that are wanted, or all."""
    with (
        tempfile.TemporaryDirectory() as folder,
        RunningLine(Path(folder)) as line,
        sync_playwright() as playwright,
        launch(playwright) as browser,
    ):
        record = Database(line.database_url)
        sample_year.fill(record, utc_now(), CASES, DAYS, SEED, lambda _: None)
        rollups.rebuild(record, utc_now)
        hand_out(record)
        record.close()
        for take_picture in TAKES:
            if not wanted or take_picture.__name__.removeprefix("take_") in wanted:
                visit = Visit(browser)
                take_picture(line, visit)
                visit.leave()


def hand_out(record: Database) -> None:
    """Cases for the agency's and the dispatcher's desk: each as old and as far as it says."""
    with record.write() as session:
        by_name = {staff.username: staff for staff in session.scalars(select(Staff))}
        dispatcher, clerk = (Actor(role, by_name[f"{role}1"]) for role in ("dispatcher", "agency"))
        details = {"dispatch": {"agency": "C-URBAN"}, "reply": {"note": "已派人修好，现场已清理。"}}
        for number, (days, acts, what, place) in enumerate(HANDED_OUT):
            when = utc_now() - timedelta(days=days, hours=1, minutes=7 * number)
            filing = Filing(what=what, place=place, contact=f"+861380000{number:04}", channel="phone")
            case = file_case(session, Knowledge(record, None), filing, Actor("bot"), when, "shandong")
            for act in acts.split():
                when += timedelta(minutes=15)
                who = clerk if act in ("sign", "reply") else dispatcher
                act_on(session, case.number, act, who, details.get(act, {}), when)


def take_chat(line: RunningLine, visit: Visit) -> None:
    """chat.png: an answer with its sources, and whether it helped."""
    page = visit.person(1100, 870)
    page.goto(f"{line.base_url}/chat")
    say(page, HEATING)
    expect_reply(page, "answer")
    expect(page.get_by_test_id("typing")).to_be_hidden()
    keep(page, "chat")


def take_phone(line: RunningLine, visit: Visit) -> None:
    """phone.png: the practice phone in a call."""
    page = visit.phone()
    page.goto(f"{line.base_url}/phone")
    page.get_by_test_id("call").click()
    expect(page.get_by_test_id("status")).to_have_attribute("data-status", "listening")
    page.get_by_test_id("speech-input").fill(HEATING)
    page.get_by_test_id("speech-input").press("Enter")
    expect(page.get_by_test_id("transcript")).to_contain_text("这样解决您的问题了吗")
    keep(page, "phone")


def take_widget(line: RunningLine, visit: Visit) -> None:
    """widget.png: the chat on a site of the city's own, with a photo, while an operator is typing."""
    site = Site(line.base_url)
    page, desk = visit.person(1000, 760), visit.log_in(line, "operator1", ready=True)
    page.goto(site.url)
    page.get_by_role("button", name="12345 在线服务").click()
    chat = page.frame_locator("iframe")
    chat.get_by_test_id("text").fill("小区路灯不亮")
    chat.get_by_test_id("text").press("Enter")
    expect(chat.get_by_test_id("turn-bot").nth(1)).to_be_visible()
    chat.get_by_test_id("file").set_input_files(photo())
    expect(chat.get_by_test_id("photo")).to_be_visible()
    chat.get_by_test_id("person").click()
    expect(chat.get_by_test_id("queue")).to_be_visible()
    take(desk, "小区路灯不亮")
    desk.get_by_test_id("say-text").press_sequentially("您好，照片看到了")
    expect(chat.get_by_test_id("typing")).to_be_visible()
    keep(page, "widget")
    desk.get_by_test_id("close").click()
    site.close()


def take_console(line: RunningLine, visit: Visit) -> None:
    """console.png: an operator with a citizen, with answers to use and a case to file."""
    chat = line.chat()
    for text in (COLD, "转人工"):
        chat.say(text)
    page = visit.log_in(line, "operator1", ready=True)
    take(page, COLD)
    page.get_by_test_id("say-text").fill("您好，您说的我都看到了。家里现在多少度？")
    page.get_by_test_id("say-text").press("Enter")
    expect(page.get_by_test_id("transcript")).to_contain_text("家里现在多少度")
    answer = "暖气片只有一点温，屋里十五度，整个单元都不热"
    chat.say(answer)
    expect(page.get_by_test_id("transcript")).to_contain_text(answer)
    page.get_by_test_id("say-text").fill("好的，我马上为您登记，")
    keep(page, "console")


# ---- every desk


def take_operator(line: RunningLine, visit: Visit) -> None:
    """desks/operator, desks/talk, desks/floor: somebody is talked with, others wait, a supervisor watches."""
    for said in (("地铁口的共享单车堵住了盲道", "转人工"), ("小区门口的垃圾三天没清运", "转人工")):
        chat = line.chat()
        for text in said:
            chat.say(text)
    english = line.chat("en")
    for text in ("The street lamp in front of my house is broken", "I want to talk to a person"):
        english.say(text)
    chat = line.chat()
    for text in (COLD, "转人工"):
        chat.say(text)
    page = visit.log_in(line, "operator1", True, *LAPTOP)
    take(page, COLD)
    page.get_by_test_id("say-text").fill("您好，您说的我都看到了。家里现在多少度？")
    page.get_by_test_id("say-text").press("Enter")
    chat.say("暖气片只有一点温，屋里十五度，整个单元都不热")
    expect(page.get_by_test_id("transcript")).to_contain_text("整个单元都不热")
    keep_looks(page, "talk", page.url)
    keep_looks(page, "operator", f"{line.base_url}/console")
    page.goto(f"{line.base_url}/console?lang=zh")
    supervisor = visit.log_in(line, "supervisor1", False, *LAPTOP)
    keep_looks(supervisor, "floor", f"{line.base_url}/console/floor")


def take_agency(line: RunningLine, visit: Visit) -> None:
    """desks/agency, desks/agency-phone: the inbox on a laptop and on a telephone."""
    for name, screen in (("agency", LAPTOP), ("agency-phone", PHONE_SCREEN)):
        page = visit.log_in(line, "agency1", False, *screen, touch=screen == PHONE_SCREEN)
        keep_looks(page, name, f"{line.base_url}/console/inbox")


def take_others(line: RunningLine, visit: Visit) -> None:
    """desks/dispatcher, editor, analyst, admin, wall."""
    for name, username, address in (
        ("dispatcher", "dispatcher1", "/console/dispatch"),
        ("editor", "editor1", "/console/knowledge"),
        ("analyst", "analyst1", "/console/insight"),
        ("admin", "admin1", "/console/people"),
    ):
        keep_looks(visit.log_in(line, username, False, *LAPTOP), name, f"{line.base_url}{address}")
    analyst = visit.log_in(line, "analyst1", False, *LAPTOP)
    keep_looks(analyst, "wall", f"{line.base_url}/console/wall")
    analyst.goto(f"{line.base_url}/console/insight")


def take_citizen(line: RunningLine, visit: Visit) -> None:
    """desks/chat, desks/widget: the chat on a page of its own, and on a site of the city's own."""
    for language, question in QUESTIONS.items():
        page = visit.person(*LAPTOP)
        page.goto(f"{line.base_url}/chat?lang={language}")
        expect(page.get_by_test_id("turn-bot")).to_have_count(1)
        say(page, question)
        expect_reply(page, "answer")
        keep_themes(page, f"desks/chat-{language}")
        site, page = Site(line.base_url, language), visit.person(*LAPTOP)
        page.goto(site.url)
        page.get_by_role("button", name=OPENS[language]).click()
        chat = page.frame_locator("iframe")
        chat.get_by_test_id("text").fill(question)
        chat.get_by_test_id("text").press("Enter")
        expect(chat.get_by_test_id("choice").first).to_be_visible()
        keep_themes(page, f"desks/widget-{language}")
        site.close()


def take_days(line: RunningLine, visit: Visit) -> None:
    """days/…: the days that docs/a-day.md describes."""
    for language in LANGUAGES:
        for day in days.DAYS:
            calm(line)
            people = Visit(visit.browser)
            day(line, people, language, lambda page, name: keep(page, f"days/{name}-{language}", top=False))  # noqa: B023  # called at once
            people.leave()


def keep_looks(page: Page, name: str, address: str) -> None:
    """Write how the page looks in both languages and themes."""
    for language in LANGUAGES:
        page.goto(f"{address}?lang={language}")
        expect(page.locator("html")).to_have_attribute("lang", "en" if language == "en" else "zh-CN")
        page.wait_for_load_state("networkidle" if page.locator("body[data-events]").count() == 0 else "load")
        keep_themes(page, f"desks/{name}-{language}")
    page.goto(f"{address}?lang=zh")


def keep_themes(page: Page, name: str) -> None:
    """Write how the page looks in light and dark."""
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]  # one of the two that there are
        keep(page, f"{name}-{theme}")
    page.emulate_media(color_scheme="light")


def keep(page: Page, name: str, top: bool = True) -> None:
    """Write the picture, from the top of the page unless told otherwise, with the mouse out of the way and the cursor not
    shown."""
    if top:
        page.evaluate("scrollTo(0, 0)")
    page.mouse.move(0, 0)
    path = PICTURES / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    taken = Image.open(io.BytesIO(page.screenshot(animations="disabled", caret="hide"))).convert("RGB")
    taken.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


TAKES: tuple[Callable[[RunningLine, Visit], None], ...] = (
    *(take_chat, take_phone, take_console, take_widget),
    *(take_operator, take_agency, take_others, take_citizen, take_days),
)

if __name__ == "__main__":
    main(sys.argv[1:])
