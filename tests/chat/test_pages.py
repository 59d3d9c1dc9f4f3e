"""The citizen's pages as a browser gets them: what they hold, who may look a case up, and what they may load."""

import io
import json
import re
from html import unescape
from typing import Any

import httpx
import pytest
from PIL import Image

from backend.app import create_app
from backend.attachments import attachments_of, with_content
from backend.cases import lookup
from backend.cases import service as cases
from backend.cases.service import Actor, Filing
from backend.chat.views import EXAMPLES
from backend.directory.models import Staff
from backend.knowledge.models import Article
from backend.parts import Parts
from tests.conftest import StandingClock, make_settings

DESK = Actor("dispatcher")


@pytest.fixture
def number(parts: Parts) -> str:
    """The number of a case whose telephone ends in 1234."""
    with parts.database.write() as session:
        filing = Filing(what="王大明家楼下路灯不亮", place="明湖区软件园三号楼", contact="+8613800001234")
        return cases.file_case(session, parts.knowledge, filing, Actor("bot"), parts.clock(), "shandong").number


def act(parts: Parts, number: str, name: str, actor: Actor = DESK, **details: str) -> None:
    """Do one act of the case's life."""
    with parts.database.write() as session:
        cases.act_on(session, number, name, actor, details, parts.clock())


def look_up(
    web: httpx.Client, number: str, last_digits: str, address: str = "/cases", lang: str = "zh"
) -> httpx.Response:
    """Fill in the form and send it."""
    form = web.get(address, params={"lang": lang})
    token = re.search(r'name="csrf_token" value="([^"]+)"', form.text)
    assert token
    fields = {"csrf_token": token[1], "number": number, "last_digits": last_digits}
    return web.post(address, params={"lang": lang}, data=fields)


def words_of(page: httpx.Response) -> dict[str, object]:
    """What the chat page hands to its script."""
    data = re.search(r'<script type="application/json" id="words">(.*?)</script>', page.text, re.DOTALL)
    assert data
    words: dict[str, object] = json.loads(data[1])
    return words


def steps_of(page: httpx.Response) -> list[tuple[str, str]]:
    """The progress line: (done, now or later; what the station is called)."""
    return re.findall(r'<li class="(\w+)"[^>]*>\s*<span>([^<]+)</span>', page.text)


def test_the_chat_is_framed_by_the_sites_that_the_city_names_alone(sqlite_url: str) -> None:
    app = create_app(make_settings(sqlite_url, widget_sites="https://www.city.example"))
    web = httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1:8000")
    assert "frame-ancestors 'self' https://www.city.example;" in web.get("/chat").headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in web.get("/cases").headers["Content-Security-Policy"]


def test_the_front_page_is_the_chat(web: httpx.Client) -> None:
    assert web.get("/").headers["Location"] == "/chat"


def test_the_chat_page_speaks_the_language_asked_for_and_remembers_it(web: httpx.Client) -> None:
    assert '<html lang="zh-CN">' in web.get("/chat").text
    assert '<html lang="en">' in web.get("/chat?lang=en").text
    assert '<html lang="en">' in web.get("/chat").text


@pytest.mark.parametrize("address", ["/chat", "/cases"])
def test_every_page_has_the_emergency_numbers_to_tap(web: httpx.Client, address: str) -> None:
    page = web.get(address).text
    assert all(f'href="tel:{number}"' in page for number in (110, 119, 120))


@pytest.mark.parametrize("address", ["/chat", "/chat?lang=en", "/cases", "/cases/26000-00014"])
def test_no_page_needs_inline_code_or_another_host(web: httpx.Client, address: str) -> None:
    page = web.get(address).text
    scripts = re.findall(r"<script([^>]*)>", page)
    assert all("src=" in script or 'type="application/json"' in script for script in scripts)
    assert not re.search(r"<style|\sstyle=|\son\w+=|(src|href)=\"(https?:)?//", page)


def test_only_the_chat_may_be_framed(web: httpx.Client) -> None:
    assert "frame-ancestors *" in web.get("/chat").headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in web.get("/cases").headers["Content-Security-Policy"]


