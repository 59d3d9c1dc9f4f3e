"""What the line says is worded on a page: at once in every process, audited, never so that a call breaks."""

import httpx
import pytest

from backend.app import create_app
from backend.audit import AuditEvent
from backend.cases.service import Actor, Filing, file_case
from backend.outbox import OutgoingMessage
from backend.parts import Parts
from backend.wordings import Wording
from ivr.phone.call import PracticeCall
from ivr.phone.call import spoken as heard
from tests.conftest import StandingClock
from tests.console.test_agency_pages import log_in, token

PAGE = "/console/line/prompts/telephone/greeting"
GOOD = {
    "text_zh": "您好，{city}热线，请讲。",
    "text_yue": "您好，{city}熱線，請講。",
    "text_en": "Hello, {city} line. How can we help?",
}


def save(web: httpx.Client, path: str = PAGE, fields: dict[str, str] = GOOD) -> httpx.Response:
    return web.post(path, data={**fields, "csrf_token": token(web.get(path))})


def test_a_caller_hears_the_citys_words_until_they_are_taken_back(
    web: httpx.Client, parts: Parts, call: PracticeCall
) -> None:
    log_in(web, "admin1")
    assert "/console/line/prompts" in web.get("/console/administration").text
    assert save(web).headers["location"] == "/console/line/prompts"
    assert "热线，请讲" in spoken(call)
    assert 'data-testid="changed"' in web.get("/console/line/prompts?q=greeting").text
    with parts.database.read() as session:
        events = session.query(AuditEvent).filter_by(kind="prompt").order_by(AuditEvent.number).all()
        assert [(event.subject, event.act) for event in events] == [
            (f"telephone:greeting:{language}", "added") for language in ("zh", "yue", "en")
        ]
    assert "<h1>您好，{city}热线，请讲。</h1>" in web.get(PAGE).text
    restored = web.post(f"{PAGE}/delivered", data={"csrf_token": token(web.get(PAGE))})
    assert restored.status_code == 302
    assert "请问有什么可以帮您" in web.get(PAGE).text
    with parts.database.read() as session:
        assert session.query(AuditEvent).filter_by(kind="prompt", act="removed").count() == 3


def test_another_process_says_the_new_words_within_two_seconds(
    web: httpx.Client, parts: Parts, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    other: Parts = create_app(parts.settings, clock=clock).extensions["parts"]
    assert other.wordings.find("telephone", "greeting")["zh"].text.startswith("您好，这里是")
    log_in(web, "admin1")
    save(web)
    monkeypatch.setattr("backend.followed.LOOKED_AT_EVERY", 0.0)  # as if a second had gone by
    assert other.wordings.find("telephone", "greeting")["zh"].text == GOOD["text_zh"]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"text_zh": ""}, "不能为空"),
        ({"text_zh": "您好，{city.__class__}"}, "花括号里只能是一个名称"),
        ({"text_zh": "您好，{city"}, "花括号里只能是一个名称"),
        ({"text_en": "Hello, {}"}, "花括号里只能是一个名称"),
        ({"text_zh": "您好，{number}"}, "这里没有 {number}"),
        ({"text_zh": "您好，请拨12345。"}, "数字和单位请写成念出来的样子"),
        ({"text_yue": "您好，" * 60}, "请缩短"),
        ({"text_en": "x" * 501}, "最多 500 个字"),
    ],
)
def test_what_would_break_a_call_is_refused_and_nothing_typed_is_lost(
    web: httpx.Client, parts: Parts, changed: dict[str, str], why: str
) -> None:
    log_in(web, "admin1")
    refused = save(web, fields={**GOOD, **changed})
    assert (refused.status_code, why in refused.text) == (422, True)
    assert "How can we help?" in refused.text or "text_en" in changed
    preview = web.post(f"{PAGE}/preview", data={**GOOD, **changed, "csrf_token": token(web.get(PAGE))})
    assert why in preview.text
    assert parts.wordings.find("telephone", "greeting")["zh"].text.startswith("您好，这里是")


