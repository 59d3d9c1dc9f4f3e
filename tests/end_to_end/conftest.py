"""One running line for all end-to-end tests, and a browser for those that look at its pages."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Playwright, expect, sync_playwright
from sqlalchemy import update

from backend.conversations.models import Conversation
from backend.database import Database
from tests.conftest import missing_service
from tests.running_line import BOT_PYTHON, SECRETS, RunningLine

MILLISECONDS = 30_000
"""How long a page may take to show what is expected of it; a slow machine's Rasa thinks for seconds."""
PHONE_SCREEN = (390, 844)
TELL_VIOLATIONS = """
    document.addEventListener("securitypolicyviolation", (violation) =>
        console.error(`policy violated: ${violation.violatedDirective} ${violation.blockedURI}`));
"""

expect.set_options(timeout=MILLISECONDS)


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLine]:
    """The real line: web, Rasa with the trained model, action server."""
    need_bot()
    with RunningLine(tmp_path_factory.mktemp("line")) as running:
        yield running


@pytest.fixture
def calm_line(line: RunningLine) -> RunningLine:
    """The same line with nobody waiting and no talk to finish: who is ready is offered nobody from other tests."""
    calm(line)
    return line


def calm(line: RunningLine) -> None:
    """End every talk, and let nobody wait."""
    record = Database(line.database_url)
    with record.write() as session:
        open_talks = update(Conversation).where(Conversation.state.in_(("waiting", "operator")))
        session.execute(open_talks.values(state="closed", closed_at=datetime.now(UTC)))
        session.execute(update(Conversation).where(Conversation.state == "closed").values(wrap_up="other"))
    record.close()


@pytest.fixture(scope="session")
def breakable_line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLine]:
    """A second line, for the tests that break one."""
    need_bot()
    with RunningLine(tmp_path_factory.mktemp("breakable-line")) as running:
        yield running


@pytest.fixture
def own_line(breakable_line: RunningLine) -> RunningLine:
    """A line to break. Whoever breaks it needn't mend it: it is whole again when the next test begins."""
    breakable_line.mend()
    return breakable_line


def need_bot() -> None:
    """Without the bot's environment there is nothing to start."""
    if not BOT_PYTHON.exists():
        missing_service("the bot's environment (make setup train)")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium without a screen, for all browser tests."""
    if not chromium():
        missing_service("Chromium")
    with sync_playwright() as playwright:
        opened = launch(playwright)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator["Visit"]:
    """Opens pages for people, each with a browser of their own; after the test no page may have complained, and no
    operator is left ready."""
    people = Visit(browser)
    yield people
    people.leave()
    assert people.complaints == []


class Visit:
    """The people of one test. What their pages complain of in the console (faults of scripts, things that could not be
    loaded, violations of the content security policy) is collected in `complaints`."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.complaints: list[str] = []
        self.expected: list[str] = []
        self.staff: list[Page] = []

    def person(self, width: int = 1280, height: int = 800, touch: bool = False) -> Page:
        """A page of somebody who has never been here."""
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            locale="zh-CN",
            timezone_id="Asia/Shanghai",
            is_mobile=touch,
            has_touch=touch,
        )
        context.set_default_timeout(MILLISECONDS)
        context.on("console", self.note)
        context.on("weberror", lambda error: self.complaints.append(f"{error.page and error.page.url}: {error.error}"))
        context.add_init_script(TELL_VIOLATIONS)
        return context.new_page()

    def phone(self) -> Page:
        """A page on the screen of a telephone."""
        return self.person(*PHONE_SCREEN, touch=True)

    def log_in(
        self,
        line: RunningLine,
        username: str,
        ready: bool = False,
        width: int = 1366,
        height: int = 768,
        touch: bool = False,
    ) -> Page:
        """A page of one of the sample staff, logged in at the console, ready for citizens if asked for."""
        page = self.person(width, height, touch)
        page.goto(f"{line.base_url}/console")
        page.get_by_test_id("username").fill(username)
        page.get_by_test_id("password").fill(SECRETS["CONSOLE_PASSWORD"])
        page.get_by_test_id("log-in").click()
        expect(page.get_by_test_id("who")).to_be_visible()
        self.staff.append(page)
        if ready:
            page.get_by_test_id("presence-ready").click()
            expect(page.get_by_test_id("presence")).to_have_attribute("data-ready", "yes")
        return page

    def kill(self, page: Page) -> None:
        """This person's browser is gone from one moment to the next: nothing is sent any more."""
        self.staff.remove(page)
        page.context.set_offline(True)
        page.context.close()

    def expect_complaint(self, part: str) -> None:
        """A message with this in it is no complaint: a refusal's status, which the browser also writes into its console."""
        self.expected.append(part)

    def note(self, message: ConsoleMessage) -> None:
        """Something was written into a page's console."""
        whole = f"{message.location.get('url')}: {message.text}"
        if message.type == "error" and not any(part in whole for part in self.expected):
            self.complaints.append(whole)

    def leave(self) -> None:
        """Log the staff out, so that nobody counts as ready any more, and close all pages."""
        self.expect_complaint(
            "401 (UNAUTHORIZED)"
        )  # a list that a page fetches at the moment of logging out is refused
        try:
            for page in self.staff:
                page.get_by_test_id("log-out").click()
                expect(page.get_by_test_id("log-in")).to_be_visible()
        finally:
            for context in self.browser.contexts:
                context.close()


