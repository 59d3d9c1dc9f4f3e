"""docs/telephone.md names every verb, attribute and callback that the line uses, each with a test that is there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from flask import Flask

from backend.settings import ROOT

DOCUMENT = ROOT / "docs" / "telephone.md"
VERBS = {
    "say": "Say", "prosody": "prosody", "play": "Play", "pause": "Pause", "gather": "Gather", "record": "Record",
    "redirect": "Redirect", "enqueue": "Enqueue", "leave": "Leave", "dial": "Dial", "number": "Number", "client": "Client",
    "conference": "Conference", "hangup": "Hangup", "connect": "Connect", "conversation_relay": "ConversationRelay",
    "language": "Language",
}  # fmt: skip
"""Methods of the twilio package that add an element -> the element."""
WRITERS = ("twiml.py", "relay.py", "fallback.py")
"""The only files of ivr/ that write TwiML."""


def rows() -> list[list[str]]:
    """The cells of the document's tables."""
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| [`<]", line)]


def documented() -> dict[str, set[str]]:
    """element -> its attributes in the document."""
    found: dict[str, set[str]] = {}
    for first, second, *_ in rows():
        if element := re.fullmatch(r"`<(\w+)>`", first):
            found.setdefault(element[1], set()).update(re.findall(r"`(\w+)`", second))
    return found


def written() -> Iterator[tuple[str, set[str]]]:
    """(element, attributes) of each place in the code that writes one."""
    for name in WRITERS:
        tree = ast.parse((ROOT / "ivr" / name).read_text(encoding="utf-8"))
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            function = call.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            own = isinstance(function, ast.Attribute) and getattr(function.value, "id", "") in (
                "self",
                "voice",
                "speaker",
            )
            element = VERBS.get(name) or (name if name in VERBS.values() else None)
            if element and not own:
                yield element, {camel(keyword.arg) for keyword in call.keywords if keyword.arg}


def camel(name: str) -> str:
    """An attribute as the twilio package writes it."""
    first, *more = name.split("_")
    return first + "".join(part.title() for part in more)


def test_every_verb_and_attribute_that_the_line_writes_is_documented() -> None:
    known = documented()
    missing = {(element, name) for element, names in written() for name in names - known.get(element, set())}
    missing |= {(element, "") for element, _ in written() if element not in known}
    assert missing == set()


def test_every_webhook_of_the_line_is_documented(app: Flask) -> None:
    addresses = {rule.rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/ivr/")}
    told = {match[0] for cells in rows() for match in re.findall(r"`(/ivr/[\w.-]+)`()", cells[0])}
    assert addresses == told


def test_every_row_names_tests_that_are_there() -> None:
    there = set()
    for path in Path(ROOT / "tests").rglob("test_*.py"):
        there |= set(re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
    for cells in rows():
        named = re.findall(r"`(test_\w+)`", cells[-1])
        assert named, cells
        assert set(named) <= there, set(named) - there
