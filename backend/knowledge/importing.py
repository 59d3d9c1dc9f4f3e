"""Takes uploaded files into the knowledge, one by one, each in a transaction of its own.

How far an import has come stands in its rows and nowhere else. So it can be stopped and resumed, and several workers may
be at it: each claims a file and renews the claim while it works. After `kill -9` the claim lapses and the file is simply
taken up again; the digest of its bytes keeps a document from being there twice.
"""

import hashlib
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from threading import Event, Thread

from sqlalchemy import func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.clock import Clock, local
from backend.database import Database
from backend.errors import Refused
from backend.knowledge.cutting import Piece, cut
from backend.knowledge.documents import read
from backend.knowledge.embedding import Embedder, EmbeddingFailed, vectors
from backend.knowledge.metadata import Metadata, Named, core, metadata_of, repealed_by
from backend.knowledge.models import Document, Import, ImportFile, Passage
from backend.knowledge.service import changed

TRIES = 3
"""A file that a worker has begun so often without an end is what ends the worker, and is refused."""
SHOWN_AFTER = 10.0
"""Seconds after which documents that are in become visible, although the batch goes on. Each time every process builds
its index anew, so not after every file."""

CLAIMED_FOR = timedelta(seconds=30)
"""How long a file is left to the worker that has claimed it, when nothing more is heard of that one."""
RENEWED_EVERY = 10.0
"""Seconds between two renewals of a claim."""

log = logging.getLogger(__name__)


class InOtherHands(Exception):
    """Every file that is still waiting is claimed by other workers."""


def start_import(session: Session, files: Iterable[tuple[str, bytes]], staff_id: int | None, clock: Clock) -> Import:
    """Note an import of these files (name, bytes); a worker takes them in."""
    started = Import(state="running", started_by_id=staff_id, started_at=clock())
    started.files = [ImportFile(file_name=name[-255:], file=data) for name, data in files]
    session.add(started)
    session.flush()
    return started


def stop(session: Session, import_id: int) -> None:
    """Let an import rest after the file in work. Raises Refused when it isn't running."""
    found = find_import(session, import_id)
    if found.state != "running":
        raise Refused("import_not_running", 409)
    found.state = "stopped"


def resume(session: Session, import_id: int) -> None:
    """Let a stopped import go on. Raises Refused when it isn't stopped."""
    found = find_import(session, import_id)
    if found.state != "stopped":
        raise Refused("import_not_stopped", 409)
    found.state = "running"


def find_import(session: Session, import_id: int) -> Import:
    """The import, locked for this transaction. Raises Refused when there is none."""
    found = session.get(Import, import_id, with_for_update=True)
    if found is None:
        raise Refused("not_found", 404)
    return found


def counts(session: Session, import_id: int) -> dict[str, int]:
    """How many files of an import are waiting, imported, refused."""
    by_state = (
        select(ImportFile.state, func.count()).where(ImportFile.import_id == import_id).group_by(ImportFile.state)
    )
    return {"waiting": 0, "imported": 0, "refused": 0} | {state: count for state, count in session.execute(by_state)}


def unfinished(session: Session) -> Sequence[int]:
    """The imports that a worker should be at."""
    return session.scalars(select(Import.id).where(Import.state == "running").order_by(Import.id)).all()


def abandoned(session: Session, now: datetime) -> Sequence[int]:
    """The imports of these at which no worker is: none of their files is claimed."""
    claimed = select(ImportFile.import_id).where(ImportFile.state == "waiting", ImportFile.claimed_until > now)
    query = select(Import.id).where(Import.state == "running", Import.id.not_in(claimed)).order_by(Import.id)
    return session.scalars(query).all()


# --- the worker's part ----------------------------------------------------------------------------------------------


def take_in(database: Database, embedder: Embedder | None, clock: Clock, import_id: int) -> bool:
    """Take in files of an import for about SHOWN_AFTER seconds, then make them visible; returns whether more is to do.

    Raises InOtherHands when more is to do, but at this moment nothing for this worker.
    """
    began, took = time.monotonic(), False
    while time.monotonic() - began < SHOWN_AFTER and (begun := begin_file(database, import_id, clock())):
        took = True
        try:
            with claim_kept(database, clock, begun[0]):
                take_in_file(database, embedder, clock, *begun)
        except IntegrityError:
            log.info("file %s came in twice at the same time", begun[0])  # the next try finds it
    with database.write() as session:
        if took:
            changed(session)
        found = find_import(session, import_id)
        waiting = counts(session, import_id)["waiting"]
        if found.state == "running" and not waiting:
            found.state, found.finished_at = "done", clock()
        if found.state == "running" and not took:
            raise InOtherHands
        return found.state == "running"


def begin_file(database: Database, import_id: int, now: datetime) -> tuple[int, str, bytes] | None:
    """Claim the next waiting file (id, name, bytes), noted as begun once more; None when the import is stopped or through,
    or other workers have claimed the rest. Of several workers one gets a file: the others find it no longer free."""
    unclaimed = or_(ImportFile.claimed_until.is_(None), ImportFile.claimed_until <= now)
    free = ImportFile.import_id == import_id, ImportFile.state == "waiting", unclaimed
    while True:
        with database.write() as session:
            if session.scalar(select(Import.state).where(Import.id == import_id)) != "running":
                return None
            file = session.scalar(select(ImportFile).where(*free).order_by(ImportFile.id).limit(1))
            if file is None:
                return None
            claimed = session.execute(
                update(ImportFile)
                .where(ImportFile.id == file.id, *free)
                .values(tries=ImportFile.tries + 1, claimed_until=now + CLAIMED_FOR)
                .execution_options(synchronize_session=False)
            )
            if not claimed.rowcount:  # type: ignore[attr-defined]  # an UPDATE's result has it
                continue
            if file.tries < TRIES:  # as it was before the claim
                return file.id, file.file_name, file.file or b""
            refuse(file, "document_fatal")


