"""Pure decisions about answers: which articles may be given, and the verdict by stated cost."""

from datetime import date
from typing import Literal, Protocol

Verdict = Literal["answer", "clarify", "unknown"]

COST_OF_WRONG_ANSWER = 3.0
"""A citizen who is told something wrong is worse off than one who waits for a person; unit: one person's time."""
COST_OF_ASKING_BACK = 0.35
COST_OF_ASKING_IN_VAIN = 1.6
"""Two or three questions to choose from and none is the right one: the citizen's time, and then a person's."""
COST_OF_PERSON = 1.0

CLARIFY_AMONG = 3
"""Articles to choose from at most: more can't be kept in mind on the telephone."""


class Dated(Protocol):
    """What has a state and dates of validity."""

    state: str
    valid_from: date | None
    valid_until: date | None


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
