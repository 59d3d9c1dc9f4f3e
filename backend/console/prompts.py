"""What the line itself says, on the administrators' screens: the list, and the form of one phrase with a preview."""

from dataclasses import dataclass
from typing import Any, Final

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext

from backend.city import city_name
from backend.console.forms import field
from backend.console.log_in import allowed
from backend.knowledge.speech import LONGEST_SECONDS, seconds
from backend.locale import current_locale
from backend.parts import parts
from backend.wordings import LONGEST, Wording, WordingRefused, facts_in, filled, in_braces
from bot.catalogue import Phrase

CATALOGUE_WORDS: Final = {
    "telephone": lazy_gettext("电话里说的"),
    "bot": lazy_gettext("智能助手问的和说的"),
    "conversation": lazy_gettext("会话里说的"),
    "texts": lazy_gettext("短信里写的"),
    "cases": lazy_gettext("办理进度通知"),
}
LANGUAGE_WORDS: Final = {"zh": lazy_gettext("普通话"), "yue": lazy_gettext("粤语"), "en": lazy_gettext("英语")}
LANGUAGE_TAGS: Final = {"zh": "zh-CN", "yue": "zh-HK", "en": "en"}
SAMPLES: Final[dict[str, tuple[str, str]]] = {
    "agency": ("市住房和城乡建设局", "the Housing Bureau"),
    "choice": ("供热", "heating"),
    "clause": ("第十二条", "article 12"),
    "contact": ("13800000000", "13800000000"),
    "contact_spoken": ("幺三八，零零零零，零零零零", "1 3 8 0 0 0 0 0 0 0 0"),
    "count": ("三", "3"),
    "day": ("八", "8"),
    "days": ("30", "30"),
    "digit": ("一", "1"),
    "digits": ("一三八", "1 3 8"),
    "due": ("3月16日", "16 March"),
    "due_spoken": ("三月十六日", "16 March"),
    "into": ("26000-00015", "26000-00015"),
    "label": ("供热", "heating"),
    "latitude": ("31.86", "31.86"),
    "link": ("https://12345.example.gov.cn/c/…", "https://12345.example.gov.cn/c/…"),
    "longitude": ("117.28", "117.28"),
    "matter": ("暖气不热", "my heating is cold"),
    "minutes": ("五", "5"),
    "month": ("三", "3"),
    "name": ("王芳", "Wang Fang"),
    "next_step": ("带身份证到街道办理。", "Bring your identity card to the street office."),
    "note": ("", ""),
    "number": ("二六零三，零九零，零零一", "2603 090 001"),
    "number_spoken": ("二六零三，零九零，零零一", "2603 090 001"),
    "ordinal": ("一", "1"),
    "passage": ("本办法自公布之日起施行。", "These rules hold from the day of their publication."),
    "place": ("幸福路十二号", "12 Xingfu Road"),
    "position": ("三", "3"),
    "question": ("暖气不热找谁", "who sees to cold heating"),
    "reason": ("等检测、鉴定、评估结论", "waiting for a test, appraisal or expert opinion"),
    "route": ("此事应由人民法院处理。", "This is for the people's court."),
    "since": ("三天前", "three days ago"),
    "state": ("办理中", "in hand"),
    "title": ("供热条例", "Heating regulations"),
    "what": ("楼下的路灯坏了", "the street light is broken"),
    "where": ("幸福路十二号", "12 Xingfu Road"),
    "words": ("楼下的路灯坏了", "the street light is broken"),
}
"""Facts as they might be filled in, Chinese and English, for the preview."""


@dataclass(frozen=True)
class Shown:
    """A phrase in one language on the form. `speech` is None where what is shown and what is spoken are the same."""

    language: str
    text: str
    speech: str | None
    delivered: Phrase
    facts: str
    changed: bool


@allowed("line")
def list_prompts() -> ResponseReturnValue:
    """Everything that can be worded, catalogue by catalogue; what the city has changed is marked."""
    wordings = parts().wordings
    sought = request.args.get("q", "").strip()
    groups = []
    for name in CATALOGUE_WORDS:
        rows = []
        for key in wordings.catalogues[name].entries:
            phrases = wordings.find(name, key)
            if any(sought in text for text in (key, *(phrase.text for phrase in phrases.values()))):
                rows.append((key, phrases["zh"].text, phrases["en"].text, phrases != wordings.delivered(name, key)))
        groups.append((name, CATALOGUE_WORDS[name], rows))
    return render_template("console/line/prompts.html", groups=groups, sought=sought)


