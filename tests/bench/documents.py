"""Documents: how long 800 documents with a million characters take to become passages, and their vectors.

Beside it stands plain cutting into pieces of the same greatest length, by the same converters and into the same record,
as a document loader without a sense of structure does. The text of both parts is made up by a generator.
"""

import io
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import docx
from sqlalchemy import func, select

from backend.clock import utc_now
from backend.database import Database
from backend.knowledge import importing
from backend.knowledge.cutting import CUT_ABOVE, Block, Piece, Row, cut
from backend.knowledge.embedding import Embedder, nano_e5
from backend.knowledge.models import ImportFile, Passage
from tests.conftest import build

DOCUMENTS = 800
CHARACTERS = 1250
"""Of each document: 800 have a million."""
VECTOR_SAMPLE = 200
"""Passages whose vectors are timed; all of them would take minutes that tell nothing more."""
WORDS = (
    *("申请", "材料", "办理", "窗口", "登记", "费用", "时限", "审核", "公示", "补贴", "单位"),
    *("个人", "住所", "证件", "车辆", "停放", "学校", "医院", "供热", "供水", "道路", "照明"),
)


def run() -> dict[str, Any]:
    """Import everything twice and print the table."""
    files = list(made_documents())
    rows = [imported("by structure", files, cut), imported("by length", files, cut_by_length)]
    print(
        f"{'cutting':<16}{'documents':>10}{'passages':>10}{'text s':>9}{'documents/s':>13}{'citable':>9}{'vectors s':>11}"
    )
    for row in rows:
        vectors = f"{row['vector_seconds']:>11.0f}" if row["vector_seconds"] else f"{'-':>11}"
        print(
            f"{row['cutting']:<16}{row['documents']:>10}{row['passages']:>10}{row['text_seconds']:>9.1f}"
            f"{row['documents'] / row['text_seconds']:>13.1f}{row['citable']:>9.1%}{vectors}"
        )
    print(f"  vectors: the time of {VECTOR_SAMPLE} passages, scaled up to all")
    return {"rows": rows}


def imported(name: str, files: list[tuple[str, bytes]], cutting: Callable[[Any, str], list[Piece]]) -> dict[str, Any]:
    """Import the files into a fresh record with this way of cutting."""
    with tempfile.TemporaryDirectory() as folder, patch.object(importing, "cut", cutting):
        url = f"sqlite:///{Path(folder) / 'line.sqlite3'}"
        build(url)
        database = Database(url)
        with database.write() as session:
            import_id = importing.start_import(session, files, None, utc_now).id
        began = time.perf_counter()
        while importing.take_in(database, None, utc_now, import_id):
            pass
        seconds = time.perf_counter() - began
        with database.read() as session:
            documents = session.scalar(select(func.count()).where(ImportFile.state == "imported")) or 0
            passages = session.scalars(select(Passage)).all()
        database.close()
        return {
            "cutting": name,
            "documents": documents,
            "passages": len(passages),
            "text_seconds": seconds,
            "citable": sum(bool(one.clause or one.heading) for one in passages) / len(passages),
            "vector_seconds": vector_seconds(nano_e5(), [one.text for one in passages]),
        }


def vector_seconds(embedder: Embedder | None, texts: list[str]) -> float | None:
    """How long the vectors of all these texts take, by a sample of them."""
    if embedder is None:
        return None
    sample = random.Random(1).sample(texts, min(VECTOR_SAMPLE, len(texts)))
    embedder.passages(sample[:5])  # what is loaded at first use is not measured
    began = time.perf_counter()
    embedder.passages(sample)
    return (time.perf_counter() - began) / len(sample) * len(texts)


def cut_by_length(blocks: list[Block], title: str) -> list[Piece]:
    """The baseline: pieces of CUT_ABOVE characters, wherever they end."""
    text = "\n".join(" ".join(block.cells) if isinstance(block, Row) else block.text for block in blocks)
    return [Piece("", "", text[begin : begin + CUT_ABOVE]) for begin in range(0, len(text), CUT_ABOVE)]


def made_documents() -> Iterator[tuple[str, bytes]]:
    """Regulations of invented words, in turn as docx, html and txt."""
    dice = random.Random(12345)
    for number in range(DOCUMENTS):
        title = f"云川市第{number}号{dice.choice(WORDS)}{dice.choice(WORDS)}管理办法"
        lines = [f"云政发〔2021〕{number + 1}号"]
        clause = 0
        while sum(map(len, lines)) < CHARACTERS:
            if clause % 6 == 0:
                lines.append(f"第{numeral(clause // 6 + 1)}章 {dice.choice(WORDS)}")
            clause += 1
            lines.append(f"第{numeral(clause)}条　{sentence(dice)}{sentence(dice)}")
            if clause % 5 == 0:
                lines += [f"（{sign}）{sentence(dice)}" for sign in "一二三"]
        lines.append(f"第{numeral(clause + 1)}条　本办法自2021年3月1日起施行。")
        kind = ("docx", "html", "txt")[number % 3]
        yield f"{number}.{kind}", FORMATS[kind](title, lines)


def sentence(dice: random.Random) -> str:
    """Words that mean nothing, as long as a sentence."""
    return "".join(dice.choices(WORDS, k=dice.randint(8, 20))) + "。"


def numeral(number: int) -> str:
    """A Chinese numeral below a hundred."""
    digits = "零一二三四五六七八九"
    tens, ones = divmod(number, 10)
    return (("" if tens == 1 else digits[tens]) + "十" if tens else "") + (digits[ones] if ones else "")


def as_docx(title: str, lines: list[str]) -> bytes:
    """A Word file."""
    document = docx.Document()
    document.add_heading(title, 0)
    for line in lines:
        document.add_paragraph(line)
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def as_html(title: str, lines: list[str]) -> bytes:
    """A web page."""
    return f"<!doctype html><html><body><h1>{title}</h1>{''.join(f'<p>{line}</p>' for line in lines)}</body></html>".encode()


def as_text(title: str, lines: list[str]) -> bytes:
    """A text file."""
    return "\n".join([title, *lines]).encode()


FORMATS = {"docx": as_docx, "html": as_html, "txt": as_text}
