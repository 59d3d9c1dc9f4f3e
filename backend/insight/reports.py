"""Daily, weekly and monthly reports: figures in sentences and tables, made by the clock, kept, and sent by e-mail.

`content` makes a report as plain data. Each paragraph and table names its source, an address of the analyst's page that
shows the same figures; report_files.py makes files of it. A period is reported on once: a run that was missed is
caught up, and what was made is neither made nor sent again (the table's key, and the outbox's).
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, Literal
from urllib.parse import urlencode

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend import outbox
from backend.city import city_name
from backend.clock import Clock, local
from backend.database import Database
from backend.insight import figures
from backend.insight.figures import Counts, Slice, midnight
from backend.insight.models import Recipient, Report
from backend.insight.names import Names, names
from backend.settings import ROOT
from bot.catalogue import LOCALES, Catalogue

log = logging.getLogger(__name__)

Kind = Literal["daily", "weekly", "monthly"]
CAUGHT_UP: Final[dict[Kind, int]] = {"daily": 7, "weekly": 4, "monthly": 3}
"""Kinds of reports, and how many periods back one that was missed is still made."""
FROM_HOUR: Final = 7
"""China's time: from when on the day after its period a report is made."""
LISTED: Final = 10
LEAST_VISITS: Final = 10
"""Return visits below which agencies' rates are not compared: they would be chance."""
SAID: Final = Catalogue(ROOT / "backend" / "insight" / "reports.yml")

Content = dict[str, Any]
"""A report as data: title, period, made, sections, sources. JSON's own types."""
Files = Callable[[Content], tuple[bytes, bytes]]
"""Makes a docx and a pdf of a report."""


@dataclass
class Writer:
    """Writes one report: its language, and the sources that it has named."""

    locale: str
    period: str
    sources: list[dict[str, str]] = field(default_factory=list)

    def say(self, key: str, **facts: Any) -> str:
        """A sentence of reports.yml."""
        return SAID.say(key, self.locale, **facts).text

    def source(self, key: str, path: str, wanted: Slice, **facts: Any) -> int:
        """The number of a source: the same slice on the analyst's page."""
        query = {"since": wanted.since, "until": wanted.until - timedelta(days=1)} | facts.pop("query", {})
        address = f"{path}?{urlencode(query)}"
        text = self.say(key, period=self.period, **facts)
        self.sources.append({"text": text, "address": address})
        return len(self.sources)


# --- when -----------------------------------------------------------------------------------------------------------


def make_due(database: Database, clock: Clock, address: str, files: Files | None = None) -> int:
    """Make every report whose time has come and that isn't there; returns how many. Waits while counts are not whole.
    `address` is the line's base URL."""
    now, made = clock(), 0
    with database.read() as session:
        counted = figures.up_to_date(session)
        wanted = list(missing(session, now))
    for kind, period, locale in wanted:
        if counted.rebuilding or counted.at is None or counted.at < midnight(period.until):
            continue
        made += make(database, clock(), kind, period, locale, address, files or all_files)
    return made


def all_files(content: Content) -> tuple[bytes, bytes]:
    """Both files. What draws charts is loaded here, when it is needed: the web processes never need it."""
    from backend.insight import report_files

    return report_files.docx(content), report_files.pdf(content)


def missing(session: Session, now: datetime) -> Iterator[tuple[Kind, Slice, str]]:
    """The reports that should be there and are not, the oldest first. Of a kind that nobody has had yet it is the newest
    alone."""
    for kind, most in CAUGHT_UP.items():
        periods = list(periods_before(kind, now, most))
        made = select(Report.since, Report.locale).where(Report.kind == kind)
        there = {(since, locale) for since, locale in session.execute(made)}
        first = min((since for since, _ in there), default=periods[-1].since)
        for period in periods:
            for locale in LOCALES:
                if period.since >= first and (period.since, locale) not in there:
                    yield kind, period, locale


def periods_before(kind: Kind, now: datetime, most: int) -> Iterator[Slice]:
    """The last `most` whole periods whose reports may be made at this moment, the oldest first."""
    today = local(now - timedelta(hours=FROM_HOUR)).date()
    ends = [period_end(kind, today)]
    while len(ends) < most + 1:
        ends.append(period_end(kind, ends[-1] - timedelta(days=1)))
    ends.reverse()
    yield from (Slice(since, until) for since, until in pairwise(ends))


def period_end(kind: Kind, day: date) -> date:
    """The first day of the period that this day is in, with which the one before ends."""
    steps: dict[Kind, figures.Step] = {"daily": "day", "weekly": "week", "monthly": "month"}
    return figures.step_of(day, steps[kind])


