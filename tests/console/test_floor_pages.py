"""The supervisor's floor as a browser gets it: reassigning, stepping in, whispering to an operator in a chat."""

import httpx
import pytest

from backend.conversations import presence, service
from backend.conversations.models import Conversation, Turn
from backend.directory.models import Staff
from backend.parts import Parts
from tests.console.test_call_pages import post
from tests.console.test_desk_pages import citizen_waits
from tests.console.test_gap_pages import log_in, token


def held_by(parts: Parts, username: str) -> str:
    """A chat that this operator has."""
    conversation_id = citizen_waits(parts)
    with parts.database.write() as session:
        staff = session.query(Staff).filter_by(username=username).one()
        presence.set_presence(session, staff, "ready", parts.clock())
        staff.seen_at = parts.clock()
        service.take(session, session.get_one(Conversation, conversation_id), staff, parts.clock())
    return conversation_id


def give(web: httpx.Client, parts: Parts, conversation_id: str, username: str) -> httpx.Response:
    with parts.database.read() as session:
        staff_id = session.query(Staff.id).filter_by(username=username).scalar()
    form = {"csrf_token": token(web.get("/console/floor")), "staff": str(staff_id)}
    return web.post(f"/console/floor/{conversation_id}/give", data=form)


def holder(parts: Parts, conversation_id: str) -> str:
    with parts.database.read() as session:
        operator = session.get_one(Conversation, conversation_id).operator
        return operator.username if operator else ""


def test_the_floor_shows_operators_talks_and_levels(web: httpx.Client, parts: Parts) -> None:
    held_by(parts, "operator1")
    citizen_waits(parts, "水管漏水")
    page = log_in(web, "supervisor1").get("/console/floor").text
    for shown in ('data-name="坐席甲" data-state="busy"', "路灯不亮", "水管漏水", "100%"):
        assert shown in page
    assert "水管漏水" in web.get("/console/floor/now").text


def test_a_supervisor_steps_into_a_chat_and_gives_it_to_another_operator(web: httpx.Client, parts: Parts) -> None:
    conversation_id = held_by(parts, "operator1")
    log_in(web, "supervisor1")
    stepped = give(web, parts, conversation_id, "supervisor1")
    assert stepped.headers["Location"] == f"/console/conversations/{conversation_id}"
    assert holder(parts, conversation_id) == "supervisor1"
    assert give(web, parts, conversation_id, "operator1").headers["Location"] == "/console/floor"
    assert holder(parts, conversation_id) == "operator1"


def test_nothing_is_given_to_who_is_not_there(web: httpx.Client, parts: Parts) -> None:
    conversation_id = held_by(parts, "operator1")
    log_in(web, "supervisor1")
    refused = give(web, parts, conversation_id, "operator2")
    assert refused.status_code == 422
    assert 'data-testid="refusal"' in refused.text
    assert holder(parts, conversation_id) == "operator1"
    assert give(web, parts, conversation_id, "nobody").status_code == 400


def test_what_a_supervisor_whispers_the_operator_reads_at_once_and_the_citizen_never(
    web: httpx.Client, parts: Parts
) -> None:
    conversation_id = held_by(parts, "operator1")
    log_in(web, "supervisor1")
    assert "悄悄告诉坐席" in web.get(f"/console/conversations/{conversation_id}").text
    post(web, conversation_id, "notes", note="请先问地点")
    web.cookies.clear()
    log_in(web, "operator1")
    with parts.database.read() as session:
        mine = session.query(Staff.id).filter_by(username="operator1").scalar()
    shown = {"after": "99", "noted": "0", "stand": f"operator-{mine}"}
    news = web.get(f"/console/conversations/{conversation_id}/turns", params=shown).text
    assert 'data-testid="whisper"' in news
    assert "请先问地点" in news
    assert 'id="composer"' not in news, "what the operator is typing would be lost"
    with parts.database.read() as session:
        assert not [turn for turn in session.query(Turn) if "请先问地点" in turn.text]


@pytest.mark.parametrize("username", ["operator1", "analyst1"])
def test_the_floor_is_the_supervisors(web: httpx.Client, username: str) -> None:
    assert log_in(web, username).get("/console/floor").status_code == 403