@contextmanager
def claim_kept(database: Database, clock: Clock, file_id: int) -> Iterator[None]:
    """Renew the claim to a file while it is in work, however long that takes; it lapses only when the worker dies."""
    over = Event()

    def renew() -> None:
        while not over.wait(RENEWED_EVERY):
            with database.write() as session:
                until = clock() + CLAIMED_FOR
                session.execute(update(ImportFile).where(ImportFile.id == file_id).values(claimed_until=until))

    renewing = Thread(target=renew, daemon=True)
    renewing.start()
    try:
        yield
    finally:
        over.set()
        renewing.join()


def take_in_file(
    database: Database, embedder: Embedder | None, clock: Clock, file_id: int, name: str, data: bytes
) -> None:
    """Make a document of one file, or note why not."""
    digest = hashlib.sha256(data).hexdigest()
    try:
        metadata, pieces = passages_of(name, data)
    except Refused as refused:
        with database.write() as session:
            refuse(session.get_one(ImportFile, file_id), refused.code)
        return
    if embedder:
        try:
            vectors(database, embedder, "query", [metadata.title])  # what search compares questions with (service.py)
            vectors(database, embedder, "passage", [piece.text for piece in pieces])
        except EmbeddingFailed as failure:
            log.warning("no vectors for file %s: %s", file_id, failure)  # search makes up for them
    with database.write() as session:
        file = session.get_one(ImportFile, file_id, with_for_update=True)
        if file.state != "waiting":
            return
        known = session.scalar(select(Document.id).where(Document.digest == digest))
        if known:
            refuse(file, "document_known")
            file.document_id = known
            return
        added = add_document(session, name, data, digest, metadata, pieces, file.import_id, clock)
        file.state, file.document_id, file.file = "imported", added.id, None


def passages_of(name: str, data: bytes) -> tuple[Metadata, list[Piece]]:
    """What a file says about itself, and its passages. Raises Refused."""
    content = read(name, data)
    metadata = metadata_of(content.blocks, content.title, name)
    return metadata, cut(content.blocks, metadata.title)


def refuse(file: ImportFile, reason: str) -> None:
    """Note that a file was not taken in; its bytes are not kept."""
    file.state, file.reason, file.file = "refused", reason, None


def add_document(
    session: Session,
    name: str,
    data: bytes,
    digest: str,
    metadata: Metadata,
    pieces: Sequence[Piece],
    import_id: int,
    clock: Clock,
) -> Document:
    """Add a document with its passages, retiring what it replaces."""
    added = Document(
        **vars(metadata),
        file_name=name,
        digest=digest,
        file=data,
        added_by_id=session.get_one(Import, import_id).started_by_id,
        added_at=clock(),
        changed_at=clock(),
        passages=[
            Passage(place=place, heading=piece.heading, clause=piece.clause, text=piece.text)
            for place, piece in enumerate(pieces)
        ],
    )
    session.add(added)
    session.flush()
    settle(session, added, local(clock()).date())
    return added


# --- what replaces what ---------------------------------------------------------------------------------------------


def settle(session: Session, added: Document, today: date) -> None:
    """Retire what a new document replaces, and the new one itself when a newer one is here already."""
    named = [one for passage in added.passages for one in repealed_by(passage.text)]
    for other in akin(session, added, named):
        if any(is_named(other, one) for one in named) or is_newer(added, other):
            replace(other, added, today)
        elif is_newer(other, added):
            replace(added, other, today)
    repealing = select(Passage.document_id, Passage.text).where(
        Passage.text.contains("废止"), Passage.document_id != added.id
    )
    for document_id, text in session.execute(repealing).all():
        if any(is_named(added, one) for one in repealed_by(text)):
            replace(added, session.get_one(Document, document_id), today)


def akin(session: Session, added: Document, named: Sequence[Named]) -> list[Document]:
    """The other documents with the title or number of `added` or of one that it names; only these are loaded."""
    titles = {core(added.title), *(core(one.title) for one in named)}
    numbers = {added.number, *(one.number for one in named)} - {""}
    known = session.execute(select(Document.id, Document.title, Document.number).order_by(Document.id))
    ids = [id for id, title, number in known if number in numbers or core(title) in titles]
    return [session.get_one(Document, id) for id in ids if id != added.id]


def is_named(document: Document, named: Named) -> bool:
    """Whether this is the document that another one names."""
    if named.number and document.number:
        return named.number == document.number
    return core(named.title) == core(document.title)


def is_newer(one: Document, other: Document) -> bool:
    """Whether `one` is a newer version of `other`: the same number or title from the same issuer, and a later date."""
    if one.issuer and other.issuer and one.issuer != other.issuer:
        return False
    same = core(one.title) == core(other.title) or (one.number != "" and one.number == other.number)
    dates = one.issued_on or one.valid_from, other.issued_on or other.valid_from
    return same and dates[0] is not None and dates[1] is not None and dates[0] > dates[1]


def replace(old: Document, new: Document, today: date) -> None:
    """Retire `old` because `new` replaces it; when `new` holds only from a later day, `old` holds until the day before."""
    if old.id == new.id or new.replaced_by_id == old.id:
        return
    old.replaced_by_id = new.id
    if new.valid_from and new.valid_from > today:
        last = new.valid_from - timedelta(days=1)
        old.valid_until = min(old.valid_until or last, last)
    else:
        old.state = "retired"
