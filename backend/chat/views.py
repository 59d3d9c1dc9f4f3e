"""The citizen's pages: the chat, the script tag for other sites, and where a case stands."""

import unicodedata
from dataclasses import dataclass
from itertools import pairwise

from flask import Blueprint, Response, redirect, render_template, request, send_from_directory, url_for
from flask_babel import gettext
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from backend.attachments import (
    BYTES_LIMIT,
    accept,
    as_response,
    attachments_of,
    keep,
    link_part,
    read_link,
    with_content,
)
from backend.cases import links
from backend.cases import service as cases
from backend.cases.city_deadlines import deadlines
from backend.cases.deadlines import STEPS, Period
from backend.cases.lookup import look_up
from backend.cases.models import Case
from backend.cases.rules import ANSWERS, BEFORE_REPLY, FINAL_STATES, possible_acts, settled
from backend.cases.service import Actor
from backend.cases.visits import GRADES, WORDS_LIMIT
from backend.cases.words import answer_of, day_words, due_words, hold_words, period_words, state_words
from backend.city import city_name
from backend.clock import local
from backend.conversations.announcements import current
from backend.conversations.rules import MESSAGE_LIMIT
from backend.errors import Refused
from backend.knowledge.models import Article
from backend.knowledge.rules import is_current
from backend.locale import current_locale
from backend.parts import parts

blueprint = Blueprint(
    "chat", __name__, template_folder="templates", static_folder="static", static_url_path="/chat/static"
)

MAIN_STATES = ("filed", "accepted", "dispatched", "signed", "replied", "visited", "closed")
"""The states of an ordinary case, in the order in which the progress line shows them."""

CITIZEN = Actor("citizen")
CITIZENS_ACTS = ("add", "withdraw", "visit")
"""What a citizen may do on the page of their case, where the table allows it."""
ACT_FIELDS = {"add": ("note",), "withdraw": (), "visit": (*ANSWERS, "grade", "words")}
WORDS_A_DAY = 5
"""How often a citizen may add words to one case within 24 hours."""
GRADES_EN = {5: "very satisfied", 4: "satisfied", 3: "more or less", 2: "dissatisfied", 1: "very dissatisfied"}

EXAMPLES = ("heating-not-warm", "hukou-newborn", "noise-construction-night", "residence-permit-apply")
"""Articles whose questions a new chat offers; one that the city has withdrawn isn't offered."""


@dataclass(frozen=True)
class Step:
    """One station of the progress line: done, now or to come, the day on which it was reached, and until when it will be."""

    name: str
    place: str
    day: str
    due: str = ""


@dataclass(frozen=True)
class CaseShown:
    """What the page tells of a case; nothing in it says who filed it."""

    number: str
    state: str
    steps: list[Step]
    category: str
    agency: str  # none where the case ended before any had it
    proposed: bool
    filed: str
    due: str
    hold: str
    answer: str
    acts: frozenset[str]
    token: str
    merged_into: str


@blueprint.url_value_preprocessor
def allow_photos(endpoint: str | None, _: dict[str, object] | None) -> None:
    """Let a photo come with words that are added. This must be set before the form is read."""
    if endpoint == "chat.act_on_case":
        request.max_content_length = BYTES_LIMIT + 100_000


@blueprint.get("/")
def home() -> BaseResponse:
    """The chat is the front page."""
    return redirect(url_for("chat.page"))


@blueprint.get("/chat")
def page() -> str:
    """The chat page; what is said in it goes through the JSON API (static/chat.js)."""
    locale = current_locale()
    shared = parts()
    with shared.database.read() as session:
        announced = current(session, shared.clock(), "chat", locale)
    return render_template(
        "chat/chat.html",
        announced=announced,
        locale=locale,
        city=city_name(locale),
        limit=MESSAGE_LIMIT,
        words=page_words() | {"examples": example_questions(locale)},
    )


@blueprint.get("/widget.js")
def widget() -> Response:
    """The chat as one script tag for the city's own sites."""
    return send_from_directory(str(blueprint.static_folder), "widget.js", max_age=3600)


@blueprint.get("/files/<token>")
def file(token: str) -> Response:
    """A file, by the link that a page made for who may see it."""
    shared = parts()
    attachment_id = read_link(shared.settings.secret_key, token)
    with shared.database.read() as session:
        return as_response(with_content(session, attachment_id))


@blueprint.route("/cases", methods=["GET", "POST"])
@blueprint.route("/cases/<number>", methods=["GET", "POST"])
def case_page(number: str = "") -> tuple[str, int, dict[str, str]]:
    """Where a case stands, for who knows its number and the last four digits of the telephone that was left."""
    locale = current_locale()
    number = half_width(request.form.get("number", number))
    shown, problem, status, files = None, "", 200, None
    if request.method == "POST":
        try:
            shown = looked_up(number, half_width(request.form.get("last_digits", "")), locale)
            with parts().database.read() as session:
                files = reply_files(session, cases.get_case(session, shown.number))
        except Refused as refusal:
            problem, status = refusal.sentence(locale), refusal.status
    return rendered(number, shown, problem, status, files)


