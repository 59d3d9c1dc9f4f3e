"""Files that people send: what is taken, what is left out of it, and whose it is."""

import io
import zipfile

import pytest
from docx import Document
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook
from PIL import Image

from backend.attachments import (
    FILES_LIMIT,
    LONGEST_SIDE,
    accept,
    attachments_of,
    clean_name,
    keep,
    link_part,
    read_link,
    with_content,
)
from backend.cases import service as cases
from backend.cases.service import Actor, Filing
from backend.conversations import service
from backend.database import Database
from backend.errors import Refused
from backend.knowledge.service import Knowledge
from tests.conftest import NOON
from tests.pictures import photo


def office(book: bool = False) -> bytes:
    packed = io.BytesIO()
    (Workbook() if book else Document()).save(packed)
    return packed.getvalue()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def test_a_photo_is_kept_without_the_place_where_it_was_taken() -> None:
    given = photo(gps=True)
    assert b"Zhang San" in given and opened(given).getexif().get_ifd(0x8825)
    kept = accept(given, "IMG_1.JPG")
    assert (kept.name, kept.media_type) == ("IMG_1.jpg", "image/jpeg")
    assert b"Zhang San" not in kept.content and not opened(kept.content).getexif()


def test_a_photo_of_an_upright_camera_stands_upright() -> None:
    assert opened(accept(photo(size=(40, 30), rotated=True)).content).size == (30, 40)


@pytest.mark.parametrize(("form", "media_type"), [("PNG", "image/png"), ("GIF", "image/png"), ("WEBP", "image/png")])
def test_pictures_are_known_by_their_content(form: str, media_type: str) -> None:
    assert accept(photo(form), "a.exe").media_type == media_type


def test_a_large_photo_is_made_smaller() -> None:
    assert max(opened(accept(photo(size=(4000, 1000))).content).size) == LONGEST_SIDE


@pytest.mark.parametrize(("content", "ending"), [(b"%PDF-1.7 ...", "pdf"), (office(), "docx"), (office(True), "xlsx")])
def test_documents_are_taken_where_they_may_be(content: bytes, ending: str) -> None:
    assert accept(content, "答复.bin").name == f"答复.{ending}"
    with pytest.raises(Refused, match="attachment_picture"):
        accept(content, pictures_only=True)


def macros() -> bytes:
    packed = io.BytesIO(office())
    with zipfile.ZipFile(packed, "a") as file:
        file.writestr("word/vbaProject.bin", b"x")
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "attachment_kind"),
        (b"<html><script>", "attachment_kind"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "attachment_kind"),
        (b"MZ\x90", "attachment_kind"),
        (macros(), "attachment_kind"),
        (photo()[:300], "attachment_broken"),
        (b"\x00" * 10_000_001, "attachment_too_large"),
    ],
)
def test_anything_else_is_refused_and_the_reason_is_said(content: bytes, code: str) -> None:
    with pytest.raises(Refused, match=code):
        accept(content, "photo.jpg")


def test_a_picture_that_unpacks_to_more_than_memory_is_refused() -> None:
    packed = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(packed, "PNG")
    with pytest.raises(Refused, match="attachment"):
        accept(packed.getvalue())


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=200), st.sampled_from([b"", b"%PDF-", b"PK\x03\x04", *(photo(form) for form in ("JPEG", "PNG"))])
)
def test_no_bytes_do_more_than_be_refused(noise: bytes, start: bytes) -> None:
    cut = start[: max(5, len(start) - len(noise))]
    try:
        assert accept(cut + noise).media_type
    except Refused as refusal:
        assert refusal.status in (413, 422)


@given(st.text())
def test_a_name_has_no_folders_and_one_ending(name: str) -> None:
    clean = clean_name(name, "jpg")
    assert clean.endswith(".jpg") and not set(clean) & set('/\\\x00\r\n"') and len(clean) <= 120


def test_what_was_sent_in_a_chat_belongs_to_the_case_that_comes_of_it(database: Database) -> None:
    with database.write() as session:
        conversation, _ = service.open_conversation(session, "chat", "zh", NOON)
        file = accept(photo())
        first = keep(session, file, NOON, conversation_id=conversation.id)
        assert keep(session, file, NOON, conversation_id=conversation.id).id == first.id  # sent twice, kept once
        filing = Filing("路灯不亮", conversation_id=conversation.id)
        case = cases.file_case(session, Knowledge(database), filing, Actor("citizen"), NOON, "shandong")
        assert [one.id for one in attachments_of(session, case_id=case.id)] == [first.id]
        hidden = keep(session, accept(photo("PNG")), NOON, case_id=case.id, for_citizen=False)
        assert [one.id for one in attachments_of(session, case_id=case.id, for_citizen=True)] == [first.id]
        assert with_content(session, hidden.id).content


def test_there_is_an_end_to_how_many_files_one_may_send(database: Database) -> None:
    with database.write() as session:
        conversation, _ = service.open_conversation(session, "chat", "zh", NOON)
        for size in range(FILES_LIMIT):
            keep(session, accept(photo(size=(40 + size, 30))), NOON, conversation_id=conversation.id)
        with pytest.raises(Refused, match="attachment_count"):
            keep(session, accept(photo("PNG")), NOON, conversation_id=conversation.id)


def test_a_link_opens_one_file_and_no_other() -> None:
    token = link_part("k" * 32, 7)
    assert read_link("k" * 32, token) == 7
    for forged in ("8" + token[1:], token[:-1], "7", link_part("x" * 32, 7)):
        with pytest.raises(Refused, match="not_found"):
            read_link("k" * 32, forged)
