"""Where a case is proposed to go."""

import pytest

from backend.cases import service
from backend.cases.routing import LINE_AGENCY, propose, without_places
from backend.cases.service import Filing
from backend.database import Database
from backend.directory.models import Agency
from backend.knowledge.service import Knowledge
from tests.conftest import StandingClock


@pytest.mark.parametrize(
    ("what", "place", "agency"),
    [
        ("小区路灯不亮", "明湖区软件园", "D-MH-URBAN"),
        ("小区路灯不亮", "不知道在哪个区", "C-URBAN"),
        ("老板拖欠工资不给", "川北区", "D-CB-HR"),
        ("火星上的土豆怎么嫁接", "明湖区", LINE_AGENCY),
    ],
)
def test_a_matter_goes_to_its_district_bureau_the_city_or_when_unclear_to_the_line_itself(
    database: Database, clock: StandingClock, what: str, place: str, agency: str
) -> None:
    with database.read() as session:
        proposal = service.propose_for(session, Knowledge(), Filing(what, place), clock())
    assert proposal.agency == agency


def test_the_names_of_places_say_nothing_about_the_matter() -> None:
    places = [Agency(name="望月街道办事处", level=3, district="云水区")]
    assert without_places("云水区望月街道的公交站牌倒了", places) == "的公交站牌倒了"


def test_without_anything_near_the_line_keeps_the_case() -> None:
    assert propose(None, 0.0, "明湖区", []).agency == LINE_AGENCY