def rendered(
    number: str,
    shown: CaseShown | None,
    problem: str,
    status: int,
    files: list[tuple[str, str]] | None = None,
    done: str = "",
    tried: str = "",
) -> tuple[str, int, dict[str, str]]:
    """The page, which nobody keeps; after an act that was refused (`tried`) with its form as it was filled in."""
    locale = current_locale()
    body = render_template(
        "chat/case.html",
        locale=locale,
        city=city_name(locale),
        number=number,
        case=shown,
        files=files or [],
        problem=problem,
        done=done,
        tried=tried,
        typed=request.form,
        questions=questions(),
        grades=GRADES_EN if locale == "en" else GRADES,
        limit=WORDS_LIMIT,
    )
    return body, status, {"Cache-Control": "no-store"}


def reply_files(session: Session, case: Case) -> list[tuple[str, str]]:
    """What came with replies to the citizen: (name, address, which is good for a day)."""
    key = parts().settings.secret_key
    return [
        (one.name, url_for("chat.file", token=link_part(key, one.id)))
        for one in attachments_of(session, case_id=case.id, for_citizen=True)
        if one.staff_id is not None
    ]


def questions() -> dict[str, str]:
    """The three questions of the return visit."""
    asked = (gettext("有人联系过您吗？"), gettext("问题解决了吗？"), gettext("您满意吗？"))
    return dict(zip(ANSWERS, asked, strict=True))


def done_words() -> dict[str, str]:
    """What the citizen is told once an act of theirs is on record."""
    return {
        "add": gettext("已补充，承办单位会看到。"),
        "withdraw": gettext("已撤回，不再办理。"),
        "visit": gettext("谢谢您，评价已记下。没有解决或您不满意的，会有工作人员复核。"),
    }


@blueprint.get("/c/<token>")
def case_link(token: str) -> tuple[str, int, dict[str, str]]:
    """The case that a signed link was made for; whoever has the link needs no digits."""
    locale, shared = current_locale(), parts()
    try:
        number = links.read(shared.settings.secret_key, token)
    except Refused as refusal:
        return rendered("", None, refusal.sentence(locale), refusal.status)
    with shared.database.read() as session:
        case = cases.get_case(session, number)
        shown, files = shown_case(case, locale, token), reply_files(session, case)
    return rendered(number, shown, "", 200, files, done_words().get(request.args.get("done", ""), ""))


@blueprint.post("/c/<token>/<act>")
def act_on_case(token: str, act: str) -> tuple[str, int, dict[str, str]] | BaseResponse:
    """Add words, withdraw, or say whether it is solved. Somebody who sends the form twice has done it once or is told."""
    locale, shared = current_locale(), parts()
    try:
        number = links.read(shared.settings.secret_key, token)
        if act not in CITIZENS_ACTS:
            raise Refused("not_found", 404)
        details = {name: request.form.get(name, "").replace("\x00", "").strip() for name in ACT_FIELDS[act]}
        if any(len(value) > WORDS_LIMIT for value in details.values()):
            raise Refused("too_large")
        sent = request.files.get("photo") if act == "add" else None
        photo = accept(sent.read(), sent.filename or "", pictures_only=True) if sent and sent.filename else None
        with shared.database.write() as session:
            if act == "add" and cases.words_today(session, number, shared.clock()) >= WORDS_A_DAY:
                raise Refused("too_many_words", 429)
            case = cases.act_on(session, number, act, CITIZEN, details, shared.clock())
            if photo:
                keep(session, photo, shared.clock(), case_id=case.id, event_id=case.history[-1].id)
    except Refused as refusal:
        if refusal.code == "link_expired":
            return rendered("", None, refusal.sentence(locale), refusal.status)
        with shared.database.read() as session:
            shown = shown_case(cases.get_case(session, number), locale, token)
        return rendered(number, shown, refusal.sentence(locale), refusal.status, tried=act)
    return redirect(url_for("chat.case_link", token=token, done=act))


def half_width(text: str) -> str:
    """What was typed into a field for digits: full-width digits of a Chinese keyboard as plain ones."""
    return unicodedata.normalize("NFKC", text).strip()


def looked_up(number: str, last_digits: str, locale: str) -> CaseShown:
    """What the page tells of the case. Raises Refused."""
    shared = parts()

    def told(case: Case) -> CaseShown:
        return shown_case(case, locale, links.sign(shared.settings.secret_key, case.number))

    return look_up(shared.database, number, last_digits, shared.clock(), told)


