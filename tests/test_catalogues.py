"""Everything that a person reads or hears is there in both languages, with the same facts in it."""

import string
from pathlib import Path

import pytest
import yaml

from backend.settings import ROOT
from bot.catalogue import LOCALES, Catalogue

CATALOGUES = sorted(
    path
    for path in [*ROOT.glob("backend/**/*.yml"), *ROOT.glob("bot/phrases.yml"), *ROOT.glob("ivr/*.yml")]
    if "setup" not in path.parts
)


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name}


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_phrase_is_there_in_every_language_that_may_be_asked_for(path: Path) -> None:
    for key, entry in Catalogue(path).entries.items():
        assert isinstance(key, str)
        assert set(entry) - {"yue"} == set(LOCALES), key
        for_callers = path.name == "prompts.yml" and not key.startswith("bridge_")  # what operators and agencies hear
        assert "yue" in entry or not for_callers, key
        for forms in entry.values():
            for sentence in [forms] if isinstance(forms, str) else [forms["text"], forms["speech"]]:
                assert sentence.strip(), key


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_phrase_stands_twice_where_the_later_one_would_be_said_for_both(path: Path) -> None:
    entries = yaml.compose(path.read_text(encoding="utf-8"))
    assert isinstance(entries, yaml.MappingNode)
    keys = [key.value for key, _ in entries.value]
    assert sorted(keys) == sorted(set(keys))


def test_both_languages_of_a_refusal_name_the_same_facts() -> None:
    for key, entry in Catalogue(ROOT / "backend" / "errors.yml").entries.items():
        assert placeholders(entry["zh"]) == placeholders(entry["en"]), key


def test_english_and_chinese_never_mix_in_what_is_spoken() -> None:
    for path in CATALOGUES:
        for key, entry in yaml.safe_load(path.read_text(encoding="utf-8")).items():
            english = entry["en"] if isinstance(entry["en"], str) else entry["en"]["speech"]
            assert not any("一" <= sign <= "鿿" for sign in english), f"{path.name}: {key}"
