"""The chat as one script tag on a site of the city's own, and what a citizen sends from it beside words."""

import io
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import FilePayload, FrameLocator, Locator, Page, expect

from tests.conftest import closed_port
from tests.end_to_end.conftest import Visit, say, take
from tests.running_line import RunningLine, until

STRICT = "default-src 'none'; style-src 'self'; script-src {line}; frame-src {line}"
"""The policy of a site that allows the line and nothing else, as docs/channels.md has it."""


class Site:
    """A page of the city's own that has the script tag of a line, with a strict policy."""

    def __init__(self, line_url: str, language: str = "zh") -> None:
        page = (
            "<!doctype html><html lang=zh><meta name=viewport content='width=device-width'><title>市政府</title>"
            "<h1>云川市人民政府</h1><p>要闻 · 公开 · 服务 · 互动</p><button>本站的按钮</button>"
            f'<script src="{line_url}/widget.js" data-lang="{language}" async></script>'
        )

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Security-Policy", STRICT.format(line=line_url))
                self.end_headers()
                self.wfile.write(page.encode() if self.path == "/" else b"")

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"http://localhost:{self.server.server_port}/"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def site(line: RunningLine) -> Iterator[Site]:
    opened = Site(line.base_url)
    yield opened
    opened.close()


def photo() -> FilePayload:
    """A street lamp that is out."""
    packed, drawn = io.BytesIO(), Image.new("RGB", (320, 240), "#1d2433")
    pen = ImageDraw.Draw(drawn)
    pen.rectangle((0, 200, 320, 240), fill="#2b3140")
    pen.rectangle((156, 50, 164, 200), fill="#6a7488")
    pen.ellipse((136, 30, 184, 62), fill="#454e60")
    drawn.save(packed, "JPEG")
    return {"name": "路灯.jpg", "mimeType": "image/jpeg", "buffer": packed.getvalue()}


def type_until_seen(box: Locator, sign: Locator) -> None:
    """Go on typing until the other side shows it: what was typed a while ago counts no more."""

    def seen() -> bool:
        box.press("x")
        return sign.is_visible()

    until(seen, "that somebody is typing")


def panel(page: Page) -> FrameLocator:
    return page.frame_locator("iframe")


def test_a_strange_page_has_the_chat_by_one_tag_and_it_is_there_again_after_a_reload(visit: Visit, site: Site) -> None:
    page = visit.person()
    page.add_init_script("window.before = new Set(Object.keys(window))")
    page.goto(site.url)
    page.get_by_role("button", name="12345 在线服务").click()
    assert page.evaluate("Object.keys(window).filter((name) => !before.has(name))") == ["before"]
    chat = panel(page)
    chat.get_by_test_id("text").fill("转人工")
    chat.get_by_test_id("text").press("Enter")
    expect(chat.get_by_test_id("queue")).to_contain_text("您排在第")
    page.reload()
    expect(chat.get_by_test_id("queue")).to_contain_text("您排在第")
    expect(chat.get_by_test_id("turn-citizen")).to_contain_text("转人工")
    chat.get_by_test_id("restart").click()
    chat.get_by_test_id("leave").click()
    expect(chat.get_by_test_id("queue")).to_be_hidden()


def test_a_page_works_on_when_the_line_can_not_be_reached(visit: Visit, site: Site) -> None:
    page = visit.person()
    page.clock.install()
    page.goto(site.url)
    page.route("**/chat?*", lambda route: route.abort())
    visit.expect_complaint("/chat?")
    visit.expect_complaint("ERR_FAILED")
    visit.expect_complaint("policy violated: frame-src chrome-error")
    page.get_by_role("button", name="12345 在线服务").click()
    page.clock.run_for(16_000)
    expect(page.get_by_role("alert")).to_contain_text("请直接拨打 12345")
    page.get_by_role("button", name="关闭").click()
    page.get_by_role("button", name="本站的按钮").click()


def test_a_page_whose_line_is_down_from_the_start_loses_nothing(visit: Visit) -> None:
    dead = Site(f"http://127.0.0.1:{closed_port()}")
    page = visit.person()
    visit.expect_complaint("ERR_CONNECTION_REFUSED")
    page.goto(dead.url)
    page.get_by_role("button", name="本站的按钮").click()
    dead.close()


def test_a_photo_and_who_is_typing_go_between_citizen_and_operator(calm_line: RunningLine, visit: Visit) -> None:
    citizen, desk = visit.phone(), visit.log_in(calm_line, "operator1", ready=True)
    citizen.goto(f"{calm_line.base_url}/chat")
    citizen.get_by_test_id("file").set_input_files(photo())
    expect(citizen.get_by_test_id("photo")).to_be_visible()
    say(citizen, "小区路灯的照片")
    say(citizen, "转人工")
    take(desk, "小区路灯的照片")
    shown = desk.get_by_test_id("photo")
    expect(shown).to_be_visible()
    assert shown.evaluate("(picture) => picture.naturalWidth") == 320

    type_until_seen(citizen.get_by_test_id("text"), desk.get_by_test_id("citizen-typing"))
    type_until_seen(desk.get_by_test_id("say-text"), citizen.get_by_test_id("typing"))
    desk.get_by_test_id("say-text").fill("请问")
    desk.get_by_test_id("say-text").press("Enter")
    expect(citizen.get_by_test_id("turn-operator")).to_contain_text("请问")
    expect(citizen.get_by_test_id("typing")).to_be_hidden()
    desk.get_by_test_id("close").click()
    expect(citizen.get_by_test_id("ended")).to_be_visible()


def test_words_whose_reply_was_lost_are_there_once_when_they_are_sent_again(
    calm_line: RunningLine, visit: Visit
) -> None:
    citizen, desk = visit.person(), visit.log_in(calm_line, "operator1", ready=True)
    citizen.goto(f"{calm_line.base_url}/chat")
    say(citizen, "一句话说两遍")
    say(citizen, "转人工")
    take(desk, "一句话说两遍")
    visit.expect_complaint("/say")
    desk.route("**/say", lambda route: (route.fetch(), route.abort()), times=1)
    box = desk.get_by_test_id("say-text")
    box.fill("请说具体地点")
    box.press("Enter")
    expect(box).to_have_value("请说具体地点")  # it came back: the page can't know that it has arrived
    box.press("Enter")
    expect(box).to_have_value("")
    said = desk.get_by_test_id("turn").filter(has_text=re.compile("请说具体地点"))
    expect(said).to_have_count(1)
    desk.get_by_test_id("close").click()


def test_larger_type_stays_and_fits_a_phone(line: RunningLine, visit: Visit) -> None:
    page = visit.phone()
    page.goto(f"{line.base_url}/chat")
    page.get_by_test_id("large").click()
    page.reload()
    expect(page.get_by_test_id("large")).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)") >= 20
