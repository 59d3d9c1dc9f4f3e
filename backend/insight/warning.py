"""Early warning on the record: every hour the counts are looked at for bursts, every night for slow rises and new topics.
What is unusual becomes an alert, which people acknowledge, assign and close. warning_rules.py decides, this reads, writes.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any, Final, Literal

import numpy as np
import yaml
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from backend import outbox
from backend.cases.models import Case
from backend.cases.routing import UNSORTED_CATEGORY
from backend.city import city
from backend.clock import Clock, local
from backend.database import Database
from backend.directory.models import Staff
from backend.directory.rules import may_enter
from backend.errors import Refused
from backend.insight import warning_rules as rules
from backend.insight.figures import UNKNOWN, midnight, today
from backend.insight.models import Alert, AlertEvent, CaseCell, CaseFact, HotGroup, HotMember, Mark, Recipient, RiskHit
from backend.insight.names import Names
from backend.insight.rollups import SETTLES_IN, locked_mark
from backend.insight.warning_rules import Baseline, Episode, Signal
from backend.knowledge.masking import mask
from backend.settings import ROOT

NIGHT: Final = 3
"""The hour, China's time, from which slow rises are looked for."""
HOURS_OF: Final = timedelta(days=28)
"""From how many days the hours of a day are known."""
LEAST_DAYS: Final = rules.LEVEL_DAYS // 2
"""With fewer days behind it nothing is known to be unusual."""
CHART_DAYS: Final = 28
YOUNG: Final = timedelta(days=28)
"""A group that began so lately may be a new topic."""
RISK_AT_ONCE: Final = 2000
REASONS: Final = ("handled", "known", "false", "other")
"""Why an alert is closed: seen to, known already (planned works), a false alarm, or else."""
NOTE_LIMIT: Final = 500


@dataclass(frozen=True)
class Risk:
    """An entry of nlu_data/risk_words.yml."""

    code: str
    name: str
    name_en: str
    least: int
    expressions: re.Pattern[str]
    unless: re.Pattern[str]


@cache
def risks() -> dict[str, Risk]:
    """The risks by their codes."""
    entries = yaml.safe_load((ROOT / "nlu_data" / "risk_words.yml").read_text(encoding="utf-8"))
    return {
        one["risk"]: Risk(
            one["risk"],
            one["name"],
            one["name_en"],
            one["least"],
            re.compile("|".join(one["expressions"]), re.IGNORECASE),
            re.compile("|".join(one["unless"]), re.IGNORECASE),
        )
        for one in entries
    }


def risks_in(text: str) -> list[str]:
    """The codes of the risks that a text speaks of and doesn't deny. Pure."""
    found = []
    for risk in risks().values():
        covered = [match.span() for match in risk.unless.finditer(text)]
        spans = (match.span() for match in risk.expressions.finditer(text))
        if any(all(end <= start or stop <= begin for start, stop in covered) for begin, end in spans):
            found.append(risk.code)
    return found


# --- what the clock does ----------------------------------------------------------------------------------------------


def warn(database: Database, clock: Clock) -> None:
    """Once an hour, when the counts of the last whole hour are there, find what is unusual in them: what the clock does
    every minute."""
    now = clock()
    find_risks(database, now)
    at = now.replace(minute=0, second=0, microsecond=0)
    with database.read() as session:
        cases, done = session.get(Mark, "cases"), session.get(Mark, "warned")
        if cases is None or cases.note or cases.at is None or cases.at < at or (done and done.at and done.at >= at):
            return
        nightly = session.get(Mark, "warned_rises")
        tonight = local(at).hour >= NIGHT and not (nightly and nightly.at and today(nightly.at) == today(at))
        seen = look_at(session, at, tonight)
        grown = unusual_groups(session, at)
        topics = new_topics(session, at) if tonight else []
    with database.write() as session:
        mark = locked_mark(session, "warned")
        if mark.at and mark.at >= at:  # another worker was quicker
            return
        mark.at = at
        if tonight:
            locked_mark(session, "warned_rises").at = at
        for one in seen:
            raise_alerts(session, one, now)
        for group in grown:
            raise_of_group(session, group, now)
        for group in topics:
            raise_topic(session, group, now)


