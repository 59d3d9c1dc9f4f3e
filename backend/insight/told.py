"""What hot issues are made of: new cases, and conversations that became none, as texts with their place and time.

A conversation is read once, some minutes after it was closed. What counts of it is what the citizen asked or reported,
answered or not; of that nothing is kept but its group, place, category and channel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, zip_longest
from typing import Final

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from backend.cases.models import Case, Repeat
from backend.cases.places import Place, gazetteer
from backend.conversations.draft import matters
from backend.conversations.models import Conversation, Turn
from backend.conversations.summary import telling
from backend.insight.models import CaseFact, HotMember, HotTalk, Mark
from backend.insight.rollups import SETTLES_IN
from backend.insight.words import terms

AT_ONCE: Final = 200
TALKS_SINCE: Final = timedelta(days=90)
"""Where no conversation was read before, those that ended so lately are."""
ABOUT: Final = ("answer", "clarify", "unknown", "ask", "confirm")
"""What the bot does when a citizen has asked or reported something."""


@dataclass(frozen=True)
class Told:
    """What a case or a conversation says, where, when, and the row by which it is kept."""

    text: str
    place: Place
    at: datetime
    member: HotMember | HotTalk

    @property
    def number(self) -> int:
        """By which those of its kind are read on from."""
        return self.member.case_id if isinstance(self.member, HotMember) else self.member.id


def place_of(case: Case) -> Place:
    """Where a case is by its own words; the agency that it went to doesn't say."""
    return gazetteer().find(f"{case.place} {case.what}")


def new_cases(session: Session, mark: Mark | None, now: datetime) -> tuple[list[Told], datetime]:
    """The next cases to be grouped, in the order of their ids (none while the counts are made anew), and up to when."""
    counted = session.get(Mark, "cases")
    if counted is None or counted.note:
        return [], now
    query = select(Case).join(CaseFact, Case.id == CaseFact.case_id)
    ready = CaseFact.case_id > (mark.value if mark else 0), CaseFact.filed_at <= now - SETTLES_IN
    cases = session.scalars(query.where(*ready).order_by(CaseFact.case_id).limit(AT_ONCE))
    return [Told(one.what, place_of(one), one.filed_at, HotMember(case_id=one.id)) for one in cases], now


def new_talks(session: Session, mark: Mark | None, now: datetime) -> tuple[list[Told], datetime]:
    """The next conversations that have ended and became no case, in the order of their ends, and up to when. The text of
    one in which nothing was asked or reported is empty."""
    since = mark.at if mark and mark.at else now - TALKS_SINCE
    ended = Conversation.closed_at >= since, Conversation.closed_at <= now - SETTLES_IN
    unread = [~exists().where(table.conversation_id == Conversation.id) for table in (Case, Repeat, HotTalk)]
    query = select(Conversation).where(*ended, *unread)
    talks = list(session.scalars(query.order_by(Conversation.closed_at, Conversation.id).limit(AT_ONCE)))
    said = texts_of(session, [one.id for one in talks])
    found = []
    for one in talks:
        text = said.get(one.id, "")
        place = gazetteer().find(text)
        member = HotTalk(
            conversation_id=one.id, at=one.started_at, district=place.district, community=place.community,
            category=one.skill, channel=one.channel,
        )  # fmt: skip
        found.append(Told(text, place, one.started_at, member))
    return found, max((one.closed_at for one in talks if one.closed_at), default=since)


def texts_of(session: Session, ids: Sequence[str]) -> dict[str, str]:
    """What citizens asked or reported in these conversations; nothing for one in which nobody did."""
    turns = session.scalars(
        select(Turn).where(Turn.conversation_id.in_(ids)).order_by(Turn.conversation_id, Turn.number)
    )
    found = {number: telling(asked(list(some))) for number, some in groupby(turns, lambda one: one.conversation_id)}
    return {number: text for number, text in found.items() if terms(text, places=False)}


def asked(turns: Sequence[Turn]) -> list[str]:
    """What the citizen asked or reported, by what the bot made of it; with a person all that was said. Pure."""
    told = set(matters(turns))
    return [
        turn.text
        for turn, after in zip_longest(turns, turns[1:])
        if turn.speaker == "citizen"
        and turn.text in told
        and (after is None or after.speaker != "bot" or after.act in ABOUT)
    ]


def members_told(session: Session, group_id: int, limit: int) -> list[Told]:
    """The newest members of a group, so many of cases and of conversations at most."""
    of_cases = select(Case, HotMember).join(HotMember, HotMember.case_id == Case.id)
    cases = session.execute(of_cases.where(HotMember.group_id == group_id).order_by(Case.id.desc()).limit(limit))
    found = [Told(case.what, place_of(case), case.filed_at, member) for case, member in cases]
    talks = list(
        session.scalars(
            select(HotTalk)
            .where(HotTalk.group_id == group_id)
            .order_by(HotTalk.at.desc(), HotTalk.id.desc())
            .limit(limit)
        )
    )
    said = texts_of(session, [one.conversation_id for one in talks])
    for one in talks:
        place = Place(district=one.district, community=one.community)
        found.append(Told(said.get(one.conversation_id, ""), place, one.at, one))
    return found