def make(database: Database, now: datetime, kind: Kind, period: Slice, locale: str, address: str, files: Files) -> bool:
    """Make one report, keep it and put it into the outbox for its recipients; False if another worker was faster."""
    with database.read() as session:
        content = write(session, kind, period, locale, now, address)
    docx, pdf = files(content)
    try:
        with database.write() as session:
            kept = Report(kind=kind, since=period.since, until=period.until, locale=locale, content=content)
            kept.docx, kept.pdf, kept.made_at = docx, pdf, now
            session.add(kept)
            session.flush()
            send(session, kept, now)
    except IntegrityError:  # the same report: its table has it once
        log.info("the %s report of %s was made by another worker", kind, period.since)
        return False
    return True


def send(session: Session, report: Report, now: datetime) -> None:
    """Put a report into the outbox for each who gets this kind in this language, once for ever."""
    wanted = select(Recipient).where(Recipient.kind == report.kind, Recipient.locale == report.locale)
    for one in session.scalars(wanted):
        key = f"report:{report.id}:{one.address}"
        outbox.put(session, key, "email", one.address, {"report": report.id}, now)


# --- what -----------------------------------------------------------------------------------------------------------


def write(session: Session, kind: Kind, period: Slice, locale: str, now: datetime, address: str) -> Content:
    """The report on a period as data."""
    last = period.until - timedelta(days=1)
    shown = SAID.say("one_day" if kind == "daily" else "days", locale, since=period.since, last=last).text
    writer, called = Writer(locale, shown), names(session, locale)
    page = f"{address}/console/insight"
    city = city_name(locale)
    return {
        "kind": kind,
        "locale": locale,
        "title": writer.say("title", city=city, kind=writer.say(kind)),
        "period": shown,
        "made": writer.say("made", made=f"{local(now):%Y-%m-%d %H:%M}"),
        "sections": [
            overview(session, writer, period, now, page, kind),
            categories(session, writer, called, period, page),
            districts(session, writer, called, period, page),
            agencies(session, writer, called, period, page),
            overdue(session, writer, called, period, now, page),
        ],
        "sources_heading": writer.say("sources"),
        "sources": writer.sources,
    }


def overview(session: Session, writer: Writer, period: Slice, now: datetime, page: str, kind: Kind) -> Content:
    """How much came in and went out, and how well."""
    counts, before = figures.totals(session, period), figures.totals(session, period.before())
    stock = figures.stock(session, period, now)
    source = writer.source("source_period", page, period, query={"compare": "before", "by": "category"})
    said = [
        writer.say("filed", **numbers(counts), change=change(writer, counts.filed, before.filed)),
        writer.say("stock", open=whole(stock.open), overdue=whole(stock.overdue)),
    ]
    if counts.hours is not None:
        said.append(writer.say("on_time", on_time=percent(counts.on_time_rate), hours=f"{counts.hours:.1f}"))
    if counts.visited:
        said.append(writer.say("rates", visited=whole(counts.visited), **rates(counts)))
    else:
        said.append(writer.say("no_rates"))
    begin, end = midnight(period.since), midnight(period.until)
    talks, calls = figures.talks(session, begin, end), figures.talks(session, begin, end, "phone")
    said.append(writer.say("talks", calls=whole(calls.began), chats=whole(talks.began - calls.began)))
    if talks.service_level is not None:
        said.append(writer.say("service_level", level=percent(talks.service_level)))
    charted = Slice(period.until - timedelta(days=14), period.until) if kind == "daily" else period
    series = figures.over_time(session, charted, "day")
    chart = {
        "kind": "lines",
        "title": writer.say("trend_chart"),
        "labels": [f"{day:%m-%d}" for day, _ in series],
        "lines": [
            {"name": writer.say("column_filed"), "values": [one.filed for _, one in series]},
            {"name": writer.say("column_ended"), "values": [one.ended for _, one in series]},
        ],
    }
    return section(writer, "overview", said, source, chart=chart)


def categories(session: Session, writer: Writer, called: Names, period: Slice, page: str) -> Content:
    """What was reported most, and what rose most."""
    counts = figures.by(session, period, "category")
    before = figures.by(session, period.before(), "category")
    source = dimension_source(writer, page, period, "category")
    all_filed = sum(one.filed for one in counts.values())
    if not all_filed:
        return section(writer, "categories", [writer.say("empty")], source)
    listed = [(code, one, before.get(code, Counts())) for code, one in list(counts.items())[:LISTED] if one.filed]
    code, most, _ = listed[0]
    name = called.of("category", code)
    said = [writer.say("top", category=name, filed=whole(most.filed), share=percent(most.filed / all_filed))]
    risen = max(counts, key=lambda one: counts[one].filed - before.get(one, Counts()).filed)
    was = before.get(risen, Counts()).filed
    if counts[risen].filed > was:
        filed = whole(counts[risen].filed)
        said.append(writer.say("rise", category=called.of("category", risen), before=whole(was), filed=filed))
    rows = [
        [called.of("category", code), whole(one.filed), percent(one.filed / all_filed), whole(was.filed)]
        for code, one, was in listed
    ]
    chart = {
        "kind": "bars",
        "title": writer.say("category_chart"),
        "labels": [row[0] for row in rows],
        "lines": [{"name": writer.say("column_filed"), "values": [one.filed for _, one, _ in listed]}],
    }
    return section(writer, "categories", said, source, ("category", "filed", "share", "before"), rows, chart)


