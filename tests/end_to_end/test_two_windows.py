"""Two windows of the practice phone meet at the exchange, over the real processes and in a real browser."""

import httpx
from playwright.sync_api import expect

from ivr.phone.call import DEFAULT_FROM, DEFAULT_TO, PRACTICE_ACCOUNT
from tests.end_to_end.conftest import Visit
from tests.running_line import SECRETS, RunningLine


def test_what_one_window_says_the_other_reads(line: RunningLine, visit: Visit) -> None:
    citizen, operator = visit.phone(), visit.phone()
    citizen.goto(f"{line.base_url}/phone")
    operator.goto(f"{line.base_url}/phone?as=operator9")
    expect(operator.get_by_test_id("answer-call")).to_be_hidden()
    made = httpx.post(
        f"http://127.0.0.1:{line.exchange_port}/2010-04-01/Accounts/{PRACTICE_ACCOUNT}/Calls.json",
        auth=(PRACTICE_ACCOUNT, SECRETS["TWILIO_AUTH_TOKEN"]),
        data={
            "To": DEFAULT_FROM,
            "From": DEFAULT_TO,
            "Twiml": "<Response><Say>为您接通</Say><Dial><Client>operator9</Client></Dial></Response>",
        },
    )
    assert made.status_code == 201
    citizen.get_by_test_id("answer-call").click()
    operator.get_by_test_id("answer-call").click()
    expect(citizen.get_by_test_id("status")).to_have_attribute("data-status", "connected")
    citizen.get_by_test_id("speech-input").fill("暖气不热")
    citizen.get_by_test_id("send").click()
    expect(operator.get_by_test_id("transcript")).to_contain_text("暖气不热")
    operator.get_by_test_id("key-5").click()
    expect(citizen.get_by_test_id("transcript")).to_contain_text("5")
    operator.get_by_test_id("hangup").click()
    for page in (citizen, operator):
        expect(page.get_by_test_id("status")).to_have_attribute("data-status", "ended")
