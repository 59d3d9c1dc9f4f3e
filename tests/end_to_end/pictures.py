"""Takes the pictures of docs/pictures anew, from the real line in a real browser.

Run as `.venv/web/bin/python -m tests.end_to_end.pictures`; it needs what the browser tests need, Chromium and a trained
bot, and starts a line of its own on an empty record.
"""

import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from backend.settings import ROOT
from tests.end_to_end.conftest import Visit, expect_reply, launch, say, take
from tests.end_to_end.test_widget import Site, photo
from tests.running_line import RunningLine

PICTURES = ROOT / "docs" / "pictures"
HEATING = "暖气不热该找谁"
COLD = "明湖区软件园三号楼的暖气不热三天了"


def main() -> None:
    """Take all of them."""
    with (
        tempfile.TemporaryDirectory() as folder,
        RunningLine(Path(folder)) as line,
        sync_playwright() as playwright,
        launch(playwright) as browser,
    ):
        visit = Visit(browser)
        take_chat(line, visit)
        take_phone(line, visit)
        take_console(line, visit)
        take_widget(line, visit)
        visit.leave()


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


def keep(page: Page, name: str) -> None:
    """Write the picture, from the top of the page, with the mouse out of the way and the cursor not shown."""
    page.evaluate("scrollTo(0, 0)")
    page.mouse.move(0, 0)
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{name}.png", animations="disabled", caret="hide")


if __name__ == "__main__":
    main()
