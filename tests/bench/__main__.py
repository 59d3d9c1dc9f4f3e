"""`make bench`: measures the line beside a baseline of the same run; `make bench ONLY=turns` runs one.

Each bench prints a table and writes build/bench/<name>.json with ours, the baselines, the machine and the commit.
"""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from backend.settings import ROOT
from tests.bench import (
    bots,
    cases,
    consoles,
    documents,
    fuzz,
    gaps,
    hot,
    insight,
    nlu,
    phone,
    questions,
    routing,
    sameness,
    search,
    turns,
    warning,
)

BENCHES: dict[str, Callable[[], dict[str, Any]]] = {
    "nlu": nlu.run,
    "turns": turns.run,
    "bots": bots.run,
    "phone": phone.run,
    "consoles": consoles.run,
    "questions": questions.run,
    "search": search.run,
    "gaps": gaps.run,
    "routing": routing.run,
    "sameness": sameness.run,
    "cases": cases.run,
    "documents": documents.run,
    "insight": insight.run,
    "warning": warning.run,
    "hot": hot.run,
    "fuzz": fuzz.run,
}
RESULTS = ROOT / "build" / "bench"


def main() -> None:
    """Run the benches named on the command line, or all."""
    names = sys.argv[1:] or list(BENCHES)
    for name in names:
        if name not in BENCHES:
            sys.exit(f"no bench {name}; there are: {', '.join(BENCHES)}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in names:
        result = BENCHES[name]()
        (RESULTS / f"{name}.json").write_text(json.dumps(result | where(), ensure_ascii=False, indent=1))
        print(f"build/bench/{name}.json\n", flush=True)


def where() -> dict[str, Any]:
    """The machine, the commit and the time."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return {
        "machine": {"cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "commit": commit.stdout.strip(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


if __name__ == "__main__":
    main()