def find_risks(database: Database, now: datetime) -> None:
    """Put down which new cases speak of a risk."""
    with database.read() as session:
        mark = session.get(Mark, "risks")
        query = select(CaseFact.case_id, Case.what).join(Case, Case.id == CaseFact.case_id)
        ready = CaseFact.case_id > (mark.value if mark else 0), CaseFact.filed_at <= now - SETTLES_IN
        rows = session.execute(query.where(*ready).order_by(CaseFact.case_id).limit(RISK_AT_ONCE)).all()
    if not rows:
        return
    with database.write() as session:
        mark = locked_mark(session, "risks")
        for case_id, what in rows:
            if case_id > mark.value:
                session.add_all(RiskHit(case_id=case_id, risk=risk) for risk in risks_in(what))
        mark.value, mark.at = max(mark.value, rows[-1][0]), now


# --- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """The looks at one set of series: what its rows (categories, or risks) and columns (districts) are called, with "" for
    all together, and what is unusual."""

    rows: list[str]
    columns: list[str]
    of_risks: bool
    baseline: Baseline
    today: rules.Floats  # the cases of the day after the baseline's last one, so far
    first: date
    signals: list[Signal]
    limits: dict[rules.Kind, float]

    def episode(self, alert: Alert) -> Episode | None:
        """An alert as an episode of these series; None: it is of none of them."""
        row = alert.risk if self.of_risks else alert.category
        if bool(alert.risk) != self.of_risks or row not in self.rows or alert.district not in self.columns:
            return None
        kind: rules.Kind = "rise" if alert.kind == "rise" else "burst"
        return Episode(kind, self.rows.index(row), self.columns.index(alert.district), alert.last_at)

    def came(self, signal: Signal) -> int:
        """The cases of a signal as people count them: a rise is judged by days whose extremes are cut down."""
        if signal.look.kind == "burst":
            return signal.count
        days = self.baseline.raw[-(signal.look.hours // 24) :]
        return int(days[:, signal.category, signal.district].sum())

    def days(self, signal: Signal) -> list[list[Any]]:
        """Day, cases, expected, upper limit of the last days of a signal's series, and of today so far."""
        found = []
        here = signal.category, signal.district
        counts = [*self.baseline.raw, self.today]
        for number in range(max(len(counts) - CHART_DAYS, LEAST_DAYS), len(counts)):
            mean, width = self.baseline.expected(number, 1, "burst")
            usual, high = float(mean[here]), rules.upper_limit(float(mean[here]), float(width[here]))
            counted = int(counts[number][here])
            found.append([(self.first + timedelta(days=number)).isoformat(), counted, round(usual, 1), high])
        return found


