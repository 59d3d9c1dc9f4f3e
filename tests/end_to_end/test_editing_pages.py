"""What editors see: an article written, reviewed by another, published, and given to the next citizen who asks."""

import re

from playwright.sync_api import Page, expect

from backend.settings import ROOT
from tests.end_to_end.conftest import Visit, expect_reply, say
from tests.running_line import RunningLine

SCREENSHOTS = ROOT / "build" / "screenshots"
QUESTION = "云川动物园的大象几点洗澡？"


def picture(page: Page, name: str) -> None:
    """Keep how the whole page looks now: on a desk and on a telephone, light and dark."""
    size = page.viewport_size
    for width in (1366, 390):
        page.set_viewport_size({"width": width, "height": 768})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than {width}"
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=SCREENSHOTS / f"{name}-{width}-{scheme}.png", full_page=True)
    page.emulate_media(color_scheme="light")
    assert size
    page.set_viewport_size(size)


def write(page: Page) -> None:
    """Fill in the form of a new article."""
    page.get_by_test_id("new-article").click()
    page.get_by_test_id("field-question").fill(QUESTION)
    page.get_by_test_id("field-variants").fill("大象什么时候洗澡\n想带孩子看大象洗澡几点去")
    page.get_by_test_id("field-answer").fill("大象每天15点在象馆外洗澡，雨天取消。")
    page.get_by_test_id("field-speech").fill("大象每天15点洗澡。")
    page.get_by_test_id("field-agency_code").select_option("C-URBAN")
    page.get_by_test_id("field-category_code").select_option("MA-CONS")
    page.get_by_test_id("source-title").first.fill("云川动物园开放公告")


def test_an_article_is_written_reviewed_by_another_and_given_to_the_next_citizen(
    line: RunningLine, visit: Visit
) -> None:
    author = visit.log_in(line, "editor1")
    expect(author).to_have_url(re.compile("/console/knowledge$"))
    picture(author, "articles-zh")
    write(author)
    expect(author.get_by_test_id("preview-chat")).to_contain_text("大象每天15点")
    expect(author.get_by_test_id("unspeakable")).to_contain_text("念出来的样子")
    author.get_by_test_id("field-speech").fill("大象每天下午三点洗澡。")
    expect(author.get_by_test_id("preview-speech")).to_have_text("大象每天下午三点洗澡。")
    expect(author.get_by_test_id("unspeakable")).to_have_count(0)
    rows = author.get_by_test_id("source-title").count()
    author.get_by_test_id("add-source").click()
    expect(author.get_by_test_id("source-title")).to_have_count(rows + 1)
    expect(author.get_by_test_id("source-title").last).to_be_focused()
    picture(author, "article-form-zh")
    author.get_by_test_id("play").click()
    expect(author.get_by_test_id("play")).to_be_disabled()  # Chromium without a screen has no voice, and says so
    author.get_by_test_id("save-submit").click()
    expect(author.get_by_test_id("version")).to_have_count(1)
    author.goto(f"{author.url}?lang=en")
    picture(author, "article-en")

    reviewer = visit.log_in(line, "editor2")
    reviewer.get_by_test_id("tab-review").click()
    picture(reviewer, "review-zh")
    reviewer.get_by_test_id("to-review").get_by_role("link", name=QUESTION).click()
    picture(reviewer, "version-zh")
    reviewer.get_by_test_id("act-approve").click()
    expect(reviewer.get_by_test_id("version-state")).to_have_attribute("data-state", "reviewed")
    reviewer.get_by_test_id("act-publish").click()
    expect(reviewer.get_by_test_id("version-state")).to_have_attribute("data-state", "published")

    citizen = visit.person()
    citizen.goto(f"{line.base_url}/chat")
    expect(citizen.get_by_test_id("turn-bot").first).to_contain_text("您好")
    say(citizen, QUESTION)
    expect_reply(citizen, "answer", "象馆外")


def test_a_file_with_a_bad_row_is_reported_by_row_and_field(line: RunningLine, visit: Visit) -> None:
    page = visit.log_in(line, "editor1")
    page.get_by_test_id("tab-import_articles").click()
    table = "问题,答复,承办单位,类别\n河马几点吃饭,四点,C-URBAN,NO-SUCH\n"
    page.get_by_test_id("file").set_input_files({"name": "a.csv", "mimeType": "text/csv", "buffer": table.encode()})
    visit.expect_complaint("status of 422")
    page.get_by_test_id("import").click()
    expect(page.get_by_test_id("report-row")).to_contain_text("NO-SUCH")
    picture(page, "import-zh")
    page.goto(f"{line.base_url}/console/knowledge/import?lang=en")
    picture(page, "import-en")
