"""What the line shows of itself: measures, one id from the webhook to the case, traces; and nobody's words in any of it."""

import gzip
import json
import logging
import re
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import promql_parser
import pytest
import yaml
from flask import Flask
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from backend import outbox
from backend.app import create_app
from backend.conversations import service as conversations
from backend.parts import Parts
from backend.settings import ROOT
from backend.watch import JsonLine, PlainLine
from ivr.phone.call import PracticeCall
from tests.conftest import StandingClock, build, make_settings
from tests.running_line import RunningLine, until

DEPLOY = ROOT / "deploy"


@pytest.mark.parametrize("form", [JsonLine, PlainLine])
def test_an_unforeseen_error_is_logged_by_kind_and_place_without_the_words_that_it_quotes(
    form: type[logging.Formatter],
) -> None:
    said = "我叫王小明，电话13800138000"
    try:
        try:
            int(said)
        except ValueError as error:
            raise RuntimeError(said) from error
    except RuntimeError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "unforeseen error", (), sys.exc_info())
    line = form().format(record)
    assert all(told in line for told in ("ValueError", "RuntimeError", "test_watch.py", "int(said)"))
    assert not any(quoted in line for quoted in ("王小明", "13800138000", "\\u738b"))


def measures(web: httpx.Client) -> dict[str, dict[tuple[str, ...], float]]:
    """What /metrics says: name -> values of the labels -> value."""
    answer = web.get("/metrics")
    assert answer.status_code == 200
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def client(app: Flask) -> httpx.Client:
    return httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1:8000")


def test_how_the_line_stands_is_read_from_the_record(
    database_url: str, clock: StandingClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "var").mkdir()
    monkeypatch.setattr(
        "backend.jobs.queue.ROOT", tmp_path
    )  # on PostgreSQL the queue of a line that runs here is there
    app = create_app(make_settings(database_url), clock=clock)
    web, parts = client(app), app.extensions["parts"]
    web.headers["Authorization"] = "Bearer api-token"
    for place in ("明湖区", "云台区"):
        web.post("/api/v1/cases", json={"what": "路灯不亮", "place": place, "contact": "13800000000"})
    with parts.database.write() as session:
        conversation, _ = conversations.open_conversation(session, "chat", "zh", clock())
        conversations.request_operator(session, conversation, clock())
        outbox.put(session, "late", "email", "somebody@example.org", {}, clock())
    clock.advance(seconds=90)
    now = measures(web)
    assert now["line_waiting"] == {("phone",): 0, ("chat",): 1}
    assert now["line_longest_wait_seconds"] == {(): 90}
    assert now["line_cases_open"][("filed",)] == 2
    assert now["line_cases_due"][("overdue",)] == 0
    assert now["line_outbox"][("waiting",)] >= 1
    assert now["line_outbox_age_seconds"] == {(): 90}
    assert now["line_up"] == {("bot",): 0, ("database",): 1, ("jobs",): 1}
    assert now["line_worker_up"] == {(): 0}
    clock.advance(days=30)
    assert measures(web)["line_cases_due"][("overdue",)] == 2


def test_a_turn_is_counted_by_what_it_came_to_and_timed_by_its_steps(web: httpx.Client, call: PracticeCall) -> None:
    def count(name: str, *labels: str) -> float:
        return measures(web).get(name, {}).get(labels, 0)

    danger, recorded = count("line_turns_total", "phone", "danger"), count("line_turn_step_seconds_count", "record")
    lost, asked = count("line_turns_total", "phone", "bot_unavailable"), count("line_turn_step_seconds_count", "bot")
    call.start("http://127.0.0.1:8000/ivr/voice")
    call.speak("楼下着火了")
    call.speak("路灯不亮")
    assert count("line_turns_total", "phone", "danger") == danger + 1
    assert count("line_turns_total", "phone", "bot_unavailable") == lost + 1
    assert count("line_turn_step_seconds_count", "record") == recorded + 2
    assert count("line_turn_step_seconds_count", "bot") == asked + 1


def test_an_error_that_nobody_foresaw_is_counted_while_the_other_measures_go_on(
    app: Flask, web: httpx.Client, parts: Parts
) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    parts.database.close()
    with parts.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE cases RENAME TO gone")
    now = measures(web)
    assert now["line_up"][("database",)] == 0
    assert now["line_up"][("jobs",)] == 1


@pytest.mark.parametrize(
    ("token", "headers", "status"),
    [
        ("", {}, 200),
        ("", {"X-Forwarded-For": "203.0.113.7"}, 404),
        ("secret", {}, 404),
        ("secret", {"Authorization": "Bearer wrong"}, 404),
        ("secret", {"Authorization": "Bearer secret", "X-Forwarded-For": "203.0.113.7"}, 200),
    ],
)
def test_measures_are_for_this_machine_or_for_who_has_the_token(
    sqlite_url: str, token: str, headers: dict[str, str], status: int
) -> None:
    web = client(create_app(make_settings(sqlite_url, metrics_token=token)))
    assert web.get("/metrics", headers=headers).status_code == status


def test_a_stranger_on_the_network_sees_no_measures(app: Flask) -> None:
    far = httpx.WSGITransport(app, remote_addr="203.0.113.7")
    assert httpx.Client(transport=far, base_url="http://127.0.0.1:8000").get("/metrics").status_code == 404


# --- what deploy/ asks Prometheus for ---


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression of the alert rules and of the dashboard, with where it stands."""
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def test_alerts_and_dashboard_ask_only_for_what_the_line_exports(web: httpx.Client) -> None:
    kinds = {family.name: family.type for family in text_string_to_metric_families(web.get("/metrics").text)}
    suffixes = {"histogram": ("_bucket", "_count", "_sum"), "counter": ("_total",)}
    exported = {name + suffix for name, kind in kinds.items() for suffix in suffixes.get(kind, ("",))}
    asked = list(expressions())
    assert len(asked) > 20
    for where, expression in asked:
        promql_parser.parse(expression)  # raises for what Prometheus would not understand
        named = set(re.findall(r"\bline_\w+", expression))
        assert named, where
        assert named - exported == set(), where


def test_every_alert_says_what_it_means_and_where_to_read_on() -> None:
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text(encoding="utf-8"))
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        assert f"`{rule['alert']}`" in runbook, rule["alert"]


# --- the trail ---


@pytest.fixture
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """A collector of traces, and what it has been sent."""
    received: list[ExportTraceServiceRequest] = []

    class Collect(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collect)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces", received
    server.shutdown()


def test_spans_of_a_turn_reach_the_collector_under_the_trail_of_who_asked_and_without_what_was_said(
    tmp_path_factory: pytest.TempPathFactory, collector: tuple[str, list[ExportTraceServiceRequest]]
) -> None:
    url, received = collector
    line = RunningLine(tmp_path_factory.mktemp("traces"), settings={"TRACES_URL": url})
    build(line.database_url)
    try:
        line.start("web")
        until(lambda: line.health()[0] > 0, "an answer")
        chat = line.chat()
        chat.http.headers["traceparent"] = f"00-{'ab' * 16}-{'cd' * 8}-01"
        chat.say("我叫张三要转人工")

        def spans() -> list:
            found = [
                span
                for one in received
                for rows in one.resource_spans
                for scope in rows.scope_spans
                for span in scope.spans
            ]
            return [span for span in found if span.trace_id.hex() == "ab" * 16]

        until(lambda: {"conversations.say", "record"} <= {span.name for span in spans()}, "spans")
    finally:
        line.__exit__()
    assert "张三" not in str(received)
    assert "张三" not in (line.folder / "web.log").read_text()