def look_at(session: Session, at: datetime, tonight: bool) -> list[Seen]:
    """What is unusual in the hours before `at` and, at night, in the last weeks: by category and district, and by risk."""
    last_hour = at - timedelta(hours=1)
    day = today(last_hour)
    oldest = session.scalar(select(func.min(CaseCell.at)).where(CaseCell.grain == "d", CaseCell.filed > 0))
    first = max(oldest or day, day - timedelta(days=rules.HISTORY))
    days = (day - first).days
    if days < LEAST_DAYS:
        return []
    found = []
    begin = at - timedelta(hours=rules.BURST_HOURS[-1])
    for of_risks in (False, True):
        counted = daily(session, first, day, of_risks)
        lately = moments(session, begin, at, of_risks)
        known = moments(session, max(midnight(first), midnight(day) - HOURS_OF), midnight(day), of_risks)
        rows = (
            sorted(risks()) if of_risks else sorted({row for _, row, _, _ in counted} | {row for _, row, _ in lately})
        )
        columns = [*sorted({*city()["districts"], *(column for _, _, column, _ in counted)} - {UNKNOWN}), UNKNOWN]
        row_of, column_of = ({name: place for place, name in enumerate(names)} for names in (rows, columns))
        cube = np.zeros((days, len(rows), len(columns)))
        for on, row, column, number in counted:
            cube[(on - first).days, row_of[row], column_of[column]] += number
        recent = np.zeros((rules.BURST_HOURS[-1], len(rows), len(columns)))
        for moment, row, column in lately:
            if column in column_of:
                recent[int((moment - begin) / timedelta(hours=1)), row_of[row], column_of[column]] += 1
        by_hour = np.zeros((24, len(rows) + 1))
        for moment, row, _ in known:
            if row in row_of:
                by_hour[local(moment).hour, row_of[row] + 1] += 1
        by_hour[:, 0] = by_hour[:, 1:].sum(axis=1)
        baseline = rules.make_baseline(rules.with_sums(cube), first, by_hour)
        series = (len(rows) + 1) * (len(columns) + 1)
        limits: dict[rules.Kind, float] = {kind: rules.threshold(kind, series) for kind in rules.BUDGETS}
        looks = list(rules.bursts(baseline, rules.with_sums(recent), at, local(last_hour).hour))
        if tonight and day == today(at):
            looks += rules.rises(baseline, midnight(day))
        least = {place + 1: risks()[name].least for place, name in enumerate(rows)} if of_risks else {}
        signals = [one for look in looks for one in rules.unusual(look, limits[look.kind], least)]
        so_far = rules.with_sums(recent)[-local(last_hour).hour - 1 :].sum(axis=0)
        found.append(Seen(["", *rows], ["", *columns], of_risks, baseline, so_far, first, signals, limits))
    return found


def daily(session: Session, first: date, until: date, of_risks: bool) -> list[tuple[date, str, str, int]]:
    """Cases filed on each of the days by category (or risk) and district."""
    if of_risks:
        counts = Counter(
            (today(moment), risk, district)
            for moment, risk, district in moments(session, midnight(first), midnight(until), True)
        )
        return [(*key, number) for key, number in counts.items()]
    columns = CaseCell.at, CaseCell.category, CaseCell.district
    within = CaseCell.grain == "d", CaseCell.at >= first, CaseCell.at < until, CaseCell.filed > 0
    rows = session.execute(select(*columns, func.sum(CaseCell.filed)).where(*within).group_by(*columns))
    return [(at, category, district or UNKNOWN, int(number)) for at, category, district, number in rows]


def moments(session: Session, since: datetime, until: datetime, of_risks: bool) -> list[tuple[datetime, str, str]]:
    """When each case was filed, with its category (or risk) and district."""
    within = CaseFact.filed_at >= since, CaseFact.filed_at < until
    if of_risks:
        query = select(CaseFact.filed_at, RiskHit.risk, CaseFact.district)
        query = query.join(RiskHit, RiskHit.case_id == CaseFact.case_id).where(RiskHit.risk.in_(risks()))
    else:
        query = select(CaseFact.filed_at, CaseFact.category, CaseFact.district)
    return [(at, row, district or UNKNOWN) for at, row, district in session.execute(query.where(*within))]


@dataclass(frozen=True)
class Grown:
    """A group of hot issues that has grown: its cases of the time since, what most of them are about and where."""

    group_id: int
    since: datetime
    at: datetime
    count: int
    expected: float
    p: float
    category: str
    district: str


def unusual_groups(session: Session, at: datetime) -> list[Grown]:
    """The groups that got more cases in the last hours than such groups get by chance."""
    since, begin = at - timedelta(days=1), at - timedelta(days=1 + rules.LEVEL_DAYS)
    whole = [HotGroup.merged_into_id.is_(None), HotGroup.last_at >= begin]
    groups = session.scalar(select(func.count()).select_from(HotGroup).where(*whole)) or 0
    counts: dict[int, dict[int, int]] = {}
    for hours in rules.BURST_HOURS:
        for group_id, categories, _ in members(session, at - timedelta(hours=hours), at):
            counts.setdefault(group_id, {})[hours] = sum(categories.values())
    found = []
    for group_id, categories, districts in members(session, since, at):
        within = CaseFact.filed_at >= begin, CaseFact.filed_at < since, HotMember.group_id == group_id
        query = select(func.count()).select_from(HotMember).join(CaseFact, CaseFact.case_id == HotMember.case_id)
        before = session.scalar(query.where(*within)) or 0
        days = (since - session.get_one(HotGroup, group_id).first_at) / timedelta(days=1)
        if unusual := rules.of_group(counts[group_id], before, days, groups):
            p, hours = unusual
            main = categories.most_common(1)[0][0], districts.most_common(1)[0][0]
            count, expected = counts[group_id][hours], rules.level_of_group(before, days, hours)
            found.append(Grown(group_id, at - timedelta(hours=hours), at, count, expected, p, *main))
    return found


