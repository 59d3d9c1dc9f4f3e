"""A year of invented cases, so that pages about many of them can be looked at: `python -m backend.insight.sample_year`.

Nothing in it happened: the matters are those of nlu_data/sample_matters.csv at the places of the example city, chosen
by a seeded chance with seasons, weekdays and hours, and with a few days on which something breaks. Each case has gone
through acts that the table of cases/rules.py allows. In production it is refused.
"""

import argparse
import csv
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import accumulate, islice
from random import Random
from typing import Any, Final

from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.orm import Session

from backend.cases.models import Case, CaseCounter, CaseEvent, Visit
from backend.cases.numbers import make_number
from backend.cases.rules import FINAL_STATES, RULES
from backend.clock import CHINA, utc_now
from backend.conversations.models import Conversation, Turn
from backend.database import Database
from backend.directory.models import Agency, Category
from backend.encryption import lookup_hash
from backend.insight.rollups import rebuild
from backend.settings import ROOT, load_settings

KEY: Final = "sample:"
"""How the filing key of an invented case begins."""
HOURS: Final = (4, 2, 2, 1, 1, 3, 10, 28, 62, 85, 88, 76, 52, 50, 66, 74, 72, 64, 50, 42, 36, 28, 18, 9)
"""How often somebody calls at each hour, China's time."""
WEEKDAYS: Final = (1.15, 1.1, 1.05, 1.05, 1.0, 0.72, 0.66)
CHANNELS: Final = {"phone": 68, "chat": 22, "operator": 6, "api": 4}
PERIODS: Final = {
    "emergency": timedelta(hours=2),
    "urgent": timedelta(hours=24),
    "normal": timedelta(days=7),
    "complex": timedelta(days=15),
}
"""Beijing's (nlu_data/deadlines.yml), by urgency alone."""
DAYS_OF_TROUBLE: Final = (
    ("UT-HEAT", 0.045, 3, 9.0),
    ("UT-WATER", 0.31, 2, 14.0),
    ("UT-POWER", 0.62, 4, 10.0),
    ("ED-ENROL", 0.68, 9, 6.0),
    ("EN-AIR", 0.86, 6, 8.0),
    ("UT-HEAT", 0.975, 6, 5.0),
)
"""What breaks, when (share of the period), for how many days, and how many times as often it is then reported from one
district."""

Row = dict[str, Any]


@dataclass
class Rows:
    """What one case puts into the tables."""

    case: Row
    events: list[Row] = field(default_factory=list)
    visits: list[Row] = field(default_factory=list)
    conversation: Row | None = None
    turns: list[Row] = field(default_factory=list)


class City:
    """What cases can be about, where, and who answers for them."""

    def __init__(self, categories: Iterable[Category], agencies: Iterable[Agency]) -> None:
        self.city_agency = {one.code: one.agency_code for one in categories if one.agency_code}
        self.local = {(one.parent_code, one.district): one.code for one in agencies if one.level == 2}
        with (ROOT / "nlu_data" / "sample_matters.csv").open(encoding="utf-8", newline="") as file:
            matters = [row for row in csv.DictReader(file) if row["category"] in self.city_agency]
        with (ROOT / "nlu_data" / "places.csv").open(encoding="utf-8", newline="") as file:
            places = [row for row in csv.DictReader(file) if row["community"]]
        self.places: dict[str, list[str]] = defaultdict(list)
        for row in places:
            self.places[row["district"]].append(row["district"] + row["street"] + row["community"])
        self.districts = sorted(self.places, key=lambda name: -len(self.places[name]))
        self.matters: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for row in matters:
            self.matters[row["category"]].append((row["season"], row["text"]))
        self.common = {code: 12 / (place + 3) for place, code in enumerate(self.matters)}

    def agency(self, category: str, district: str) -> str:
        """Who works cases of this category in this district."""
        at_city = self.city_agency[category]
        return self.local.get((at_city, district)) or str(at_city)


