"""Webhooks as a bad network delivers them: repeated, out of order, lost, of two calls at once. Whatever comes, a complaint
that was confirmed is at most one case, and the line never fails."""

import secrets
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from backend.cases.models import Case
from backend.database import Database
from ivr.models import Call
from tests.caller import LINE, NUMBER, sign
from tests.running_line import SECRETS, RunningLine

REPORT: list[tuple[str, dict[str, str]]] = [
    ("/ivr/voice", {"CallStatus": "ringing"}),
    ("/ivr/turn?step=1", {"SpeechResult": "我要反映问题", "Confidence": "0.9"}),
    ("/ivr/turn?step=2", {"SpeechResult": "小区路灯不亮", "Confidence": "0.9"}),
    ("/ivr/turn?step=3", {"SpeechResult": "云水区望月街道", "Confidence": "0.9"}),
    ("/ivr/turn?step=4", {"SpeechResult": "有三天了", "Confidence": "0.9"}),
    ("/ivr/turn?step=5", {"Digits": "1"}),
    ("/ivr/turn?step=6", {"SpeechResult": "确认", "Confidence": "0.9"}),
    ("/ivr/turn?step=7", {}),
    ("/ivr/status", {"CallStatus": "completed"}),
]

DELIVERED = st.one_of(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, len(REPORT) - 1)), max_size=14),  # any order at all
    st.lists(st.booleans(), min_size=len(REPORT) * 2, max_size=len(REPORT) * 2).map(  # in order, some twice
        lambda twice: [(i % 2, i // 2) for i in range(len(REPORT) * 2) for _ in range(1 + twice[i])]
    ),
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(delivered=DELIVERED)
def test_any_delivery_of_webhooks_makes_at_most_one_case_of_a_complaint(
    line: RunningLine, delivered: list[tuple[int, int]]
) -> None:
    sids = ["CA" + secrets.token_hex(16) for _ in range(2)]
    answers: dict[tuple[int, int], str] = {}
    with httpx.Client(timeout=15, trust_env=False) as web:
        for call, number in delivered:
            path, brought = REPORT[number]
            form: dict[str, Any] = {
                "CallSid": sids[call],
                "From": NUMBER,
                "To": LINE,
                "CallStatus": "in-progress",
            } | brought
            url = line.base_url + path
            signature = sign(SECRETS["TWILIO_AUTH_TOKEN"], url, form)
            response = web.post(url, data=form, headers={"X-Twilio-Signature": signature})
            assert response.status_code < 500, path
            if brought.get("SpeechResult"):
                assert answers.setdefault((call, number), response.text) == response.text
    record = Database(line.database_url)
    with record.read() as session:
        filed = session.execute(
            select(func.count(Case.id))
            .join(Call, Call.conversation_id == Case.conversation_id)
            .where(Call.sid.in_(sids))
            .group_by(Call.sid)
        ).scalars()
        assert all(count <= 1 for count in filed)
    record.close()