def new_topics(session: Session, at: datetime) -> list[Grown]:
    """The young groups whose cases fit no category."""
    known = members(session, at - timedelta(days=rules.LEVEL_DAYS), at)
    usual = rules.usual_sorting([categories for _, categories, _ in known], UNSORTED_CATEGORY)
    first = select(HotGroup.id, HotGroup.first_at).where(HotGroup.first_at >= at - YOUNG)
    began = {group_id: first_at for group_id, first_at in session.execute(first)}
    young = [one for one in known if one[0] in began]
    found = []
    for group_id, categories, districts in young:
        p = rules.of_topic(categories, UNSORTED_CATEGORY, usual, len(young))
        if p is not None:
            where = districts.most_common(1)[0][0]
            found.append(Grown(group_id, began[group_id], at, sum(categories.values()), 0.0, p, "", where))
    return found


def members(session: Session, since: datetime, until: datetime) -> list[tuple[int, Counter[str], Counter[str]]]:
    """The groups that got LEAST cases or more in this time, with the categories and districts of those."""
    columns = HotMember.group_id, CaseFact.category, CaseFact.district, func.count()
    query = select(*columns).join(CaseFact, CaseFact.case_id == HotMember.case_id)
    within = CaseFact.filed_at >= since, CaseFact.filed_at < until
    categories: dict[int, Counter[str]] = {}
    districts: dict[int, Counter[str]] = {}
    for group_id, category, district, number in session.execute(query.where(*within).group_by(*columns[:3])):
        categories.setdefault(group_id, Counter())[category] += number
        districts.setdefault(group_id, Counter())[district or UNKNOWN] += number
    least = rules.LEAST["burst"]
    return [(one, some, districts[one]) for one, some in categories.items() if sum(some.values()) >= least]


# --- raising ----------------------------------------------------------------------------------------------------------


def raise_alerts(session: Session, seen: Seen, now: datetime) -> None:
    """Make alerts of what is new, and note further signs of what was warned of."""
    alerts = [(alert, seen.episode(alert)) for alert in lately(session, now)]
    known = [episode for _, episode in alerts if episode]
    raised: dict[Episode, Alert] = {episode: alert for alert, episode in alerts if episode}
    for signal, episode in rules.sort_out(seen.signals, known, seen.limits):
        if episode is None:
            row, column = seen.rows[signal.category], seen.columns[signal.district]
            look = signal.look
            alert = Alert(
                kind=look.kind, category="" if seen.of_risks else row, district=column,
                risk=row if seen.of_risks else "", since=signal.since, raised_at=now, last_at=look.at,
                hours=look.hours, count=seen.came(signal), expected=round(signal.expected, 2), p=signal.p,
                days=seen.days(signal),
            )  # fmt: skip
            raised[Episode(look.kind, signal.category, signal.district, look.at)] = alert
            add(session, alert, now)
            continue
        alert = raised[episode]
        alert.last_at = max(alert.last_at, signal.look.at)
        if (episode.category, episode.district) == (signal.category, signal.district) and signal.p <= alert.p:
            alert.hours, alert.count, alert.p = signal.look.hours, seen.came(signal), signal.p
            alert.expected, alert.since = round(signal.expected, 2), min(alert.since, signal.since)