class Invention:
    """A stream of invented cases in the order of their filing; the same seed gives the same ones."""

    def __init__(self, city: City, seed: int, since: date, days: int, count: int, until: datetime) -> None:
        self.city, self.random = city, Random(seed)
        self.since, self.days, self.count, self.until = since, days, count, until
        self.troubled = {
            (category, round(at * days) + day): (self.random.choice(city.districts), times)
            for category, at, length, times in DAYS_OF_TROUBLE
            for day in range(length)
        }
        self.diligence = {code: self.random.uniform(0.55, 1.5) for code in sorted(city.local.values())}

    def filings(self) -> Iterator[tuple[datetime, str, str]]:
        """Moment, category, district of each filing."""
        weights = [WEEKDAYS[(self.since + timedelta(days=day)).weekday()] for day in range(self.days)]
        per_day = [self.count * weight / sum(weights) for weight in weights]
        owed = 0.0
        for day, expected in enumerate(per_day):
            owed += expected * self.random.uniform(0.85, 1.15)
            codes = list(self.city.common)
            today = self.since + timedelta(days=day)
            each = [self.city.common[code] * self.season(code, today) for code in codes]
            usual = sum(each)
            each = [one * self.troubled.get((code, day), ("", 1.0))[1] for code, one in zip(codes, each, strict=True)]
            number = round(owed * sum(each) / usual)
            owed -= owed
            cumulated, hours = list(accumulate(each)), list(accumulate(HOURS))
            midnight = datetime.combine(today, time(), CHINA).astimezone(UTC)
            moments = sorted(
                midnight
                + timedelta(
                    hours=self.random.choices(range(24), cum_weights=hours)[0], seconds=self.random.random() * 3600
                )
                for _ in range(number)
            )
            for moment, code in zip(moments, self.random.choices(codes, cum_weights=cumulated, k=number), strict=True):
                where, times = self.troubled.get((code, day), ("", 1.0))
                place = min(int(self.random.expovariate(0.45)), len(self.city.districts) - 1)
                here = where if where and self.random.random() < 1 - 1 / times else self.city.districts[place]
                yield moment, code, here

    @staticmethod
    def season(category: str, day: date) -> float:
        """How much more often than on average this is reported on this day of the year."""
        cold = 0.5 + 0.5 * math.cos((day.timetuple().tm_yday - 15) / 365 * 2 * math.pi)
        if category == "UT-HEAT":
            return 0.05 + 4 * cold**3
        if category in ("UT-POWER", "EN-NOISE", "EN-AIR", "EN-WASTE", "CM-STALL"):
            return 0.6 + 1.2 * (1 - cold)
        return 3.0 if category == "ED-ENROL" and day.month in (6, 7, 8) else 1.0

    def cases(self, first_id: int, first_serial: dict[int, int], first_event: int) -> Iterator[Rows]:
        """The cases with all that has happened to them until `until`."""
        serials, event_id = dict(first_serial), first_event
        for number, (filed_at, category, district) in enumerate(self.filings()):
            if filed_at >= self.until:
                return
            year = filed_at.astimezone(CHINA).year
            serials[year] = serials.get(year, 0) + 1
            rows = self.one(first_id + number, make_number(year, serials[year]), filed_at, category, district)
            for event in rows.events:
                event["id"] = event_id
                event_id += 1
            yield rows

    def one(self, case_id: int, number: str, filed_at: datetime, category: str, district: str) -> Rows:
        """One case."""
        chance = self.random
        season = "winter" if filed_at.month in (11, 12, 1, 2, 3) else "summer" if filed_at.month in (6, 7, 8) else "all"
        texts = [words for when, words in self.city.matters[category] if when in ("all", season)]
        place = f"{chance.choice(self.city.places[district])}{chance.randint(1, 30)}号楼"
        agency = self.city.agency(category, district)
        channel = chance.choices(list(CHANNELS), weights=list(CHANNELS.values()))[0]
        urgency = chance.choices(list(PERIODS), weights=(1, 8, 86, 5))[0]
        case: Row = {
            "id": case_id, "number": number, "state": "filed", "version": 1, "channel": channel, "locale": "zh",
            "conversation_id": None, "filing_key": f"{KEY}{number}", "place": place, "district": district, "since": "",
            "contact": None, "contact_hash": None,
            "what": chance.choice(texts or [self.city.matters[category][0][1]]).format(place=place.split("号楼")[0]),
            "confidential": False, "kind": chance.choice(("request", "complaint", "complaint", "consult", "suggestion")),
            "urgency": urgency, "category_code": category, "agency_code": agency, "responsible_code": None,
            "certainty": round(chance.uniform(0.4, 0.99), 3), "filed_at": filed_at, "profile": "beijing",
            "due_at": filed_at + PERIODS[urgency], "step_since": filed_at, "mark": "", "next_mark_at": None,
            "send_backs": 0, "redos": 0, "repeats": 0, "visit_tries": 0, "merged_into_id": None,
        }  # fmt: skip
        rows = Rows(case)
        self.event(rows, "file", "bot" if channel in ("phone", "chat") else "operator", filed_at, {})
        if channel in ("phone", "chat"):
            self.talk(rows, filed_at)
        self.live(rows)
        ended = case["state"] in FINAL_STATES
        case["step_due_at"] = None if ended else max(case["due_at"], case["step_since"] + timedelta(hours=24))
        if ended and chance.random() < 0.9:  # nobody calls or writes to whom nothing is to be asked of any more
            case["contact"] = f"+86100{chance.randrange(self.count // 2 + 1):08d}"  # numbers that no telephone has
            case["contact_hash"] = lookup_hash(case["contact"])
        return rows

    def live(self, rows: Rows) -> None:
        """Let the case go through its life until it ends, or now."""
        chance, case = self.random, rows.case
        at: datetime = case["filed_at"]
        fate = chance.random()

        def later(mean_hours: float) -> datetime:
            nonlocal at
            at += timedelta(hours=mean_hours * chance.lognormvariate(-0.3, 0.8))
            return at

        def act(name: str, role: str, mean_hours: float, **details: Any) -> bool:
            return self.act(rows, name, role, later(mean_hours), details)

        if fate < 0.03 and act("decline", "dispatcher", 3, note="不属于热线受理范围"):
            return
        if 0.03 <= fate < 0.04 and act("transfer", "operator", 1, route="court"):
            return
        if 0.04 <= fate < 0.05 and act("withdraw", "citizen", 6):
            return
        if not act("accept", "operator", 0.2):
            return
        on_the_spot = fate < 0.14
        replied = act("answer", "operator", 0.1, note="已当场答复") if on_the_spot else self.hand_over(rows, act)
        while replied and self.ask(rows, act):
            replied = act("redo", "reviewer", 8, note="市民反映没有解决") and act(
                "reply", "agency", 40, note="已再次处理"
            )

    def hand_over(self, rows: Rows, act: Callable[..., bool]) -> bool:
        """From the dispatcher to the agency's reply; whether there is one yet."""
        case, chance = rows.case, self.random
        agency = case["agency_code"]
        if not act("dispatch", "dispatcher", 0.8, agency=agency):
            return False
        case["responsible_code"] = agency
        if chance.random() < 0.04:
            other = chance.choice(sorted(self.city.local.values()))
            if other != agency:
                if not act("send_back", "agency", 6, agency=other, note="不属于本单位职责", by=agency):
                    return False
                case["send_backs"] = 1
                if not act("dispatch", "dispatcher", 3, agency=other):
                    return False
                case["agency_code"] = case["responsible_code"] = other
        mean = PERIODS[case["urgency"]].total_seconds() / 3600 * 0.36 * self.diligence.get(case["agency_code"], 1.0)
        return act("sign", "agency", 2.5) and act("reply", "agency", mean, note="已现场处理")

    def ask(self, rows: Rows, act: Callable[..., bool]) -> bool:
        """The return visit; whether the case is to be redone."""
        case, chance = rows.case, self.random
        if chance.random() < 0.08:
            act("close_unanswered", "line", 150)
            return False
        solved = chance.random() < 0.93 - 0.14 * self.diligence.get(case["agency_code"], 1.0)
        contacted = solved or chance.random() < 0.8
        satisfied = solved and chance.random() < 0.93
        answers = {"contacted": contacted, "solved": solved, "satisfied": satisfied}
        if not act("visit", "line", 20, **{name: "yes" if yes else "no" for name, yes in answers.items()}):
            return False
        said = {
            "case_id": case["id"],
            "agency_code": case["responsible_code"],
            "role": "line",
            "words": "",
            "themes": [],
        }
        grade = (5 if chance.random() < 0.4 else 4) if satisfied else 3 if solved else 2
        rows.visits.append(said | answers | {"grade": grade, "said_at": rows.events[-1]["acted_at"]})
        if solved:
            act("close", "line", 0.1)
            return False
        if case["redos"] or case["responsible_code"] is None:
            act("uphold", "reviewer", 12, note="已核实，依规办结")
            return False
        case["redos"] = 1
        return True

    def act(self, rows: Rows, act: str, role: str, at: datetime, details: Row) -> bool:
        """Add one act to the history, as the table leads; whether it has happened yet."""
        if at >= self.until:
            return False
        case = rows.case
        target = RULES[case["state"], act].target
        if act == "redo":
            case["due_at"] = at + timedelta(days=3)
        before, case["state"] = case["state"], target
        if before != target:
            case["step_since"] = at
        self.event(rows, act, role, at, details, before)
        return True

    def event(self, rows: Rows, act: str, role: str, at: datetime, details: Row, before: str | None = None) -> None:
        """A row of the history."""
        event = {"case_id": rows.case["id"], "number": len(rows.events) + 1, "act": act, "from_state": before}
        event |= {"to_state": rows.case["state"], "role": role, "staff_id": None, "details": details, "acted_at": at}
        rows.events.append(event)

    def talk(self, rows: Rows, filed_at: datetime) -> None:
        """The call or chat of which the case came."""
        chance, case = self.random, rows.case
        begun = filed_at - timedelta(seconds=chance.uniform(60, 300))
        asks = chance.random() < 0.3
        waits = min(chance.expovariate(1 / 9), 240.0)
        row: Row = {
            "id": f"sample-{case['id']}", "channel": case["channel"], "locale": "zh", "state": "closed", "failures": 0,
            "callback_tries": 0, "language": "zh", "skill": "", "priority": 0, "started_at": begun,
            "waiting_since": begun + timedelta(seconds=30) if asks else None,
            "taken_at": begun + timedelta(seconds=30 + waits) if asks and waits < 200 else None,
            "closed_at": min(filed_at + timedelta(seconds=chance.uniform(5, 60)), self.until),
        }  # fmt: skip
        rows.conversation, case["conversation_id"] = row, row["id"]
        filed = {"act": "filed", "text": "已为您登记", "speech": "已为您登记"}
        for number, (speaker, words, reply) in enumerate(
            (("citizen", case["what"], None), ("bot", "已为您登记", filed)), 1
        ):
            turn = {"conversation_id": row["id"], "number": number, "speaker": speaker, "text": words, "reply": reply}
            rows.turns.append(turn | {"act": reply and "filed", "said_at": begun + timedelta(seconds=20 * number)})