@allowed("line")
def edit_prompt(catalogue: str, key: str) -> ResponseReturnValue:
    """The form of one phrase, and keeping what was written in it. Nothing typed is lost on a refusal."""
    wordings = parts().wordings
    if request.method == "GET":
        return form_page(catalogue, key, wordings.find(catalogue, key))
    wanted = wanted_of_form(catalogue, key)
    try:
        with parts().database.write() as session:
            wordings.change(session, catalogue, key, wanted)
    except WordingRefused as refused:
        return form_page(catalogue, key, wanted, refused)
    wordings.now.look_again()
    return redirect(url_for("console.prompts"))


@allowed("line")
def restore_prompt(catalogue: str, key: str) -> ResponseReturnValue:
    """Back to the wording that is delivered."""
    wordings = parts().wordings
    with parts().database.write() as session:
        wordings.change(session, catalogue, key, wordings.delivered(catalogue, key))
    wordings.now.look_again()
    return redirect(url_for("console.prompt", catalogue=catalogue, key=key))


@allowed("line")
def preview_prompt(catalogue: str, key: str) -> ResponseReturnValue:
    """What is in the form as it would be read and heard, with samples for its facts; asked for while it is written."""
    wordings, wanted = parts().wordings, wanted_of_form(catalogue, key)
    is_spoken = catalogue not in wordings.written
    rows = []
    for language, phrase in wanted.items():
        said = filled(phrase, samples("en" if language == "en" else "zh"))
        rows.append((language, said, round(seconds(said.speech, language), 1) if is_spoken else None))
    return render_template(
        "console/line/_prompt_preview.html",
        rows=rows,
        longest=round(LONGEST_SECONDS),
        faults=told(wordings.faults(catalogue, key, wanted)),
        **LABELS,
    )


def wanted_of_form(catalogue: str, key: str) -> dict[str, Phrase]:
    """The phrase as the form has it, in every language that the catalogue has it in. Raises Refused."""
    wanted = {}
    for language, delivered in parts().wordings.delivered(catalogue, key).items():
        text = field(f"text_{language}")
        same = delivered.text == delivered.speech
        wanted[language] = Phrase(text, text if same else field(f"speech_{language}"))
    return wanted


def samples(locale: str) -> dict[str, Any]:
    """Facts for a preview."""
    return {name: words[locale == "en"] for name, words in SAMPLES.items()} | {"city": city_name(locale)}


def told(faults: list[Any]) -> list[str]:
    """Why a wording is refused, in the reader's language."""
    return [f"{LANGUAGE_WORDS[fault.language]} — {fault.refusal.sentence(current_locale())}" for fault in faults]


LABELS: Final[dict[str, Any]] = {"language_words": LANGUAGE_WORDS, "language_tags": LANGUAGE_TAGS}


def form_page(
    catalogue: str, key: str, wanted: dict[str, Phrase], refused: WordingRefused | None = None
) -> ResponseReturnValue:
    """The form with this wording in it."""
    wordings = parts().wordings
    delivered = wordings.delivered(catalogue, key)
    shown = [
        Shown(
            language,
            wanted[language].text,
            None if phrase.text == phrase.speech else wanted[language].speech,
            phrase,
            in_braces(facts_in(phrase.text + phrase.speech) or set()),
            wanted[language] != phrase,
        )
        for language, phrase in delivered.items()
    ]
    with parts().database.read() as session:
        is_changed = any(session.get(Wording, (catalogue, key, language)) for language in delivered)
    html = render_template(
        "console/line/prompt.html",
        catalogue=catalogue,
        key=key,
        heading=wordings.find(catalogue, key)[current_locale()].text,
        shown=shown,
        is_changed=is_changed,
        limit=LONGEST,
        faults=told(refused.faults) if refused else [],
        here=request.path,
        **LABELS,
    )
    return html, refused.status if refused else 200
