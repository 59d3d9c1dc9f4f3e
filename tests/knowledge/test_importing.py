"""Importing documents: one by one, visible before the batch is through, never twice, whatever ends the worker."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date

import numpy as np
import pytest
from sqlalchemy import select

from backend.database import Database
from backend.errors import Refused
from backend.knowledge import importing
from backend.knowledge.embedding import Floats, vectors
from backend.knowledge.models import Document, Import, ImportFile, KnowledgeVersion, Passage
from backend.knowledge.service import entry, published
from tests.conftest import StandingClock
from tests.running_line import until


def regulation(title: str, *lines: str) -> bytes:
    """A small regulation as a text file."""
    return "\n".join([title, *lines]).encode()


PARKING_OLD = regulation("云川市停车收费暂行办法", "云政办发〔2015〕8号", "第一条 停车每小时四元。", "2015年3月1日")
PARKING_NEW = regulation(
    "云川市停车收费管理办法",
    "云政办发〔2021〕3号",
    "第一条 停车每小时五元。",
    "第二条 本办法自2021年3月1日起施行。《云川市停车收费暂行办法》（云政办发〔2015〕8号）同时废止。",
    "2021年1月15日",
)


def start(database: Database, clock: StandingClock, *files: tuple[str, bytes]) -> int:
    with database.write() as session:
        return importing.start_import(session, files, None, clock).id


def work(database: Database, clock: StandingClock, *files: tuple[str, bytes]) -> int:
    """Import files to the end."""
    import_id = start(database, clock, *files)
    while importing.take_in(database, None, clock, import_id):
        pass
    return import_id


def documents(database: Database) -> dict[str, Document]:
    with database.read() as session:
        return {one.title: one for one in session.scalars(select(Document).order_by(Document.id))}


def outcomes(database: Database, import_id: int) -> list[tuple[str, str]]:
    with database.read() as session:
        files = session.scalars(select(ImportFile).where(ImportFile.import_id == import_id).order_by(ImportFile.id))
        return [(file.state, file.reason) for file in files]


def test_a_document_becomes_passages_that_cite_its_clauses(database: Database, clock: StandingClock) -> None:
    work(database, clock, ("办法.txt", PARKING_NEW))
    (document,) = documents(database).values()
    assert (document.number, document.issued_on) == ("云政办发〔2021〕3号", date(2021, 1, 15))
    with database.read() as session:
        passages = list(session.scalars(select(Passage).order_by(Passage.place)))
    assert [one.clause for one in passages] == ["", "第一条", "第二条"]
    assert "五元" in passages[1].text


def test_what_is_refused_says_why_and_the_rest_goes_on(database: Database, clock: StandingClock) -> None:
    done = work(database, clock, ("a.txt", b""), ("b.pdf", b"%PDF-1.7 broken"), ("c.txt", PARKING_NEW))
    assert outcomes(database, done) == [("refused", "document_empty"), ("refused", "document_broken"), ("imported", "")]
    with database.read() as session:
        assert session.get_one(Import, done).state == "done"


def test_the_same_file_is_never_there_twice(database: Database, clock: StandingClock) -> None:
    done = work(database, clock, ("a.txt", PARKING_NEW), ("b.txt", PARKING_NEW))
    assert outcomes(database, done) == [("imported", ""), ("refused", "document_known")]
    assert len(documents(database)) == 1


def test_a_stopped_import_rests_and_goes_on_where_it_was(database: Database, clock: StandingClock) -> None:
    import_id = start(database, clock, ("a.txt", PARKING_OLD), ("b.txt", PARKING_NEW))
    begun = importing.begin_file(database, import_id, clock())
    assert begun
    importing.take_in_file(database, None, clock, *begun)
    with database.write() as session:
        importing.stop(session, import_id)
    assert not importing.take_in(database, None, clock, import_id)
    assert [state for state, _ in outcomes(database, import_id)] == ["imported", "waiting"]
    with database.write() as session:
        importing.resume(session, import_id)
        with pytest.raises(Refused, match="import_not_stopped"):
            importing.resume(session, import_id)
    importing.take_in(database, None, clock, import_id)
    assert [state for state, _ in outcomes(database, import_id)] == ["imported", "imported"]


def test_a_file_that_was_in_work_when_the_worker_died_is_taken_up_again(
    database: Database, clock: StandingClock
) -> None:
    import_id = start(database, clock, ("a.txt", PARKING_NEW))
    assert importing.begin_file(database, import_id, clock())  # and then the worker dies
    with pytest.raises(importing.InOtherHands):
        importing.take_in(database, None, clock, import_id)
    clock.now += importing.CLAIMED_FOR
    importing.take_in(database, None, clock, import_id)
    assert outcomes(database, import_id) == [("imported", "")]


def test_an_import_that_nobody_is_at_is_found_and_one_in_work_is_left_to_its_worker(
    database: Database, clock: StandingClock
) -> None:
    import_id = start(database, clock, ("a.txt", b"x"), ("b.txt", b"y"))

    def abandoned() -> list[int]:
        with database.read() as session:
            return list(importing.abandoned(session, clock()))

    assert abandoned() == [import_id]  # its job never came into the queue
    importing.begin_file(database, import_id, clock())
    assert abandoned() == []
    clock.now += importing.CLAIMED_FOR
    assert abandoned() == [import_id]


def test_a_file_that_ends_every_worker_is_refused_in_the_end(database: Database, clock: StandingClock) -> None:
    import_id = start(database, clock, ("a.txt", PARKING_NEW), ("b.txt", PARKING_OLD))
    for _ in range(importing.TRIES):
        begun = importing.begin_file(database, import_id, clock())
        assert begun and begun[1] == "a.txt"
        clock.now += importing.CLAIMED_FOR
    importing.take_in(database, None, clock, import_id)
    assert outcomes(database, import_id) == [("refused", "document_fatal"), ("imported", "")]


def test_a_file_whose_work_was_done_meanwhile_changes_nothing(database: Database, clock: StandingClock) -> None:
    import_id = start(database, clock, ("a.txt", PARKING_NEW))
    begun = importing.begin_file(database, import_id, clock())
    assert begun
    clock.now += importing.CLAIMED_FOR
    importing.take_in(database, None, clock, import_id)
    importing.take_in_file(database, None, clock, *begun)
    assert outcomes(database, import_id) == [("imported", "")]


def test_of_several_workers_one_gets_a_file_and_none_is_counted_twice(database: Database, clock: StandingClock) -> None:
    names = [f"{number}.txt" for number in range(24)]
    import_id = start(database, clock, *((name, PARKING_NEW) for name in names))

    def begun_by_one(_: int) -> list[str]:
        mine = []
        while begun := importing.begin_file(database, import_id, clock()):
            mine.append(begun[1])
        return mine

    with ThreadPoolExecutor(4) as workers:
        begun = Counter(name for mine in workers.map(begun_by_one, range(4)) for name in mine)
    assert begun == Counter(names)
    with database.read() as session:
        assert set(session.scalars(select(ImportFile.tries))) == {1}


def test_several_workers_end_an_import_together(database: Database, clock: StandingClock) -> None:
    files = [
        (f"{number}.txt", regulation(f"云川市第{number}号养犬办法", "第一条 养犬要登记。")) for number in range(16)
    ]
    import_id = start(database, clock, *files)

    def work_to_the_end(_: int) -> None:
        with suppress(importing.InOtherHands):
            while importing.take_in(database, None, clock, import_id):
                pass

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(work_to_the_end, range(4)))
    assert outcomes(database, import_id) == [("imported", "")] * len(files)
    assert len(documents(database)) == len(files)
    with database.read() as session:
        assert session.get_one(Import, import_id).state == "done"


def test_a_claim_lasts_as_long_as_the_work(
    database: Database, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "RENEWED_EVERY", 0.01)
    import_id = start(database, clock, ("a.txt", PARKING_NEW))
    begun = importing.begin_file(database, import_id, clock())
    assert begun
    with importing.claim_kept(database, clock, begun[0]):
        clock.now += importing.CLAIMED_FOR

        def renewed() -> bool:
            with database.read() as session:
                claimed_until = session.get_one(ImportFile, begun[0]).claimed_until
                return claimed_until is not None and claimed_until > clock()

        until(renewed, "a renewal of the claim")
        assert importing.begin_file(database, import_id, clock()) is None
    clock.now += importing.CLAIMED_FOR
    assert importing.begin_file(database, import_id, clock())


class CountingEmbedder:
    """A model that can be counted on: every text has the same vector."""

    name = "counting"

    def __init__(self) -> None:
        self.made = 0

    def questions(self, texts: Sequence[str]) -> Floats:
        self.made += len(texts)
        return np.ones((len(texts), 1), dtype=np.float32)

    passages = questions


def test_the_vectors_that_search_wants_are_there_before_the_document_is(
    database: Database, clock: StandingClock
) -> None:
    embedder = CountingEmbedder()
    importing.take_in(database, embedder, clock, start(database, clock, ("a.txt", PARKING_NEW)))
    made = embedder.made
    with database.read() as session:
        entries = [entry(one) for one in published(session) if one.id.startswith("passage:")]
    assert len(entries) == 3
    vectors(database, embedder, "query", [text for one in entries for text in one.asked])
    vectors(database, embedder, "passage", [text for one in entries for text in one.told])
    assert embedder.made == made


def test_every_process_hears_of_new_documents(database: Database, clock: StandingClock) -> None:
    def number() -> int:
        with database.read() as session:
            return session.scalar(select(KnowledgeVersion.number)) or 0

    before = number()
    work(database, clock, ("a.txt", PARKING_NEW))
    assert number() > before


@pytest.mark.parametrize(
    "order", [(PARKING_OLD, PARKING_NEW), (PARKING_NEW, PARKING_OLD)], ids=["old first", "new first"]
)
def test_a_document_retires_what_it_says_it_repeals(
    database: Database, clock: StandingClock, order: tuple[bytes, bytes]
) -> None:
    work(database, clock, *((f"{place}.txt", data) for place, data in enumerate(order)))
    found = documents(database)
    old, new = found["云川市停车收费暂行办法"], found["云川市停车收费管理办法"]
    assert (old.state, old.replaced_by_id, new.state) == ("retired", new.id, "published")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["old first", "new first"])
def test_the_newer_one_of_two_with_the_same_title_stays(
    database: Database, clock: StandingClock, order: tuple[int, int]
) -> None:
    versions = [regulation("养犬管理办法", "第一条 养犬要登记。", day) for day in ("2019年5月1日", "2024年5月1日")]
    work(database, clock, *((f"{place}.txt", versions[place]) for place in order))
    with database.read() as session:
        states = {one.issued_on: one.state for one in session.scalars(select(Document))}
    assert states == {date(2019, 5, 1): "retired", date(2024, 5, 1): "published"}


def test_what_is_repealed_from_a_later_day_holds_until_the_day_before(database: Database, clock: StandingClock) -> None:
    coming = regulation("停车新办法", "第一条 本办法自2027年1月1日起施行，《云川市停车收费暂行办法》同时废止。")
    work(database, clock, ("old.txt", PARKING_OLD), ("new.txt", coming))
    old = documents(database)["云川市停车收费暂行办法"]
    assert (old.state, old.valid_until) == ("published", date(2026, 12, 31))