def raise_of_group(session: Session, grown: Grown, now: datetime) -> None:
    """Make an alert of a group that is more unusual than most that were, unless something was warned of that its cases are
    part of: then that names the group."""
    limit = note_sign(session, grown)
    for alert in lately(session, now):
        of_category = alert.category in ("", grown.category) and alert.district in ("", grown.district)
        if alert.group_id == grown.group_id or (of_category and not alert.risk and alert.group_id is None):
            alert.group_id, alert.last_at = grown.group_id, max(alert.last_at, grown.at)
            return
    if grown.p < limit:
        add_of_group(session, "burst", grown, now)


def note_sign(session: Session, grown: Grown) -> float:
    """Put down that a group is unusual, and return the limit that the signs of other groups set for it."""
    group = session.get_one(HotGroup, grown.group_id)
    first = session.scalar(select(func.min(HotGroup.sign_at)))
    weeks = min((grown.at - first) / timedelta(weeks=1), rules.SIGN_WEEKS) if first else 0.0
    since = grown.at - timedelta(weeks=rules.SIGN_WEEKS)
    others = select(HotGroup.sign_p).where(HotGroup.sign_at >= since, HotGroup.id != group.id)
    signs = [p for p in session.scalars(others) if p is not None]
    goes_on = group.sign_last_at is not None and grown.at - group.sign_last_at <= rules.QUIET["rise"]
    if goes_on and group.sign_p is not None:
        group.sign_p = min(group.sign_p, grown.p)
    else:
        group.sign_at, group.sign_p = grown.at, grown.p
    group.sign_last_at = grown.at
    return rules.limit_of_groups(signs, weeks)


def raise_topic(session: Session, grown: Grown, now: datetime) -> None:
    """Make an alert of a new topic, once."""
    if session.scalar(select(Alert.id).where(Alert.group_id == grown.group_id).limit(1)) is None:
        add_of_group(session, "topic", grown, now)


def add_of_group(session: Session, kind: str, grown: Grown, now: datetime) -> None:
    """A new alert of a group."""
    add(
        session,
        Alert(
            kind=kind, category=grown.category, district=grown.district, group_id=grown.group_id, since=grown.since,
            raised_at=now, last_at=grown.at, hours=round((grown.at - grown.since) / timedelta(hours=1)),
            count=grown.count, expected=round(grown.expected, 2), p=grown.p, days=[], risk="",
        ),
        now,
    )  # fmt: skip


def add(session: Session, alert: Alert, now: datetime) -> None:
    """Put a new alert down, and into the outbox for who gets them by e-mail."""
    session.add(alert)
    session.flush()
    for one in session.scalars(select(Recipient).where(Recipient.kind == "alert")):
        body = {"alert": alert.id, "locale": one.locale}
        outbox.put(session, f"alert:{alert.id}:{one.id}", "email", one.address, body, now)


def lately(session: Session, now: datetime) -> list[Alert]:
    """The alerts that gave a sign so lately that a further one may be of the same thing."""
    longest = max(rules.QUIET.values())
    return list(session.scalars(select(Alert).where(Alert.last_at >= now - longest).order_by(Alert.id.desc())))


# --- for people -------------------------------------------------------------------------------------------------------

State = Literal["open", "acknowledged", "closed"]


def alerts(session: Session, state: str, limit: int = 100) -> list[Alert]:
    """Alerts of a state ("": all that are not closed), newest first."""
    query = select(Alert).where(Alert.state == state if state else Alert.state != "closed")
    return list(session.scalars(query.order_by(Alert.raised_at.desc(), Alert.id.desc()).limit(limit)))


def find(session: Session, alert_id: int, kept: bool = False) -> Alert:
    """An alert; `kept` from others until this transaction ends. Raises Refused (404)."""
    alert = session.get(Alert, alert_id, with_for_update=kept)
    if alert is None:
        raise Refused("not_found", 404)
    return alert


def history(session: Session, alert: Alert) -> list[AlertEvent]:
    """What people did to it, in order."""
    return list(session.scalars(select(AlertEvent).where(AlertEvent.alert_id == alert.id).order_by(AlertEvent.id)))