def shown_case(case: Case, locale: str, token: str) -> CaseShown:
    """The case in the citizen's words, and what they may do to it; `token` is the signed part of its link."""
    return CaseShown(
        acts=frozenset(citizens_acts(case)),
        token=token,
        merged_into=case.merged_into.number if case.merged_into else "",
        number=case.number,
        state=state_words(case.state, locale),
        steps=progress(case, locale, promises(case, locale)),
        category=case.category.name_en if locale == "en" else case.category.name,
        agency=case.agency.name if case.responsible_code or case.state in BEFORE_REPLY else "",
        proposed=case.state in ("filed", "accepted"),
        filed=day_words(case.filed_at, locale),
        due=day_words(case.due_at, locale) if case.state in BEFORE_REPLY else "",
        hold=hold_words(case, locale),
        answer=answer_of(case, locale),
    )


def citizens_acts(case: Case) -> list[str]:
    """What the citizen may do now."""
    return [rule.act for rule in possible_acts(cases.citizens_situation(case, parts().clock()), "citizen")]


def promises(case: Case, locale: str) -> dict[str, str]:
    """Until when each station to come will be reached: the next one and the reply by a day, what begins only then in so many
    hours or days after it."""
    if case.state in FINAL_STATES:
        return {}
    with parts().database.read() as session:
        profile = deadlines(session, case.profile).profile
    found = {}
    for before, station in pairwise(MAIN_STATES):
        if before in STEPS and station != case.state:
            period: Period = getattr(profile, STEPS[before])
            found[station] = gettext(
                "%(before)s后%(period)s内",
                before=state_words(before, locale).removeprefix("已"),
                period=period_words(period, locale),
            )
    if case.state in BEFORE_REPLY:
        found["replied"] = gettext("最晚%(day)s", day=due_words(case.due_at, locale))
    if case.state == "visited" and not settled(cases.citizens_situation(case, parts().clock()).visit()):
        return {}  # a reviewer decides whether it is done again
    following = dict(pairwise(MAIN_STATES)).get(case.state, case.state)
    if case.step_due_at and following != "replied":
        found[following] = gettext("最晚%(day)s", day=due_words(case.step_due_at, locale))
    return found


def progress(case: Case, locale: str, due: dict[str, str]) -> list[Step]:
    """The stations that the case has passed, the one where it is, and unless it has ended those to come.

    A case that was sent back to be redone is shown where it is now, and how it came there; a case that was answered on the
    spot never was with an agency, so those stations are left out.
    """
    moves = [event for event in case.history if event.from_state != event.to_state]
    reached = {event.to_state: day_words(event.acted_at, locale) for event in moves}
    line = MAIN_STATES if case.state in MAIN_STATES else (*MAIN_STATES, case.state)
    now = line.index(case.state)
    passed = [state for state in line[:now] if state in reached]
    return [
        *(Step(state_words(state, locale), "done", reached[state]) for state in passed),
        Step(state_words(case.state, locale), "now", reached.get(case.state, ""), due.get(case.state, "")),
        *(Step(state_words(state, locale), "later", "", due.get(state, "")) for state in line[now + 1 :]),
    ]


def example_questions(locale: str) -> list[str]:
    """Questions that many people ask, as a new chat offers them."""
    shared = parts()
    today = local(shared.clock()).date()
    with shared.database.read() as session:
        articles = session.scalars(select(Article).where(Article.id.in_(EXAMPLES)).order_by(Article.id))
        current = [article for article in articles if is_current(article, today)]
        return [article.question_en if locale == "en" else article.question for article in current]


def page_words() -> dict[str, object]:
    """What chat.js shows and doesn't get from the API."""
    return {
        "speakers": {"citizen": gettext("您"), "bot": gettext("智能助手"), "operator": gettext("人工")},
        "states": {
            "bot": gettext("智能助手为您服务"),
            "waiting": gettext("正在转接人工"),
            "operator": gettext("人工正在为您服务"),
            "closed": gettext("本次服务已结束"),
        },
        "queue": gettext("您排在第 {position} 位，请稍候。"),
        "wait": gettext("预计还要等 {minutes} 分钟。"),
        "meanwhile": gettext("可以继续补充情况，工作人员都能看到。"),
        "photo_sending": gettext("正在发送照片 {name}"),
        "photo_alt": gettext("您发来的照片 {name}"),
        "voice": gettext("语音输入"),
        "voice_stop": gettext("停止语音输入"),
        "examples_title": gettext("大家常问"),
        "sources": gettext("依据"),
        "case_number": gettext("工单号"),
        "case_link": gettext("查看工单进度"),
        "call": gettext("拨打 {number}"),
        "danger": gettext("请先确保安全"),
        "undelivered": gettext("未送达"),
        "retry": gettext("重新发送"),
        "left": gettext("还可输入 {count} 个字"),
        "person": gettext("转人工"),
    }
