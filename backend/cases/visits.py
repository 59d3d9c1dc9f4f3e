"""Return visits: what a citizen may answer, and what their free words are about. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from backend.cases.rules import ANSWERS
from backend.errors import Refused

GRADES: Final[dict[int, str]] = {5: "非常满意", 4: "满意", 3: "基本满意", 2: "不满意", 1: "非常不满意"}
"""The five grades; 基本满意 and better count as satisfied."""
SATISFIED_FROM: Final = 3
WORDS_LIMIT: Final = 2000

THEMES: Final[dict[str, tuple[str, ...]]] = {
    "not_done": (
        "没解决", "没有解决", "未解决", "没处理", "没人处理", "没修", "还是不", "依然", "仍然", "仍不", "老样子", "没变化",
        "没来", "又坏", "not fixed", "not solved", "still",
    ),
    "no_contact": ("没联系", "没人联系", "没打电话", "没接到", "没通知", "联系不上", "nobody called", "no one called"),
    "slow": ("太慢", "很慢", "拖", "等了", "超期", "迟迟", "半个月", "好几天", "slow", "took too long"),
    "attitude": ("态度", "不耐烦", "骂", "推诿", "踢皮球", "敷衍", "冷漠", "应付", "rude", "attitude"),
    "false_reply": ("没有来过", "根本没", "不属实", "虚假", "假的", "骗", "不符", "false", "lie"),
    "too_costly": ("收费", "太贵", "多收", "乱收", "赔偿", "退款", "charge", "refund"),
    "thanks": ("谢谢", "感谢", "辛苦", "点赞", "及时", "很快", "满意", "thank", "quick"),
}  # fmt: skip
"""theme -> words by which it is told."""
DENIED: Final = ("不满意", "不太满意", "没有及时", "不及时", "不快")


def themes_of(words: str) -> list[str]:
    """What free words are about, in the order of THEMES; nothing when none of it is known."""
    text = words.lower()
    thankful = text
    for denied in DENIED:
        thankful = thankful.replace(denied, "")
    return [
        theme
        for theme, signs in THEMES.items()
        if any(sign in (thankful if theme == "thanks" else text) for sign in signs)
    ]


def read_answers(details: Mapping[str, Any]) -> dict[str, Any]:
    """The answers of a visit in one form: the three questions as yes or no, `grade` as a number from 1 to 5 where there is
    one (then it says whether they are satisfied), `words` as they were said. Raises Refused for anything else."""
    answers = dict(details)
    grade = answers.pop("grade", None)
    if grade not in (None, ""):
        if str(grade) not in map(str, GRADES):
            raise Refused("bad_request", 400)
        answers["grade"] = int(grade)
        answers["satisfied"] = "yes" if answers["grade"] >= SATISFIED_FROM else "no"
    if any(answers.get(name) not in ("yes", "no", "", None) for name in ANSWERS):
        raise Refused("bad_request", 400)
    if len(str(answers.get("words", ""))) > WORDS_LIMIT:
        raise Refused("too_large")
    return answers