def cases_of(session: Session, alert: Alert, limit: int = 50) -> list[tuple[CaseFact, Case, str]]:
    """The cases that an alert is of, newest first, what they say masked."""
    query = select(CaseFact, Case).join(Case, Case.id == CaseFact.case_id)
    if alert.risk:
        query = query.join(RiskHit, RiskHit.case_id == CaseFact.case_id).where(RiskHit.risk == alert.risk)
    if alert.group_id is not None and not alert.days:
        query = query.join(HotMember, HotMember.case_id == CaseFact.case_id)
        query = query.where(HotMember.group_id == alert.group_id)
    elif alert.category:
        query = query.where(CaseFact.category == alert.category)
    if alert.district and not (alert.group_id is not None and not alert.days):
        query = query.where(CaseFact.district == ("" if alert.district == UNKNOWN else alert.district))
    within = CaseFact.filed_at >= alert.since, CaseFact.filed_at < alert.last_at
    rows = session.execute(
        query.where(*within).order_by(CaseFact.filed_at.desc(), CaseFact.case_id.desc()).limit(limit)
    )
    return [(fact, case, "" if case.confidential else mask(case.what)) for fact, case in rows]


def subject(alert: Alert, called: Names, everywhere: str, everything: str, group: str = "") -> str:
    """What an alert is of and where: district, and category, risk or the name of its group. Nothing of any citizen."""
    where = called.of("district", alert.district) if alert.district else everywhere
    if alert.risk:
        risk = risks().get(alert.risk)
        what = alert.risk if risk is None else risk.name_en if called.english else risk.name
    elif alert.category:
        what = called.of("category", alert.category)
    else:
        what = group or everything
    return f"{where} · {what}"


def assignees(session: Session) -> list[Staff]:
    """Whom an alert can be given to: who may open it."""
    staff = session.scalars(select(Staff).where(Staff.left_at.is_(None)).order_by(Staff.name))
    return [one for one in staff if may_enter(one.role, "insight")]


def acknowledge(session: Session, alert_id: int, staff_id: int, now: datetime) -> None:
    """Somebody has seen it. Raises Refused for one that is closed; twice is once."""
    alert = still_open(session, alert_id)
    if alert.state == "open":
        alert.state = "acknowledged"
        note(session, alert, "acknowledged", staff_id, now)


def assign(session: Session, alert_id: int, to_id: int | None, staff_id: int, now: datetime) -> None:
    """Give it to somebody, which acknowledges it. Raises Refused for who may not open it."""
    alert = still_open(session, alert_id)
    if to_id not in {one.id for one in assignees(session)}:
        raise Refused("bad_request")
    alert.assigned_to_id, alert.state = to_id, "acknowledged"
    note(session, alert, "assigned", staff_id, now, to_id=to_id)


def close(session: Session, alert_id: int, reason: str, words: str, staff_id: int, now: datetime) -> None:
    """End it with a reason. Raises Refused for none."""
    alert = still_open(session, alert_id)
    if reason not in REASONS:
        raise Refused("bad_request")
    alert.state, alert.reason = "closed", reason
    note(session, alert, "closed", staff_id, now, words=words[:NOTE_LIMIT])


def still_open(session: Session, alert_id: int) -> Alert:
    """An alert that is not closed, kept from others until this transaction ends. Raises Refused."""
    alert = find(session, alert_id, kept=True)
    if alert.state == "closed":
        raise Refused("alert_closed", 409)
    return alert


def note(
    session: Session, alert: Alert, act: str, staff_id: int, now: datetime, to_id: int | None = None, words: str = ""
) -> None:
    """A row of an alert's history."""
    session.add(AlertEvent(alert_id=alert.id, act=act, staff_id=staff_id, to_id=to_id, note=words, at=now))


def in_vain(closed: Iterable[Alert]) -> tuple[int, int]:
    """Of closed alerts, how many were false alarms, and how many there are."""
    reasons = [one.reason for one in closed]
    return reasons.count("false"), len(reasons)