def test_a_number_that_a_prompt_is_said_for_can_not_be_left_out(web: httpx.Client) -> None:
    log_in(web, "admin1")
    fields = {"text_zh": "登记好了，再见。", "text_yue": "登記好{number}", "text_en": "Filed: {number}"}
    refused = save(web, "/console/line/prompts/telephone/recorded", fields)
    assert (refused.status_code, "不能少了 {number}" in refused.text) == (422, True)


@pytest.mark.parametrize(
    ("language", "field", "text", "missing"),
    [
        ("zh", "text", "如果正在着火，请马上离开现场。", "119"),
        ("zh", "text", "如果正在着火，请马上离开，拨打 1190。", "119"),
        ("zh", "speech", "如果正在着火，请马上离开，立即拨打幺幺零。", "119"),
        ("en", "speech", "If there is a fire, get out now and call 1 1 0.", "119"),
    ],
)
def test_a_sentence_that_sends_people_to_an_emergency_number_goes_on_to_say_it(
    web: httpx.Client, parts: Parts, language: str, field: str, text: str, missing: str
) -> None:
    log_in(web, "admin1")
    path = "/console/line/prompts/conversation/danger_fire"
    form = {
        f"{name}_{language}": getattr(phrase, name)
        for language, phrase in parts.wordings.delivered("conversation", "danger_fire").items()
        for name in ("text", "speech")
    }
    refused = save(web, path, {**form, f"{field}_{language}": text})
    assert (refused.status_code, f"拨打 {missing} 的" in refused.text) == (422, True)
    reworded = {**form, "text_zh": "着火了就先跑出去，再打１１９。", "speech_zh": "着火了就先跑出去，再打一一九。"}
    assert save(web, path, reworded).status_code == 302


def test_every_delivered_wording_may_be_saved_as_it_stands_and_previews_without_gaps(
    web: httpx.Client, parts: Parts
) -> None:
    log_in(web, "admin1")
    form = {"csrf_token": token(web.get(PAGE))}
    for name, catalogue in parts.wordings.catalogues.items():
        for key in catalogue.entries:
            delivered = parts.wordings.delivered(name, key)
            assert parts.wordings.faults(name, key, delivered) == [], key
            for language, phrase in delivered.items():
                form |= {f"text_{language}": phrase.text, f"speech_{language}": phrase.speech}
            preview = web.post(f"/console/line/prompts/{name}/{key}/preview", data=form)
            assert (preview.status_code, "{" in preview.text) == (200, False), key


def test_a_wording_that_a_later_release_could_not_fill_in_gives_way_to_the_delivered_one(
    parts: Parts, call: PracticeCall
) -> None:
    gone = {"language": "zh", "text": "{gone}", "speech": "{gone}"}
    with parts.database.write() as session:
        session.add_all(Wording(catalogue="telephone", key=key, **gone) for key in ("greeting", "no_longer_said"))
    parts.wordings.now.look_again()
    assert "请问有什么可以帮您" in spoken(call)


def test_what_is_not_there_is_told(web: httpx.Client) -> None:
    log_in(web, "admin1")
    for path in ("telephone/nothing", "nothing/greeting"):
        assert web.get(f"/console/line/prompts/{path}").status_code == 404


def spoken(call: PracticeCall) -> str:
    """What the line says when it answers."""
    return heard(call.start("http://127.0.0.1:8000/ivr/voice"))


def test_a_citizen_is_told_of_progress_in_the_citys_words_with_the_number_in_them(
    web: httpx.Client, parts: Parts
) -> None:
    path = "/console/line/prompts/cases/filed"
    log_in(web, "admin1")
    words = {"text_zh": "【本市热线】已收到，单号{number}，{due}前答复。", "text_en": "Case {number}, by {due}."}
    assert save(web, path, words | {"text_zh": "【本市热线】已收到，{due}前答复。"}).status_code == 422
    assert save(web, path, words).status_code == 302
    with parts.database.write() as session:
        filing = Filing(what="路灯不亮", contact="+8613800001234")
        number = file_case(session, parts.knowledge, filing, Actor("bot"), parts.clock(), "shandong").number
        [told] = [one.body["text"] for one in session.query(OutgoingMessage).filter_by(channel="sms")]
    assert told == f"【本市热线】已收到，单号{number}，2026年11月30日前答复。"