def chromium() -> str | None:
    """Where Debian's Chromium is."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


def launch(playwright: Playwright) -> Browser:
    """Start Chromium; it looks nothing up on its own."""
    quiet = ("background-networking", "component-update", "sync", "gpu")
    return playwright.chromium.launch(
        executable_path=chromium(),
        args=["--no-sandbox", "--no-first-run", *(f"--disable-{what}" for what in quiet)],
    )


def say(page: Page, text: str) -> None:
    """Type something at the chat page and send it; it is on the record when this returns."""
    page.get_by_test_id("text").fill(text)
    page.get_by_test_id("text").press("Enter")
    expect(page.get_by_test_id("turn-citizen").last).to_contain_text(text)


def choose(page: Page, label: str) -> None:
    """Press one of the choices that the bot has just given."""
    page.get_by_test_id("choice").get_by_text(label, exact=True).click()
    expect(page.get_by_test_id("turn-citizen").last).to_contain_text(label)


def expect_reply(page: Page, act: str, text: str = "") -> Locator:
    """Wait until the bot's last reply is of this kind and has these words; return it."""
    reply = page.get_by_test_id("turn-bot").last
    expect(reply).to_have_attribute("data-act", act)
    expect(reply).to_contain_text(text)
    return reply


def waiting_row(desk: Page, words: str) -> Locator:
    """The row of the operator's queue in which somebody waits who said this."""
    return desk.get_by_test_id("waiting").filter(has_text=words)


def wrap_up(desk: Page, outcome: str) -> None:
    """Say what came of the talk that is over, and be at the desk again."""
    desk.get_by_test_id(f"outcome-{outcome}").check()
    desk.get_by_test_id("wrap-up-save").click()
    expect(desk.get_by_test_id("queue")).to_be_visible()


def take(desk: Page, words: str) -> None:
    """Take the conversation of who said this from the operator's queue; its page with its scripts is there then."""
    waiting_row(desk, words).get_by_test_id("take").click()
    desk.wait_for_url("**/console/conversations/*")
    expect(desk.get_by_test_id("stand")).to_have_attribute("data-state", "operator")


def dial(line: RunningLine, visit: "Visit", operator: str) -> tuple[Page, Page]:
    """A citizen whose call to the line has just been answered, and the operator's telephone."""
    citizen, telephone = visit.phone(), visit.phone()
    telephone.goto(f"{line.base_url}/phone?as={operator}")
    citizen.goto(f"{line.base_url}/phone")
    citizen.get_by_test_id("call").click()
    expect(citizen.get_by_test_id("status")).to_have_attribute("data-status", "listening")
    return citizen, telephone


def speak(telephone: Page, words: str) -> None:
    """Say something into a practice phone."""
    telephone.get_by_test_id("speech-input").fill(words)
    telephone.get_by_test_id("send").click()


def step_in(supervisor: Page, talk: Locator, words: str) -> None:
    """Take a talk over from its operator, on the floor, and say something to the citizen."""
    supervisor.get_by_test_id("nav-floor").click()
    talk.get_by_test_id("give").click()
    talk.get_by_test_id("step-in").click()
    supervisor.wait_for_url("**/console/conversations/*")
    supervisor.get_by_test_id("say-text").fill(words)
    supervisor.get_by_test_id("say-text").press("Enter")