def districts(session: Session, writer: Writer, called: Names, period: Slice, page: str) -> Content:
    """Each district with its share of the cases and the rates."""
    counts = {name: one for name, one in figures.by(session, period, "district").items() if one.filed}
    source = dimension_source(writer, page, period, "district")
    if not counts:
        return section(writer, "districts", [writer.say("empty")], source)
    all_filed = sum(one.filed for one in counts.values())
    name, most = next(iter(counts.items()))
    share = percent(most.filed / all_filed)
    said = [writer.say("top_district", district=called.of("district", name), filed=whole(most.filed), share=share)]
    rows = [[called.of("district", name), whole(one.filed), *rate_cells(one)] for name, one in counts.items()]
    return section(writer, "districts", said, source, ("district", "filed", *RATE_COLUMNS), rows)


def agencies(session: Session, writer: Writer, called: Names, period: Slice, page: str) -> Content:
    """The agencies that citizens were asked about most, with their rates."""
    counts = figures.by(session, period, "agency")
    source = dimension_source(writer, page, period, "agency")
    asked = sorted(counts.items(), key=lambda one: (-one[1].visited, one[0]))
    compared = [(code, one, one.solved_rate) for code, one in asked if one.visited >= LEAST_VISITS]
    if len(compared) > 1:  # of one agency alone nothing is the lowest
        code, one, solved = min(compared, key=lambda row: (row[2] or 0.0, row[0]))
        facts = {"agency": called.of("agency", code), "solved": percent(solved), "visited": whole(one.visited)}
        said = [writer.say("lowest", least=LEAST_VISITS, **facts)]
    else:
        said = [writer.say("too_few", least=LEAST_VISITS)]
    rows = [
        [called.of("agency", code), whole(one.filed), *rate_cells(one)] for code, one in asked[:LISTED] if one.visited
    ]
    return section(writer, "agencies", said, source, ("agency", "filed", *RATE_COLUMNS), rows)


def overdue(session: Session, writer: Writer, called: Names, period: Slice, now: datetime, page: str) -> Content:
    """What was overdue longest when the report was made; nothing by which a case could be found from outside."""
    found = figures.longest_overdue(session, now)
    source = writer.source("source_overdue", f"{page}/cases", period, query={"measure": "overdue"})
    rows = [
        [
            called.of("district", one.district),
            called.of("category", one.category),
            called.of("agency", one.agency),
            str((now - one.due_at).days or "<1"),
        ]
        for one in found
    ]
    said = [writer.say("overdue_now" if rows else "none_overdue")]
    return section(writer, "overdue", said, source, ("district", "category", "agency", "days"), rows)


# --- parts ----------------------------------------------------------------------------------------------------------

RATE_COLUMNS: Final = ("on_time", "visited", "contacted", "solved", "satisfied")


def section(
    writer: Writer,
    heading: str,
    said: list[str],
    source: int,
    columns: tuple[str, ...] = (),
    rows: list[list[str]] | None = None,
    chart: Content | None = None,
) -> Content:
    """One part of a report; all its figures are of one source."""
    table = {"columns": [writer.say(f"column_{name}") for name in columns], "rows": rows} if rows else None
    paragraph = (" " if writer.locale == "en" else "").join(said)
    return {"heading": writer.say(heading), "paragraph": f"{paragraph} [{source}]", "table": table, "chart": chart}


def dimension_source(writer: Writer, page: str, period: Slice, dimension: str) -> int:
    """The source of figures by one dimension."""
    shown = writer.say(f"column_{dimension}")
    query = {"compare": "before", "by": dimension}
    return writer.source(
        "source_by", page, period, query=query, dimension=shown if writer.locale == "zh" else shown.lower()
    )


def change(writer: Writer, now: int, before: int) -> str:
    """How a number differs from that of the period before."""
    if not before:
        return writer.say("none_before")
    if now == before:
        return writer.say("as_many")
    return writer.say(
        "more" if now > before else "fewer", before=whole(before), share=percent(abs(now - before) / before)
    )


def numbers(counts: Counts) -> dict[str, str]:
    """What came in and went out, as people read it."""
    return {name: whole(getattr(counts, name)) for name in ("filed", "settled", "ended")}


def rates(counts: Counts) -> dict[str, str]:
    """The three rates as people read them."""
    return {name: percent(getattr(counts, f"{name}_rate")) for name in ("contacted", "solved", "satisfied")}


def rate_cells(counts: Counts) -> list[str]:
    """The cells of RATE_COLUMNS."""
    return [percent(counts.on_time_rate), whole(counts.visited), *rates(counts).values()]


def whole(number: int) -> str:
    """A number with its thousands apart."""
    return f"{number:,}"


def percent(share: float | None) -> str:
    """A share as people read it; a dash for that of nothing."""
    return "—" if share is None else f"{share:.1%}"