def city_of(session: Session) -> City:
    """The city of the record."""
    return City(session.scalars(select(Category)), session.scalars(select(Agency).order_by(Agency.code)))


def store(session: Session, invented: Iterable[Rows], tell: Callable[[int], object]) -> dict[int, int]:
    """Put the cases into the record, in batches; returns how many of each year's numbers are used."""
    used: dict[int, int] = {}
    stream, done = iter(invented), 0
    while batch := list(islice(stream, 2000)):
        if talks := [one.conversation for one in batch if one.conversation]:
            session.execute(insert(Conversation), talks)
            session.execute(insert(Turn), [turn for one in batch for turn in one.turns])
        session.execute(insert(Case), [one.case for one in batch])
        session.execute(insert(CaseEvent), [event for one in batch for event in one.events])
        if visits := [visit for one in batch for visit in one.visits]:
            session.execute(insert(Visit), visits)
        for one in batch:
            used[2000 + int(one.case["number"][:2])] = int(one.case["number"].replace("-", "")[2:-1])
        done += len(batch)
        tell(done)
    return used


def main() -> None:
    """Fill the record of the settings. Refused in production, and where there are invented cases already."""
    options = argparse.ArgumentParser(description="fills the development record with a year of invented cases")
    options.add_argument("--cases", type=int, default=12_000)
    options.add_argument("--days", type=int, default=365)
    options.add_argument("--seed", type=int, default=12345)
    given = options.parse_args()
    settings = load_settings()
    if settings.environment == "production":
        sys.exit("生产环境不能填充样例 / no invented cases in production")
    database = Database(settings.database_url)
    try:
        fill(
            database,
            utc_now(),
            given.cases,
            given.days,
            given.seed,
            lambda done: print(f"\r{done}", end="", flush=True),
        )
    except ValueError as refused:
        sys.exit(str(refused))
    print("\n统计 / counting")
    rebuild(database, utc_now)


