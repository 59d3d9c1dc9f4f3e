"""What the knowledge lacks, for its editors: groups of questions without a good answer, and what came of the answers."""

from datetime import timedelta
from typing import Final

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.cases.routing import propose
from backend.console.forms import field
from backend.console.log_in import allowed, me
from backend.console.people import staff_names
from backend.conversations.outcomes import outcomes
from backend.directory.known import known_agencies
from backend.directory.models import Staff
from backend.errors import Refused
from backend.knowledge import gaps
from backend.knowledge.masking import mask
from backend.knowledge.models import Article
from backend.locale import current_locale
from backend.parts import parts

PERIODS: Final = {7: lazy_gettext("近 7 天"), 28: lazy_gettext("近 28 天"), 90: lazy_gettext("近 90 天")}
"""Days -> what the choice is called."""
REASONS: Final = {"": lazy_gettext("全部"), "unknown": lazy_gettext("没有答案"), "unsolved": lazy_gettext("没解决")}
STATES: Final = {"open": lazy_gettext("待处理"), "drafted": lazy_gettext("已起草"), "dismissed": lazy_gettext("已搁置")}


@allowed("knowledge")
def list_groups() -> ResponseReturnValue:
    """The groups, most asked first; gaps that have no group yet are put into one now."""
    shared = parts()
    now, days = shared.clock(), period()
    state, reason = choice("state", STATES, "open"), choice("reason", REASONS, "")
    gaps.group_new(shared.database, shared.embedder, now)
    with shared.database.read() as session:
        return render_template(
            "console/gaps/list.html",
            groups=gaps.groups(session, now, days, state, reason),
            waiting=gaps.waiting(session),
            days=days,
            state=state,
            reason=reason,
            periods=PERIODS,
            reasons=REASONS,
            states=STATES,
            now=now,
        )


@allowed("knowledge")
def show_group(group_id: int) -> ResponseReturnValue:
    """One group with its questions."""
    return page(group_id)


def page(group_id: int, refused: Refused | None = None) -> ResponseReturnValue:
    """The page of a group, after a refusal with its sentence."""
    now = parts().clock()
    with parts().database.read() as session:
        group = gaps.get_group(session, group_id)
        asked = gaps.questions(session, group_id)
        html = render_template(
            "console/gaps/group.html",
            group=group,
            questions=asked,
            ways=gaps.ways_of(asked),
            for_draft=gaps.ways_for_draft(asked),
            daily=gaps.by_day([gap.asked_at for gap in asked], now),
            titles=article_titles(session, {group.article_id, *(gap.article_id for gap in asked)}),
            decided_by=staff_names(session, [group.decided_by_id]).get(group.decided_by_id or 0, ""),
            mask=mask,
            reasons=REASONS,
            states=STATES,
            reason_limit=gaps.REASON_LIMIT,
            typed=request.form.get("reason", ""),
            refusal=refused.sentence(current_locale()) if refused else None,
            now=now,
            here=url_for("console.gap", group_id=group_id),
        )
    return html, refused.status if refused else 200


@allowed("knowledge")
def draft(group_id: int) -> ResponseReturnValue:
    """Make a draft of the group; the nearest article proposes category and agency."""
    shared, now = parts(), parts().clock()
    with shared.database.read() as session:  # searching may keep new vectors, which must not wait for a writer of ours
        gaps.get_group(session, group_id)
        title = gaps.ways_of(gaps.questions(session, group_id))[0].text
        found = shared.knowledge.search(session, title, now)
        nearest = next(((one.category_code, one.agency_code) for one, _ in found.articles if one.agency_code), None)
        proposal = propose(nearest, found.first_is_right, "", known_agencies(session))
    try:
        with shared.database.write() as session:
            author = session.get_one(Staff, me().id)
            made = gaps.draft(session, group_id, proposal.agency, proposal.category, author, now)
    except Refused as refused:
        return page_with(refused, group_id)
    return redirect(url_for("console.article", article_id=made.id))


@allowed("knowledge")
def dismiss(group_id: int) -> ResponseReturnValue:
    """Take the group off the list."""
    try:
        with parts().database.write() as session:
            gaps.dismiss(session, group_id, field("reason"), session.get_one(Staff, me().id), parts().clock())
    except Refused as refused:
        return page_with(refused, group_id)
    return redirect(url_for("console.gaps"))


@allowed("knowledge")
def reopen(group_id: int) -> ResponseReturnValue:
    """Put the group back on the list."""
    try:
        with parts().database.write() as session:
            gaps.reopen(session, group_id, session.get_one(Staff, me().id), parts().clock())
    except Refused as refused:
        return page_with(refused, group_id)
    return redirect(url_for("console.gap", group_id=group_id))


@allowed("knowledge")
def list_outcomes() -> ResponseReturnValue:
    """What came of the answers, worst first."""
    shared = parts()
    now, days = shared.clock(), period()
    with shared.database.read() as session:
        found = outcomes(session, now - timedelta(days=days), now)
        titles = article_titles(session, {one.article_id for one in found})
    return render_template("console/gaps/outcomes.html", outcomes=found, titles=titles, days=days, periods=PERIODS)


def page_with(refused: Refused, group_id: int) -> ResponseReturnValue:
    """The page with the sentence of a refusal; without a group there is no page to put it on."""
    if refused.status == 404:
        raise refused
    return page(group_id, refused)


def period() -> int:
    """The days that ?days= asks for."""
    days = request.args.get("days", default=28, type=int)
    return days if days in PERIODS else 28


def choice(name: str, among: dict[str, str], otherwise: str) -> str:
    """What the address chooses by this name."""
    chosen = request.args.get(name, otherwise)
    return chosen if chosen in among else otherwise


def article_titles(session: Session, ids: set[str | None]) -> dict[str, str]:
    """What the articles with these ids are called, and those passages of documents that are still answers."""
    shared = parts()
    found = session.execute(select(Article.id, Article.question).where(Article.id.in_(ids)))
    titles = {article_id: question for article_id, question in found}
    for missing in filter(None, ids - titles.keys()):
        answerable = shared.knowledge.article(session, missing, shared.clock())
        if answerable:
            titles[missing] = answerable.question
    return titles
