"""Places: what citizens say becomes district, street and community, and what can't be told apart stays open."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.cases.places import Gazetteer, Known, Place, gazetteer
from backend.city import city
from backend.settings import ROOT

CITY = gazetteer()
WORDS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["明湖区", "川北", "阳光花园", "望月街道", "双桥街道", "三号楼", "2单元", "人民路", "不是", "，", "软件园"]
    ),
)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("云水区望月街道阳光花园三号楼二单元501室", Place("云水区", "望月街道", "阳光花园", "3号楼2单元501室")),
        ("翠竹苑5栋", Place("云水区", "望月街道", "翠竹苑", "5栋")),
        ("软件园那边", Place("明湖区", "软件园街道")),
        ("川北的双桥街道", Place("川北区", "双桥街道")),
        ("不是川北区，是明湖区", Place("明湖区")),
        ("阳光花园", Place("", "", "阳光花园")),  # there are two
        ("川北区阳光花园", Place("川北区", "双桥街道", "阳光花园")),
        ("人民路和中山路交叉口", Place("云水区", "", "中山路")),
        ("川北区翠竹苑", Place("川北区")),  # no such estate is known in this district
        ("雲水區望月街道", Place("云水区", "望月街道")),
        ("我也说不清", Place()),
        ("", Place()),
    ],
)
def test_words_name_a_place(text: str, place: Place) -> None:
    assert CITY.find(text) == place


@given(st.lists(WORDS, max_size=6).map("".join))
def test_whatever_is_said_a_place_is_one_of_the_city_and_fits_together(text: str) -> None:
    place = CITY.find(text)
    assert place.district in ("", *city()["districts"])
    assert not place.street or place.district
    assert CITY.find(str(place)).agrees(place)
    assert CITY.find(CITY.without(text)).house == "" or "号" in text or any(sign in text for sign in "栋幢座")


@given(st.sampled_from(CITY._known))
def test_every_known_place_is_found_by_its_whole_name(one: Known) -> None:
    assert CITY.find(str(one.place)) == one.place


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_any_point_is_in_the_city_or_nowhere(latitude: float, longitude: float) -> None:
    assert CITY.near(latitude, longitude).district in ("", *city()["districts"])


def test_a_point_lies_where_the_nearest_known_place_is() -> None:
    assert CITY.near(27.979, 124.985) == Place("云水区", "望月街道", "阳光花园")
    assert CITY.near(0.0, 0.0) == Place()
    assert Gazetteer([]).near(28.0, 125.0) == Place()


def test_the_names_of_places_say_nothing_about_the_matter() -> None:
    assert CITY.without("云水区望月街道的公交站牌倒了") == "的公交站牌倒了"


def test_the_gazetteer_has_every_street_that_has_an_agency() -> None:
    with (ROOT / "nlu_data" / "agencies.csv").open(encoding="utf-8", newline="") as file:
        streets = [row for row in csv.DictReader(file) if row["level"] == "3"]
    for row in streets:
        name = row["name"].removesuffix("办事处").removesuffix("人民政府")
        assert CITY.find(name) == Place(row["district"], name)