def fill(
    database: Database, now: datetime, cases: int, days: int, seed: int, tell: Callable[[int], object] = str
) -> None:
    """Invent so many cases, filed in the `days` before `now`. Raises ValueError where there are some already."""
    with database.write() as session:
        if session.scalar(select(Case.id).where(Case.filing_key.startswith(KEY)).limit(1)):
            raise ValueError("已有样例工单 / there are invented cases already")
        serials = {row.year: row.filed for row in session.scalars(select(CaseCounter))}
        since = now.astimezone(CHINA).date() - timedelta(days=days - 1)
        invention = Invention(city_of(session), seed, since, days, cases, now)
        first_case = (session.scalar(select(func.max(Case.id))) or 0) + 1
        first_event = (session.scalar(select(func.max(CaseEvent.id))) or 0) + 1
        used = store(session, invention.cases(first_case, serials, first_event), tell)
        for year, filed in used.items():
            session.execute(delete(CaseCounter).where(CaseCounter.year == year))
            session.add(CaseCounter(year=year, filed=filed))
        if session.get_bind().dialect.name == "postgresql":  # ids were given by hand
            for table in ("cases", "case_events"):
                newest = f"(SELECT max(id) FROM {table})"
                session.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {newest})"))


if __name__ == "__main__":
    main()
