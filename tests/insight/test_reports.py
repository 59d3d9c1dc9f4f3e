"""Reports are made on their day, once, say what the analyst's page says, and reach who is to have them."""

import email
import email.policy
import io
import re
import smtplib
from collections.abc import Iterator
from datetime import date, timedelta
from email.message import EmailMessage
from typing import Any

import docx
import httpx
import pytest
from aiosmtpd.controller import Controller
from docx.enum.text import WD_ALIGN_PARAGRAPH
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader
from sqlalchemy import select

from backend import mail, outbox
from backend.database import Database
from backend.insight import mailing, report_files, reports
from backend.insight.models import Mark, Report
from backend.insight.rollups import keep_in_step
from backend.insight.sample_year import fill
from backend.outbox import OutgoingMessage
from backend.parts import Parts
from tests.conftest import NOON, StandingClock, closed_port, make_settings
from tests.console.test_gap_pages import log_in, token

LINE = "http://127.0.0.1:8000"
PAGE = "/console/insight/reports"


def no_files(_: dict[str, Any]) -> tuple[bytes, bytes]:
    return b"docx", b"pdf"


def make_due(database: Database, clock: StandingClock) -> int:
    keep_in_step(database, clock)
    return reports.make_due(database, clock, LINE, no_files)


def made(database: Database) -> set[tuple[str, date, str]]:
    with database.read() as session:
        rows = session.execute(select(Report.kind, Report.since, Report.locale))
        return {(kind, since, locale) for kind, since, locale in rows}


def test_a_report_is_made_once_and_one_that_was_missed_is_caught_up(database: Database, clock: StandingClock) -> None:
    assert make_due(database, clock) == 6  # yesterday, last week, last month, in two languages
    assert {(kind, since) for kind, since, _ in made(database)} == {
        ("daily", date(2026, 11, 22)), ("weekly", date(2026, 11, 16)), ("monthly", date(2026, 10, 1)),
    }  # fmt: skip
    assert make_due(database, clock) == 0
    clock.advance(days=3)  # nothing ran for three days
    assert make_due(database, clock) == 6
    assert {since.day for kind, since, _ in made(database) if kind == "daily"} == {22, 23, 24, 25}
    assert make_due(database, clock) == 0


def test_a_day_is_reported_on_from_seven_o_clock_of_the_next(database: Database, clock: StandingClock) -> None:
    make_due(database, clock)
    clock.now = NOON + timedelta(hours=18, minutes=59)  # 06:59 in China
    assert make_due(database, clock) == 0
    clock.advance(minutes=1)
    assert make_due(database, clock) == 2


def test_nothing_is_reported_while_counts_are_not_whole(database: Database, clock: StandingClock) -> None:
    assert reports.make_due(database, clock, LINE, no_files) == 0  # never counted
    keep_in_step(database, clock)
    with database.write() as session:
        session.get_one(Mark, "cases").note = "40%"
    assert reports.make_due(database, clock, LINE, no_files) == 0


def test_a_report_says_what_the_page_says_that_its_source_opens(web: httpx.Client, parts: Parts) -> None:
    fill(parts.database, parts.clock(), cases=200, days=30, seed=1)
    keep_in_step(parts.database, parts.clock)
    reports.make_due(parts.database, parts.clock, LINE, no_files)
    with parts.database.read() as session:
        content = session.scalars(select(Report).where(Report.kind == "weekly", Report.locale == "zh")).one().content
    log_in(web, "analyst1")
    pages = [web.get(one["address"].removeprefix(LINE)).text for one in content["sources"]]
    overview = content["sections"][0]["paragraph"].removesuffix("[1]").replace("在 15 秒内", "")
    figures = re.findall(r"[\d,.]*\d%?", overview)
    filed = overview.split("共登记工单 ")[1].split(" 件")[0]
    assert int(filed) > 0 and f'data-testid="tile-filed">{filed}<' in pages[0] and len(figures) > 10
    tiles = re.sub(r"<[^>]*>", " ", pages[0].split('data-testid="tiles"')[1].split("</dl>")[0])
    assert set(figures) <= set(re.findall(r"[\d,.]*\d%?", tiles))
    for place in (1, 2, 3):  # categories are shown there by their first level, so the sum is what must agree
        section = content["sections"][place]
        assert section["paragraph"].endswith(f"[{place + 1}]")
        assert all(">" + row[0] + "<" in pages[place] for row in section["table"]["rows"] if place > 1)
    assert not any("+86" in str(section) for section in content["sections"])


def test_the_files_hold_every_sentence_and_the_pdf_brings_its_font(database: Database, clock: StandingClock) -> None:
    fill(database, clock(), cases=60, days=10, seed=1)
    keep_in_step(database, clock)
    with database.read() as session:
        period = next(reports.periods_before("weekly", clock(), 1))
        content = reports.write(session, "weekly", period, "zh", clock(), LINE)
    book = docx.Document(io.BytesIO(report_files.docx(content)))
    text = "\n".join(one.text for one in book.paragraphs)
    assert all(section["paragraph"] in text and section["heading"] in text for section in content["sections"])
    assert all(source["address"] in text for source in content["sources"]) and "{" not in text
    assert len(book.inline_shapes) == 2
    tables = [section["table"] for section in content["sections"] if section["table"]]
    assert [[cell.text for cell in book.tables[-len(tables)].rows[0].cells]] == [tables[0]["columns"]]
    names, numbers = book.tables[-len(tables)].columns[0], book.tables[-len(tables)].columns[1]
    assert names.width > 1.9 * numbers.width
    assert numbers.cells[1].paragraphs[0].alignment == WD_ALIGN_PARAGRAPH.RIGHT
    pages = PdfReader(io.BytesIO(report_files.pdf(content))).pages
    read = "".join("".join(page.extract_text() for page in pages).replace("\x00", "").split())
    assert all("".join(section["paragraph"].split()) in read for section in content["sections"])
    resources: Any = pages[0]["/Resources"]
    descendant = next(iter(resources["/Font"].values())).get_object()["/DescendantFonts"][0].get_object()
    assert {"/FontFile2", "/FontFile3"} & set(descendant["/FontDescriptor"].get_object())


