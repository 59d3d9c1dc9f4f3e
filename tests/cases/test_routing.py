"""Where a case is proposed to go, why, and how that is learned."""

import io
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from backend.cases import learning, service
from backend.cases.learning import STREET, learn
from backend.cases.linear import Linear, Said
from backend.cases.models import Case, CaseEvent, RoutingModel
from backend.cases.places import Place
from backend.cases.routing import LINE_AGENCY, Proposal, agency_at, decide, duties, duty_of, propose, route
from backend.cases.service import Actor, Filing
from backend.database import Database
from backend.directory.models import Agency, Category
from backend.directory.service import in_charge
from backend.errors import Refused
from backend.knowledge.service import Knowledge
from tests.conftest import StandingClock

GARDEN = "银杏果落了一地又臭又滑"
"""A matter that the knowledge says nothing about."""


@pytest.fixture(scope="module")
def packed(sqlite_template: object) -> bytes:
    """What a line learns on its first day, learned once for all tests."""
    record = Database(f"sqlite:///{sqlite_template}")
    with record.read() as session:
        lessons = learning.gather(session)
    model = learning.fit(lessons.said_by_city, record, None)
    record.close()
    return model.pack()


@pytest.fixture
def taught(database: Database, clock: StandingClock, packed: bytes) -> Database:
    """A record whose routing has learned what there is on the first day."""
    with database.write() as session:
        digest = learning.gather(session).digest()
        session.add(
            RoutingModel(made_at=clock(), state="in_use", knows=digest, texts=1, cases=0, figures={}, numbers=packed)
        )
    return database


def routed(database: Database, clock: StandingClock, what: str, place: str = "") -> Proposal:
    with database.read() as session:
        return route(session, Knowledge(), what, place, clock())


@pytest.mark.parametrize(
    ("what", "place", "agency"),
    [
        ("小区路灯不亮", "明湖区软件园", "D-MH-URBAN"),
        ("小区路灯不亮", "不知道在哪个区", "C-URBAN"),
        ("老板拖欠工资不给", "川北区", "D-CB-HR"),
        ("火星上的土豆怎么嫁接", "明湖区", LINE_AGENCY),
    ],
)
@pytest.mark.parametrize("has_learned", [False, True])
def test_a_matter_goes_to_its_district_bureau_the_city_or_when_unclear_to_the_line_itself(
    request: pytest.FixtureRequest,
    database: Database,
    clock: StandingClock,
    what: str,
    place: str,
    agency: str,
    has_learned: bool,
) -> None:
    if has_learned:
        request.getfixturevalue("taught")
    assert routed(database, clock, what, place).agency == agency


def test_without_anything_near_the_line_keeps_the_case() -> None:
    assert propose(None, 0.0, "明湖区", {}).agency == LINE_AGENCY


def test_certain_words_come_first_and_are_told_to_the_dispatcher(taught: Database, clock: StandingClock) -> None:
    proposal = routed(taught, clock, "家里暖气冰凉，老人都冻病了", "云水区望月街道翠竹苑")
    assert (proposal.by, proposal.category, proposal.agency) == ("duties", "UT-HEAT", "D-YS-URBAN")
    assert proposal.words == ("暖气", "冰凉")
    assert proposal.place.community == "翠竹苑"
    assert proposal.urgency[0] == "urgent"


def test_what_was_learned_offers_the_next_best_agencies_and_the_words_that_weighed(
    taught: Database, clock: StandingClock
) -> None:
    proposal = routed(taught, clock, "快递员把包裹放在门口丢了，公司不赔")
    assert proposal.by == "learned"
    assert len(proposal.others) == 3
    assert proposal.others[0] == (proposal.agency, proposal.certainty)
    assert "快递" in "".join(proposal.words)
    assert [agency for agency, _ in proposal.details()["why"]["others"]] == [
        agency for agency, _ in proposal.others[1:]
    ]


def test_a_point_of_the_map_says_the_district_when_words_do_not(taught: Database, clock: StandingClock) -> None:
    with taught.read() as session:
        at_point = route(session, Knowledge(), "小区路灯不亮", "", clock(), (28.01, 124.90))
        outside = route(session, Knowledge(), "小区路灯不亮", "", clock(), (0.0, 0.0))
    assert (at_point.agency, outside.agency) == ("D-MH-URBAN", "C-URBAN")


def test_cases_of_a_merged_agency_go_to_its_successor(taught: Database, clock: StandingClock) -> None:
    with taught.write() as session:
        merged = session.get_one(Agency, "D-MH-URBAN")
        merged.successor_code, merged.valid_until = "D-MH-HOUSE", date(2026, 11, 22)
    assert routed(taught, clock, "小区路灯不亮", "明湖区").agency == "D-MH-HOUSE"


