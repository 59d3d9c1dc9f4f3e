"""The READMEs are true where a program can tell: what they name exists, and both languages say as much."""

import re
from pathlib import Path

import pytest

from backend.settings import ROOT

READMES = ("README.md", "README.zh-CN.md")
MADE_LATER = (".env", ".venv/", "var/", "build/", "../")
"""What setup, running and benches make, and what is beside the checkout: none of it is in a fresh one."""
FILE = re.compile(r"(?:[\w.*-]+/)+[\w.*-]*|[\w.-]+\.(?:yaml|yml|lock|txt|md|py|toml|csv)")


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def code_in(name: str) -> list[str]:
    """What stands in backticks, and the indented lines of commands."""
    text = text_of(name)
    return re.findall(r"`([^`\n]+)`", text) + re.findall(r"^ {4}(.+)$", text, re.MULTILINE)


def named_paths(name: str) -> set[str]:
    """The paths in backticks, without addresses of the line and what is made later."""
    spans = re.findall(r"`([^`\n]+)`", text_of(name))
    return {span for span in spans if FILE.fullmatch(span) and not span.startswith(MADE_LATER)}


@pytest.mark.parametrize("name", READMES)
def test_every_path_in_backticks_exists(name: str) -> None:
    paths = named_paths(name)
    assert len(paths) > 10
    assert [path for path in sorted(paths) if not list(ROOT.glob(path))] == []


@pytest.mark.parametrize("name", READMES)
def test_every_make_target_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z ]+):", text_of("Makefile"), re.MULTILINE))
    known = {target for line in targets for target in line.split()}
    named = {target for code in code_in(name) for target in re.findall(r"\bmake ([a-z]+)", code)}
    assert {"run", "test", "call", "bench"} <= named
    assert named - known == set()


@pytest.mark.parametrize("name", READMES)
def test_every_module_that_is_run_exists(name: str) -> None:
    modules = {module for code in code_in(name) for module in re.findall(r"python -m ([\w.]+)", code)}
    assert modules
    assert [
        module for module in sorted(modules) if not Path(ROOT, *module.split(".")).with_suffix(".py").exists()
    ] == []


@pytest.mark.parametrize("name", READMES)
def test_every_setting_exists(name: str) -> None:
    known = "".join(text_of(file) for file in (".env.example", "tests/conftest.py", "backend/setup/environments.py"))
    named = {setting for code in code_in(name) for setting in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", code)}
    assert named
    assert [setting for setting in sorted(named) if setting not in known] == []


def test_both_languages_have_the_same_headings_and_each_names_the_other() -> None:
    levels = [re.findall(r"^(#+) ", text_of(name), re.MULTILINE) for name in READMES]
    assert levels[0] == levels[1]
    for name, other in (READMES, READMES[::-1]):
        assert f"]({other})" in "".join(text_of(name).splitlines()[:4])


def test_both_languages_name_the_same_files() -> None:
    assert named_paths(READMES[0]) == named_paths(READMES[1])
