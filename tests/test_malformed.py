"""Some hundred of the malformed requests of `make bench ONLY=fuzz`: every one is answered or refused, none is a fault."""

from flask import Flask

from tests.bench.fuzz import KINDS, Attack, Attacker, Found, send


def test_no_malformed_webhook_call_upload_or_message_is_a_fault(app: Flask) -> None:
    browser = app.test_client()

    def ask(attack: Attack) -> tuple[int, str]:
        answer = browser.open(attack.path, method=attack.method, headers=attack.headers, data=attack.body)
        return answer.status_code, answer.data.decode(errors="replace")

    found = Found()
    send(ask, Attacker(app, "http://127.0.0.1:8000", seed=8), 400, found)
    assert found.faults == []
    assert {kind for kind, status in found.statuses if status < 300} == set(KINDS)