def test_a_new_chat_offers_questions_that_the_city_answers_now(web: httpx.Client, parts: Parts) -> None:
    offered = words_of(web.get("/chat"))["examples"]
    assert isinstance(offered, list)
    assert len(offered) == len(EXAMPLES)
    with parts.database.write() as session:
        session.get_one(Article, EXAMPLES[0]).state = "retired"
    assert len(words_of(web.get("/chat"))["examples"]) == len(EXAMPLES) - 1  # type: ignore[arg-type]


def test_the_widget_is_one_script_for_any_site(web: httpx.Client) -> None:
    script = web.get("/widget.js")
    assert script.status_code == 200
    assert "javascript" in script.headers["Content-Type"]
    assert "attachShadow" in script.text


def test_a_citizen_sees_where_the_case_stands_and_nobody_sees_who_filed_it(web: httpx.Client, number: str) -> None:
    page = look_up(web, number, "1234")
    assert page.status_code == 200
    assert number in page.text
    assert steps_of(page)[:2] == [("now", "已登记"), ("later", "已受理")]
    assert "明湖区城市管理局" in page.text
    assert "（待审核）" in page.text
    assert "2026年11月30日" in page.text  # five working days after Monday
    assert not any(secret in page.text for secret in ("王大明", "13800001234", "三号楼"))
    assert page.headers["Cache-Control"] == "no-store"


def test_digits_of_a_chinese_keyboard_and_any_grouping_are_understood(web: httpx.Client, number: str) -> None:
    wide = number.replace("-", " ").translate(str.maketrans("0123456789", "０１２３４５６７８９"))
    assert look_up(web, wide, "１２３４").status_code == 200


def test_the_address_of_a_case_fills_in_its_number(web: httpx.Client, number: str) -> None:
    assert f'value="{number}"' in web.get(f"/cases/{number}").text
    assert look_up(web, number, "1234", f"/cases/{number}").status_code == 200


def test_the_answer_is_shown_when_there_is_one(web: httpx.Client, parts: Parts, number: str) -> None:
    assert "还没有答复" in look_up(web, number, "1234").text
    act(parts, number, "accept")
    act(parts, number, "answer", note="路灯已修好 <b>")
    page = look_up(web, number, "1234")
    assert "路灯已修好 &lt;b&gt;" in page.text
    assert [name for place, name in steps_of(page) if place != "later"] == ["已登记", "已受理", "已答复"]


def test_a_case_that_is_done_again_is_shown_where_it_is_now(web: httpx.Client, parts: Parts, number: str) -> None:
    with parts.database.read() as session:
        agency = Actor("agency", session.query(Staff).filter_by(username="agency1").one())
    assert agency.staff and agency.staff.agency_code
    act(parts, number, "accept")
    act(parts, number, "dispatch", agency=agency.staff.agency_code)
    act(parts, number, "sign", agency)
    act(parts, number, "reply", agency, note="已修")
    act(parts, number, "visit", contacted="yes", solved="no", satisfied="no")
    act(parts, number, "redo", note="仍不亮")
    page = look_up(web, number, "1234")
    assert steps_of(page)[-1] == ("now", "退回重办")
    assert "2026年11月26日" in page.text  # three working days, not five


def dues_of(page: httpx.Response) -> list[str]:
    """What the progress line promises, in its order."""
    return re.findall(r'data-testid="step-due">([^<]+)<', page.text)


def test_a_citizen_sees_for_each_step_to_come_until_when_it_will_be_done(
    web: httpx.Client, parts: Parts, number: str
) -> None:
    after = ["转办后1个工作日内", "最晚2026年11月30日", "答复后5个工作日内", "回访后1个工作日内"]
    assert dues_of(look_up(web, number, "1234")) == ["最晚2026年11月23日 14:00", "受理后4小时内", *after]
    act(parts, number, "accept")
    assert dues_of(look_up(web, number, "1234")) == ["最晚2026年11月23日 16:00", *after]
    act(parts, number, "dispatch", agency="C-URBAN")
    assert dues_of(look_up(web, number, "1234")) == ["最晚2026年11月24日", *after[1:]]
    agency = Actor("agency", agency_code="C-URBAN")
    act(parts, number, "sign", agency)
    assert dues_of(look_up(web, number, "1234")) == after[1:]
    act(parts, number, "reply", agency, note="已修")
    assert dues_of(look_up(web, number, "1234")) == ["最晚2026年11月30日", after[3]]
    assert "by 30 November 2026" in look_up(web, number, "1234", lang="en").text
    assert "within 1 working day once" in look_up(web, number, "1234", lang="en").text
    act(parts, number, "visit", contacted="yes", solved="no", satisfied="no")
    act(parts, number, "redo", note="仍不亮")
    assert dues_of(look_up(web, number, "1234")) == ["最晚2026年11月26日"]


