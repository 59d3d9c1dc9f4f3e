"""A return visit over the real processes: the worker rings through the practice exchange, somebody answers at a window of
the practice phone, and three keys bring the case on."""

from collections.abc import Iterator
from functools import partial

import httpx
import pytest
from sqlalchemy import select

from backend.cases import service as cases
from backend.cases.service import Actor, Filing
from backend.clock import utc_now
from backend.database import Database
from backend.directory.models import Staff
from backend.knowledge.service import Knowledge
from ivr.phone.call import DEFAULT_FROM, PRACTICE_ACCOUNT
from tests.conftest import build
from tests.running_line import SECRETS, RunningLine, until

QUESTIONS = ("联系过您吗", "解决了吗", "满意吗")


@pytest.fixture
def calling_line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLine]:
    """What a return visit needs of the line, with a record of its own: no bot, and citizens may be called at any hour. The
    worker is not yet started."""
    line = RunningLine(tmp_path_factory.mktemp("calling-line"))
    line.environment |= {"EMBEDDING": "none", "CALLING_HOURS": "00:00-24:00"}
    build(line.database_url)
    try:
        line.start("web")
        line.start("exchange")
        until(lambda: "database" in line.health()[1], "the web process' first answer")
        yield line
    finally:
        line.__exit__()


@pytest.fixture
def record(calling_line: RunningLine) -> Iterator[Database]:
    """The line's record."""
    opened = Database(calling_line.database_url)
    yield opened
    opened.close()


def answered_case(record: Database) -> str:
    """A case of the practice telephone that has been answered; its number."""
    with record.write() as session:
        now, filing = utc_now(), Filing(what="路灯不亮三天了", contact=DEFAULT_FROM)
        case = cases.file_case(session, Knowledge(record, None), filing, Actor("line"), now, "shandong")
        operator = Actor("operator", session.scalars(select(Staff).where(Staff.username == "operator1")).one())
        cases.act_on(session, case.number, "accept", operator, {}, now)
        cases.act_on(session, case.number, "answer", operator, {"note": "已修好。"}, now)
        return case.number


def test_the_worker_rings_a_citizen_and_three_keys_make_the_case_visited(
    calling_line: RunningLine, record: Database
) -> None:
    number = answered_case(record)
    window = f"http://127.0.0.1:{calling_line.exchange_port}/practice/windows/{DEFAULT_FROM}"
    exchange = httpx.Client(auth=(PRACTICE_ACCOUNT, SECRETS["TWILIO_AUTH_TOKEN"]), timeout=30)

    def rings() -> bool:
        try:
            return bool(exchange.get(window).json()["status"] == "ringing")
        except httpx.TransportError:  # the exchange is still starting
            return False

    def asks(question: str) -> bool:
        return question in str(exchange.get(window).json()["events"])

    calling_line.start("worker")
    until(rings, "the call")
    exchange.post(window, json={"type": "answer"}).raise_for_status()
    for question in QUESTIONS:
        until(partial(asks, question), f"the question {question}")
        exchange.post(window, json={"type": "press", "digits": "1"}).raise_for_status()
    until(lambda: exchange.get(window).json()["status"] == "ended", "the end of the call")
    with record.read() as session:
        case = cases.get_case(session, number)
        assert case.state == "visited"
        (visit,) = case.visits
        assert (visit.role, visit.contacted, visit.solved, visit.satisfied) == ("line", True, True, True)