def test_the_duty_list_names_agencies_and_categories_that_there_are(database: Database) -> None:
    with database.read() as session:
        for duty in duties():
            assert session.get(Agency, duty.agency) and session.get(Category, duty.category)


def test_words_that_two_duties_claim_are_not_certain() -> None:
    assert duty_of("物业费不交就不给修电梯坏") is None


@settings(max_examples=100, deadline=None)
@given(what=st.text(max_size=40), place=st.text(max_size=20))
def test_whatever_is_said_a_proposal_is_one_agency_with_probabilities_that_fit(
    packed: bytes, what: str, place: str
) -> None:
    model = Linear.unpack(packed)
    known = {code: Agency(code=code, level=1, district="全市", name=code) for code in (LINE_AGENCY, "C-URBAN", "C-HR")}
    proposal = decide(model, Said(what), Place(place), known, date(2026, 11, 23))
    assert proposal.agency in known
    assert 0 <= proposal.certainty <= 1
    assert sum(probability for _, probability in proposal.others) <= 1 + 1e-6


def test_a_street_or_a_district_takes_what_is_theirs_at_the_place(database: Database) -> None:
    with database.read() as session:
        known = {agency.code: agency for agency in session.scalars(select(Agency))}
    assert agency_at(STREET, Place("云水区", "望月街道"), known) == "S-YS-01"
    assert agency_at(STREET, Place("云水区"), known) == "D-YS"
    assert agency_at(STREET, Place(), known) == LINE_AGENCY
    assert in_charge(known, "D-YS", date(2026, 11, 23)) == "D-YS"


def signed_cases(database: Database, clock: StandingClock, count: int, agency: str, what: str = GARDEN) -> None:
    """So many cases of the same matter that this agency has signed for."""
    with database.write() as session:
        for number in range(count):
            filing = Filing(f"{what}，第{number}次反映", "云水区望月街道")
            case = service.file_case(session, Knowledge(), filing, Actor("bot"), clock(), "shandong")
            case.agency_code, case.category_code = agency, "CM-GREEN"
            session.add(
                CaseEvent(
                    case=case,
                    number=2,
                    act="sign",
                    from_state="dispatched",
                    to_state="signed",
                    role="agency",
                    details={},
                    acted_at=clock(),
                )
            )


def test_where_agencies_have_signed_is_learned_and_used_when_it_is_better_on_cases_held_out(
    taught: Database, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learning, "LEAST_HELD_OUT", 3)
    signed_cases(taught, clock, 40, "S-YS-01")
    made = learn(taught, None, clock())
    assert made is not None and made.state == "in_use"
    assert 0 < made.cases < 40
    assert made.figures["held_out"] == 40 - made.cases
    assert made.figures["new"]["likelihood"] > made.figures["used"]["likelihood"]
    proposal = routed(taught, clock, GARDEN, "云水区望月街道")
    assert (proposal.agency, proposal.category) == ("S-YS-01", "CM-GREEN")
    assert learn(taught, None, clock()) is None  # nothing new to learn
    with taught.read() as session:
        assert session.scalar(select(func.count()).where(RoutingModel.state == "in_use")) == 1


def test_a_version_that_is_no_better_is_refused(
    taught: Database, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_cases(taught, clock, 5, "S-YS-01")
    made = learn(taught, None, clock())
    assert made is not None and made.state == "refused" and made.numbers is None


def test_the_first_version_is_used_and_the_next_one_waits_for_night(database: Database, clock: StandingClock) -> None:
    assert learning.is_time_to_learn(database, clock())
    made = learn(database, None, clock())
    assert made is not None and made.state == "in_use"
    assert not learning.is_time_to_learn(database, clock())
    clock.advance(hours=39)  # the night after the next
    assert learning.is_time_to_learn(database, clock())


def test_what_is_kept_of_a_model_says_the_same_and_holds_no_code(packed: bytes) -> None:
    model = Linear.unpack(packed)
    again = Linear.unpack(model.pack())
    said = Said("小区路灯不亮")
    assert again.ranked(said)["agency"][0] == pytest.approx(model.ranked(said)["agency"][0])
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays.files)


def test_a_filed_case_keeps_why_it_was_proposed(taught: Database, clock: StandingClock) -> None:
    with taught.write() as session:
        filing = Filing("小区路灯不亮", "明湖区")
        number = service.file_case(session, Knowledge(), filing, Actor("bot"), clock(), "shandong").number
    with taught.read() as session:
        case = session.scalars(select(Case).where(Case.number == number)).one()
        assert case.history[0].details["why"]["words"] == ["路灯", "不亮"]


def test_nothing_said_is_refused_before_it_is_routed(taught: Database, clock: StandingClock) -> None:
    with pytest.raises(Refused), taught.write() as session:
        service.file_case(session, Knowledge(), Filing(" "), Actor("bot"), clock() + timedelta(0), "shandong")