@given(st.text("工单办结率，。；：）（“”[1] ab12.%", max_size=200))
def test_a_line_of_a_pdf_fits_and_none_begins_with_a_mark_that_closes(text: str) -> None:
    paper = report_files.Paper()
    paper.set_font("helvetica", size=10)
    paper.get_string_width = lambda line, *_: float(len(line))  # type: ignore[method-assign]  # the font doesn't matter
    lines = report_files.lines_of(paper, text, 20)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert not any(line.startswith(tuple("，。；：）”")) or line.endswith(tuple("（“")) for line in lines[1:-1])
    assert all(len(line) <= 20 for line in lines if not re.search(r"[^\s\u4e00-\u9fff]{10}", line))


def test_a_city_without_a_case_has_reports(database: Database, clock: StandingClock) -> None:
    keep_in_step(database, clock)
    assert reports.make_due(database, clock, LINE) == 6


# --- by e-mail ------------------------------------------------------------------------------------------------------


class Inbox:
    """What a mail server does that takes everything but for one address."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, EmailMessage]] = []

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        if address.startswith("nobody@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        read = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(read, EmailMessage)
        self.mails.append((envelope.rcpt_tos[0], read))
        return "250 OK"


@pytest.fixture
def inbox() -> Iterator[tuple[Inbox, int]]:
    handler, port = Inbox(), closed_port()
    server = Controller(handler, hostname="127.0.0.1", port=port)
    server.start()
    yield handler, port
    server.stop()


def deliver(database: Database, clock: StandingClock, port: int) -> int:
    settings = make_settings(
        "sqlite://", smtp_host="127.0.0.1", smtp_port=port, smtp_security="none", mail_from="12345@yunchuan.example"
    )
    senders = {"email": mail.make_sender(settings, mailing.composer(database, LINE))}
    return outbox.deliver(database, clock, senders)


def test_who_gets_a_kind_of_report_gets_each_once_with_both_files(
    database: Database, clock: StandingClock, inbox: tuple[Inbox, int]
) -> None:
    with database.write() as session:
        mailing.add_recipient(session, "daily", "zh", "mayor@yunchuan.example", clock())
        mailing.add_recipient(session, "weekly", "en", "nobody@yunchuan.example", clock())
    make_due(database, clock)
    assert deliver(database, clock, closed_port()) == 0  # the server is down: it is tried again
    clock.advance(minutes=2)
    assert deliver(database, clock, inbox[1]) == 1
    make_due(database, clock)
    clock.advance(hours=8)
    assert deliver(database, clock, inbox[1]) == 0
    [(to, mail_)] = inbox[0].mails
    assert to == "mayor@yunchuan.example" and mail_["Subject"] == "云川市12345热线日报（2026-11-22）"
    files = {one.get_filename(): one.get_payload(decode=True) for one in mail_.iter_attachments()}
    assert files == {"12345-daily-20261122-zh.docx": b"docx", "12345-daily-20261122-zh.pdf": b"pdf"}
    with database.read() as session:
        refused = session.scalars(select(OutgoingMessage).where(OutgoingMessage.state == "failed")).one()
        assert (refused.recipient, refused.fault, refused.tries) == ("nobody@yunchuan.example", "SMTP 550", 2)


def test_a_server_that_does_not_speak_tls_gets_no_password(inbox: tuple[Inbox, int]) -> None:
    settings = make_settings("sqlite://", smtp_host="127.0.0.1", smtp_port=inbox[1], smtp_security="starttls")
    with pytest.raises(smtplib.SMTPNotSupportedError):
        mail.connected(settings)


def test_reports_and_their_recipients_are_on_a_page(web: httpx.Client, parts: Parts) -> None:
    keep_in_step(parts.database, parts.clock)
    reports.make_due(parts.database, parts.clock, LINE, no_files)
    log_in(web, "analyst1")
    page = web.get(PAGE)
    assert page.text.count('data-testid="report"') == 3  # in the reader's language
    link = page.text.split('data-testid="pdf"')[0].rsplit('href="', 1)[1].split('"')[0]
    assert web.get(link).content == b"pdf" and web.get(link.replace(".pdf", ".exe")).status_code == 404
    form = {"csrf_token": token(page), "kind": "daily", "locale": "zh"}
    for wrong in ("mayor", "a@b", "a@b.cn\r\nBcc: x@y.cn", "a b@c.cn"):
        assert web.post(f"{PAGE}/recipients", data=form | {"address": wrong}).status_code == 422
    web.post(f"{PAGE}/recipients", data=form | {"address": "mayor@yunchuan.example"})
    listed = web.get(PAGE).text
    assert "mayor@yunchuan.example" in listed
    remove = listed.split('data-testid="recipient"')[1].split('action="')[1].split('"')[0]
    web.post(remove, data={"csrf_token": token(page)})
    assert "mayor@yunchuan.example" not in web.get(PAGE).text
