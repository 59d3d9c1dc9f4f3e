"""The licences of all packages of both environments, as their metadata says, against the lists of licences.yml:
`python -m backend.setup.licences` refuses what may not be installed (at every lint), `--list` prints them all.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import yaml

from backend.setup.environments import BOT, WEB

LISTS = Path(__file__).with_name("licences.yml")


@dataclass(frozen=True)
class Package:
    """An installed package and what it says about its licence."""

    name: str
    version: str
    licence: str


def installed(environment: Path, elsewhere: dict[str, str]) -> Iterator[Package]:
    """The packages of an environment, by name; `elsewhere` says of some what their metadata doesn't."""
    folders = [str(folder) for folder in environment.glob("lib/python3*/site-packages")]
    for found in sorted(distributions(path=folders), key=lambda one: one.metadata["Name"].lower()):
        name = found.metadata["Name"]
        yield Package(name, found.version, elsewhere.get(name) or licence_of(found.metadata))


def licence_of(metadata: Message | Any) -> str:
    """What the metadata says: an SPDX expression, else the classifiers, else the first line of its free text; with all of
    them where one alone says nothing."""
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = [
        line.rsplit("::", 1)[-1].strip()
        for line in metadata.get_all("Classifier") or []
        if line.startswith("License ::") and not line.endswith("OSI Approved")
    ]
    return " / ".join(classifiers) or (metadata.get("License") or "").strip().split("\n")[0][:60]


def is_taken(licence: str, lists: dict[str, list[str]]) -> bool:
    """Whether a licence may be used: of an expression's alternatives one is enough, of what it joins all must be."""
    return any(
        all(one_is_taken(part, lists) for part in re.split(r"\s+AND\s+", choice.strip("() ")))
        for choice in re.split(r"\s+OR\s+", licence)
    )


def one_is_taken(licence: str, lists: dict[str, list[str]]) -> bool:
    """Whether one licence has a sign of the taken ones and none of the refused."""
    said = re.sub(r"Lesser General Public License v", "Lesser General Public License ", licence).lower()
    if any(sign.lower() in re.sub(r"\blgpl-", "lesser-", said) for sign in lists["refused"]):
        return False
    return any(re.search(rf"\b{re.escape(sign.lower())}", said) for sign in lists["taken"])


def main(arguments: list[str]) -> int:
    """Look at both environments, the bot's where it is there; returns the exit status, 1 when something may not be used."""
    lists = yaml.safe_load(LISTS.read_text(encoding="utf-8"))
    refused = []
    for name, environment in (("web", WEB), ("bot", BOT)):
        for package in installed(environment, lists["said_elsewhere"]):
            if "--list" in arguments:
                print(f"{name}\t{package.name}\t{package.version}\t{package.licence}")
            if not is_taken(package.licence, lists):
                refused.append(f"{package.name} {package.version} ({name}): {package.licence or 'none said'}")
    if refused:
        print("许可证不在名单上 / licences not on the list (backend/setup/licences.yml):", file=sys.stderr)
        print("\n".join(f"  {one}" for one in refused), file=sys.stderr)
    return bool(refused)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