def test_a_case_that_was_declined_ends_there_with_the_reason(web: httpx.Client, parts: Parts, number: str) -> None:
    act(parts, number, "decline", note="不属于本市")
    page = look_up(web, number, "1234")
    assert steps_of(page) == [("done", "已登记"), ("now", "不予受理")]
    assert "不属于本市" in page.text
    assert "最晚答复" not in page.text
    assert "承办单位" not in page.text  # none ever had it


def test_the_lawful_route_is_told_in_the_readers_language(web: httpx.Client, parts: Parts, number: str) -> None:
    act(parts, number, "transfer", route="court")
    assert "12368" in look_up(web, number, "1234").text
    assert "people&#39;s court; call 12368" in look_up(web, number, "1234", lang="en").text


def test_whose_case_is_on_hold_reads_why_and_what_is_wanted(web: httpx.Client, parts: Parts, number: str) -> None:
    act(parts, number, "accept")
    act(parts, number, "dispatch", agency="C-URBAN")
    act(parts, number, "sign", Actor("agency", agency_code="C-URBAN"))
    act(parts, number, "pause", reason="citizen", note="请补充房产证复印件")
    assert "等市民补充材料或到场配合：请补充房产证复印件" in look_up(web, number, "1234").text
    assert "waiting for papers or help from you: 请补充" in look_up(web, number, "1234", lang="en").text


def test_english_readers_get_english(web: httpx.Client, number: str) -> None:
    page = look_up(web, number, "1234", lang="en")
    assert steps_of(page)[0] == ("now", "filed")
    assert "30 November 2026" in page.text


@pytest.mark.parametrize("digits", ["1111", "", "12", "abcd"])
def test_wrong_digits_are_told_at_the_form(web: httpx.Client, number: str, digits: str) -> None:
    page = look_up(web, number, digits)
    assert page.status_code == 404
    assert "没有找到对应的工单" in page.text
    assert 'data-testid="lookup"' in page.text
    assert f'value="{number}"' in page.text


def test_a_misread_number_is_told_as_such(web: httpx.Client) -> None:
    page = look_up(web, "26000-00015", "1234")
    assert page.status_code == 422
    assert "工单号好像不对" in page.text


def test_a_number_that_nobody_has_looks_like_wrong_digits(web: httpx.Client, number: str) -> None:
    unknown, wrong = look_up(web, "26000-00023", "1234"), look_up(web, number, "1111")
    assert unknown.status_code == wrong.status_code == 404
    message = re.compile(r'data-testid="problem">([^<]+)<')
    assert message.findall(unknown.text) == message.findall(wrong.text) != []


def test_guessing_makes_the_case_silent_for_an_hour(web: httpx.Client, number: str, clock: StandingClock) -> None:
    for _ in range(lookup.TRIES):
        assert look_up(web, number, "1111").status_code == 404
    page = look_up(web, number, "1234")
    assert page.status_code == 429
    assert "查询次数过多" in page.text
    clock.advance(minutes=61)
    assert look_up(web, number, "1234").status_code == 200


def test_what_was_typed_comes_back_as_text(web: httpx.Client) -> None:
    page = look_up(web, '"><script>alert(1)</script>', "1234")
    assert "<script>alert" not in page.text
    assert "<script>alert(1)</script>" in unescape(page.text)


def test_a_form_without_its_token_changes_nothing(web: httpx.Client, number: str) -> None:
    assert web.post("/cases", data={"number": number, "last_digits": "1234"}).status_code == 400


def press(web: httpx.Client, page: httpx.Response, act: str, **fields: str) -> httpx.Response:
    """Send one of the forms on the page of a case, and follow where it leads."""
    action = re.search(rf'action="(/c/[^"]+/{act})"', page.text)
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert action and token
    return web.post(action[1], data={"csrf_token": token[1], **fields}, follow_redirects=True)


