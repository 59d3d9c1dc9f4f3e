"""What stands beside a talk on the operator's screen: outcome, notes, history, duplicates, canned phrases."""

import httpx
import pytest
from sqlalchemy import select

from backend.audit import AuditEvent
from backend.cases.models import Case
from backend.cases.service import Actor, Filing, file_case
from backend.conversations import service
from backend.conversations.models import CannedPhrase, Conversation
from backend.parts import Parts
from tests.console.test_call_pages import call_waits, post
from tests.console.test_desk_pages import citizen_waits
from tests.console.test_gap_pages import log_in, token

LAMP = {"what": "和平路的路灯不亮", "place": "和平路十八号", "since": "", "contact": "13800138000"}


def page_of(web: httpx.Client, conversation_id: str) -> str:
    return web.get(f"/console/conversations/{conversation_id}").text


def file(web: httpx.Client, conversation_id: str, **fields: str) -> None:
    page = web.get(f"/console/conversations/{conversation_id}")
    form_token = page.text.split('name="form_token" value="')[1].split('"')[0]
    form = {"csrf_token": token(page), "form_token": form_token, **LAMP, **fields}
    assert web.post(f"/console/conversations/{conversation_id}/case", data=form).status_code == 302


def test_the_next_talk_comes_after_the_outcome_of_this_one(web: httpx.Client, parts: Parts) -> None:
    log_in(web, "operator1")
    first, second = citizen_waits(parts), citizen_waits(parts, "水管漏水")
    post(web, first, "take")
    post(web, first, "close")
    assert 'data-testid="wrap-up"' in page_of(web, first)
    assert "待填处理结果" in web.get("/console").text
    assert "请先填上一个会话的处理结果" in post(web, second, "take").text
    assert post(web, first, "wrap-up").status_code == 422
    done = post(web, first, "wrap-up", outcome="answered", note="答复了交费时间")
    assert done.headers["Location"] == "/console"
    shown = page_of(web, first)
    assert "当场答复" in shown
    assert "答复了交费时间" in shown
    assert post(web, second, "take").status_code == 302


def test_with_a_citizen_still_there_the_next_page_is_theirs(web: httpx.Client, parts: Parts) -> None:
    log_in(web, "operator1")
    first, second = citizen_waits(parts), citizen_waits(parts)
    for one in (first, second):
        post(web, one, "take")
    post(web, first, "close")
    assert post(web, first, "wrap-up", outcome="filed").headers["Location"] == f"/console/conversations/{second}"


def test_a_note_is_for_colleagues_and_not_for_the_citizen(web: httpx.Client, parts: Parts) -> None:
    log_in(web, "supervisor1")
    conversation_id = citizen_waits(parts)
    assert post(web, conversation_id, "notes", note="说话很急，请耐心").status_code == 302
    assert "说话很急" in page_of(web, conversation_id)
    with parts.database.read() as session:
        assert [turn.text for turn in service.turns_after(session, conversation_id)] == ["路灯不亮"]


def test_who_calls_again_is_known_with_their_cases_and_conversations(web: httpx.Client, parts: Parts) -> None:
    log_in(web, "operator1")
    first = call_waits(parts)
    post(web, first, "take")
    file(web, first)
    post(web, first, "close")
    post(web, first, "wrap-up", outcome="filed")
    second = call_waits(parts)
    shown = page_of(web, second)
    assert "这位市民以前" in shown
    assert 'data-testid="earlier-case"' in shown
    assert f'/console/conversations/{first}"' in shown
    assert "这位市民以前" not in page_of(web, citizen_waits(parts))


