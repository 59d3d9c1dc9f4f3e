"""The text of a PDF, read in a process of its own: a hostile or endless file costs a minute and a refusal, not the worker.

Run as a program (`python -m backend.knowledge.pdf`) it takes the file from standard input and writes JSON to standard
output: the lines of each page, or the code of a refusal.
"""

import io
import json
import resource
import subprocess
import sys

import pypdf

from backend.errors import Refused
from backend.settings import ROOT

PAGES = 2000
CHARACTERS = 2_000_000
SECONDS = 60.0
"""A law of 400 pages takes about ten seconds."""
MEMORY_BYTES = 2_000_000_000

Pages = list[list[str]]
"""The lines of each page."""


def pages_of(data: bytes, seconds: float = SECONDS) -> Pages:
    """The lines of each page of a PDF, read within so many seconds. Raises Refused."""
    program = [sys.executable, "-m", "backend.knowledge.pdf"]
    try:
        done = subprocess.run(program, input=data, capture_output=True, timeout=seconds, cwd=ROOT, check=False)
    except subprocess.TimeoutExpired:
        raise Refused("document_slow") from None
    if done.returncode != 0:  # it broke its reader, or wanted more memory than there may be
        raise Refused("document_broken")
    found: dict[str, Pages] = json.loads(done.stdout)
    if "refused" in found:
        raise Refused(str(found["refused"]))
    return found["pages"]


def read(data: bytes) -> Pages:
    """The same in this process, however long it takes. Raises Refused; of a broken file whatever that leads pypdf to."""
    reader = pypdf.PdfReader(io.BytesIO(data))
    if reader.is_encrypted and not reader.decrypt(""):
        raise Refused("document_password")
    if len(reader.pages) > PAGES:
        raise Refused("document_too_large")
    found: Pages = []
    size = 0
    for page in reader.pages:
        text = page.extract_text()
        size += len(text)
        if size > CHARACTERS:
            raise Refused("document_too_large")
        found.append(text.splitlines())
    return found


def main() -> None:
    """Read the file at standard input."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    found: dict[str, Pages | str]
    try:
        found = {"pages": read(sys.stdin.buffer.read())}
    except Refused as refused:
        found = {"refused": refused.code}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