def test_a_citizen_adds_words_says_whether_it_is_solved_and_withdraws(
    web: httpx.Client, parts: Parts, number: str
) -> None:
    page = look_up(web, number, "1234")
    assert "form-visit" not in page.text
    page = press(web, page, "add", note="孩子不敢走夜路")
    act(parts, number, "accept")
    act(parts, number, "answer", note="已派人去看")
    page = press(web, look_up(web, number, "1234"), "visit", contacted="yes", solved="no", satisfied="no", words="没来")
    assert ("now", "已回访") in steps_of(page)
    assert "form-withdraw" not in page.text
    with parts.database.read() as session:
        history = cases.get_case(session, number).history
        assert [(event.act, event.role) for event in history if event.role == "citizen"] == [
            ("add", "citizen"), ("visit", "citizen"),
        ]  # fmt: skip


def test_who_rates_is_thanked_and_promised_no_end_while_it_is_not_solved(
    web: httpx.Client, parts: Parts, number: str
) -> None:
    act(parts, number, "accept")
    act(parts, number, "answer", note="已派人去看")
    assert "最晚答复" not in look_up(web, number, "1234").text
    page = press(web, look_up(web, number, "1234"), "visit", contacted="yes", solved="no", satisfied="no")
    assert "评价已记下" in page.text
    assert dues_of(page) == []
    assert "评价已记下" not in look_up(web, number, "1234").text


def test_who_changes_the_language_stays_at_the_case(web: httpx.Client, number: str) -> None:
    page = look_up(web, number, "1234")
    link = re.search(r'href="(/c/[^"]+lang=en)"', page.text)
    assert link
    english = web.get(link[1])
    assert number in english.text
    assert "Case number" in english.text


def test_a_photo_comes_with_words_without_where_it_was_taken_and_nothing_else_does(
    web: httpx.Client, parts: Parts, number: str
) -> None:
    page = look_up(web, number, "1234")
    action = re.search(r'action="(/c/[^"]+/add)"', page.text)
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert action and token
    form = {"csrf_token": token[1], "note": "灯还是不亮"}
    refused = web.post(action[1], data=form, files={"photo": ("x.jpg", b"<html>", "image/jpeg")})
    assert refused.status_code == 422
    assert 'data-testid="problem"' in refused.text
    assert 'data-testid="note">灯还是不亮</textarea>' in refused.text
    exif = Image.Exif()
    exif[0x010F] = "a maker of telephones"
    written = io.BytesIO()
    Image.effect_noise((2000, 1500), 90).save(written, "JPEG", exif=exif)  # larger than other forms may be
    assert len(written.getvalue()) > 1_000_000
    sent = web.post(action[1], data=form, files={"photo": ("灯.jpg", written.getvalue(), "image/jpeg")})
    assert sent.status_code == 302
    with parts.database.read() as session:
        case = cases.get_case(session, number)
        kept = attachments_of(session, case_id=case.id)
        assert [(one.event_id, one.staff_id) for one in kept] == [(case.history[-1].id, None)]
        assert [event.act for event in case.history] == ["file", "add"]  # words with what is no photo were not added
        assert b"a maker of telephones" not in with_content(session, kept[0].id).content


def test_a_withdrawn_case_ends_there(web: httpx.Client, number: str) -> None:
    page = press(web, look_up(web, number, "1234"), "withdraw")
    assert steps_of(page)[-1] == ("now", "已撤回")
    assert "已撤回，不再办理" in page.text
    assert "有了结果会在这里显示" not in page.text
    assert 'action="/c/' not in page.text


def test_a_citizen_can_not_fill_a_case_with_words(web: httpx.Client, number: str) -> None:
    page = look_up(web, number, "1234")
    for said in range(5):
        page = press(web, page, "add", note=f"补充{said}")
        assert page.status_code == 200
    page = press(web, page, "add", note="再补充")
    assert page.status_code == 429
    assert "明天再补充" in page.text


@pytest.mark.parametrize("spoil", [lambda token: token[::-1], lambda _: "x.y.z"])
def test_a_link_that_was_not_made_here_opens_nothing(web: httpx.Client, number: str, spoil: Any) -> None:
    page = look_up(web, number, "1234")
    token = re.search(r'action="/c/([^"/]+)/add"', page.text)
    assert token
    opened = web.get(f"/c/{spoil(token[1])}")
    assert opened.status_code == 404
    assert number not in opened.text
