"""Pure decisions about answers: which articles may be given, and the verdict by stated cost."""

import re
from datetime import date
from typing import Literal, Protocol

Verdict = Literal["answer", "clarify", "unknown"]

COST_OF_WRONG_ANSWER = 3.0
"""A citizen who is told something wrong is worse off than one who waits for a person; unit: one person's time."""
COST_OF_ASKING_BACK = 0.4
"""Three choices to hear or read. Raised from 0.35 with the bench of search in view: more is answered, 4 % of it wrongly."""
COST_OF_ASKING_IN_VAIN = 1.6
"""Two or three questions to choose from and none is the right one: the citizen's time, and then a person's."""
COST_OF_PERSON = 1.0

CLARIFY_AMONG = 3
"""Articles to choose from at most: more can't be kept in mind on the telephone."""


FOLLOW_UP = re.compile(
    r"(那|这个|这|它|还|都|又|要|需要|得|用|带|准备|交|提交|什么|哪些|哪个|材料|资料|证件|东西|手续|流程|条件|要求|多少|钱|费用|收费|费|免费|多久"
    r"|多长|时间|几天|什么时候|何时|上班|哪里|哪儿|在哪|地址|地方|去|到|怎么|怎样|如何|办理|办|弄|走|网上|线上|电话|号码|打|给|可以|能|行|不"
    r"|吗|么|的|是|有|了|我|一下|具体|详细|再|说|讲)+"
)
"""Words that ask for more about a matter without naming one."""


def follows_up(question: str) -> bool:
    """Whether a normalised question has no matter of its own, so that it asks about what was answered before."""
    return FOLLOW_UP.fullmatch(question) is not None


Period = tuple[date, date]
"""First and last day."""

YEARS_AGO = {"前年": 2, "去年": 1, "上年度": 1, "明年": -1, "last year": 1, "next year": -1}
YEAR_NAMED = re.compile(
    r"(20\d\d)年度?(?=的?[^，。？！]{0,6}(?:标准|政策|补贴|补助|价格|收费|规定|办法|基数|比例|额度))"
)
"""A year whose rules are asked for; not one in which somebody was born."""


def period_named(question: str, today: date) -> Period | None:
    """The year that a question asks about (去年的补贴标准), given today's date in China; None when it names none, or
    this one, for then what holds today is asked for."""
    named = YEAR_NAMED.search(question)
    years = [today.year - ago for word, ago in YEARS_AGO.items() if word in question.lower()]
    year = int(named.group(1)) if named else next(iter(years), today.year)
    return None if year == today.year else (date(year, 1, 1), date(year, 12, 31))


def holds_in(one: "Dated", period: Period) -> bool:
    """Whether it holds on some day of the period, as far as its dates tell."""
    first, last = period
    return (one.valid_from is None or one.valid_from <= last) and (one.valid_until is None or one.valid_until >= first)


class Dated(Protocol):
    """What has a state and dates of validity."""

    @property
    def state(self) -> str: ...
    @property
    def valid_from(self) -> date | None: ...
    @property
    def valid_until(self) -> date | None: ...


def is_current(article: Dated, today: date) -> bool:
    """Whether a citizen may be given this article today (Asia/Shanghai)."""
    return (
        article.state == "published"
        and (article.valid_from is None or article.valid_from <= today)
        and (article.valid_until is None or today <= article.valid_until)
    )


def verdict(first_is_right: float, among_the_first: float) -> Verdict:
    """The cheapest thing to do, given the probabilities (0 to 1) that the best article is the right one, and that the
    right one is among the first CLARIFY_AMONG."""
    costs: dict[Verdict, float] = {
        "answer": (1 - first_is_right) * COST_OF_WRONG_ANSWER,
        "clarify": COST_OF_ASKING_BACK + (1 - among_the_first) * COST_OF_ASKING_IN_VAIN,
        "unknown": COST_OF_PERSON,
    }
    return min(costs, key=lambda choice: costs[choice])