def test_what_may_be_the_same_case_stands_beside_the_form_and_follows_what_is_typed(
    web: httpx.Client, parts: Parts
) -> None:
    log_in(web, "operator1")
    first = citizen_waits(parts)
    post(web, first, "take")
    file(web, first)
    found = f"/console/conversations/{first}/duplicates"
    assert "同一来电人" in web.get(found, params={"contact": "13800138000"}).text
    others = web.get(found, params={"what": "和平路路灯不亮了", "place": "和平路十八号", "contact": "13900139000"}).text
    assert LAMP["what"] in others
    assert "同一来电人" not in others
    for elsewhere in (
        {"what": "和平路路灯不亮了", "place": "望月街道"},
        {"what": "水管漏水"},
        {"what": "\x00", "contact": "12"},
    ):
        assert LAMP["what"] not in web.get(found, params=elsewhere).text


def test_canned_phrases_stand_beside_the_chat_in_the_operators_name(web: httpx.Client, parts: Parts) -> None:
    log_in(web, "operator1")
    conversation_id = citizen_waits(parts)
    post(web, conversation_id, "take")
    shown = page_of(web, conversation_id)
    assert 'data-fill="您好，我是坐席甲，请问有什么可以帮您？" data-digit="1"' in shown
    with parts.database.write() as session:
        session.get_one(Conversation, conversation_id).locale = "en"
        session.get_one(CannedPhrase, "moment").active = False
    shown = page_of(web, conversation_id)
    assert "Hello, this is 坐席甲" in shown
    assert "One moment please" not in shown


def test_a_supervisor_edits_the_phrases_and_the_audit_log_has_it(web: httpx.Client, parts: Parts) -> None:
    log_in(web, "supervisor1")
    address = "/console/line/phrases"
    form = {"csrf_token": token(web.get(f"{address}/new")), "position": "2", "active": "on"}
    new = form | {"code": "thanks", "text_zh": "谢谢您的耐心。", "text_en": "Thank you for your patience."}
    assert web.post(f"{address}/new", data=new).status_code == 302
    assert "谢谢您的耐心" in web.get(address).text
    assert web.post(f"{address}/thanks", data=form | {"text_zh": "谢谢您。", "text_en": "Thanks."}).status_code == 302
    with parts.database.read() as session:
        acts = [event.act for event in session.query(AuditEvent).filter_by(kind="canned_phrase")]
        assert acts == ["added", "changed"]
        assert session.get_one(CannedPhrase, "thanks").text_zh == "谢谢您。"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"code": "greet"}, "已经有了"),
        ({"code": "a b"}, "编码只能用"),
        ({"text_en": " "}, "都要填写"),
        ({"text_zh": "啊" * 501}, "太"),
    ],
)
def test_a_phrase_that_cannot_be_kept_is_refused_with_what_was_typed(
    web: httpx.Client, changed: dict[str, str], sentence: str
) -> None:
    log_in(web, "supervisor1")
    address = "/console/line/phrases/new"
    form = {"code": "ok", "position": "1", "text_zh": "好的。", "text_en": "All right."} | changed
    answer = web.post(address, data={"csrf_token": token(web.get(address)), **form})
    assert answer.status_code == 422
    assert sentence in answer.text
    assert form["text_zh"].strip() in answer.text


def test_a_phrase_that_is_not_there_is_not_found(web: httpx.Client) -> None:
    log_in(web, "supervisor1")
    assert web.get("/console/line/phrases/nothing").status_code == 404


def test_an_operator_is_told_of_neighbours_and_asks_whether_it_is_the_same(web: httpx.Client, parts: Parts) -> None:
    with parts.database.write() as session:
        for last in range(3):
            filing = Filing(what=LAMP["what"], place=LAMP["place"], contact=f"+861390000000{last}")
            file_case(session, parts.knowledge, filing, Actor("bot"), parts.clock(), "shandong")
    log_in(web, "operator1")
    talk = citizen_waits(parts)
    post(web, talk, "take")
    shown = web.get(f"/console/conversations/{talk}/duplicates", params={"what": LAMP["what"], "place": LAMP["place"]})
    assert "3 位市民反映同样的问题" in shown.text
    file(web, talk, together="yes")
    with parts.database.read() as session:
        case = session.scalars(select(Case).order_by(Case.id.desc())).first()
        assert case is not None
        assert "是同一件事（3人" in case.history[1].details["note"]
