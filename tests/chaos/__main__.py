"""`make chaos`: long storms on SQLite and on PostgreSQL, and what came of them. SEED repeats one, PEOPLE says how many."""

import contextlib
import json
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from backend.settings import ROOT
from tests.bench.__main__ import where
from tests.chaos.storm import RECOVERED_WITHIN, Person, Storm
from tests.conftest import POSTGRES, postgres_url

AT_ONCE = 8


def main() -> int:
    """Run the storms and print the account; returns 1 when something was lost, doubled or ended in nothing."""
    people, seed = (
        int(os.environ.get("PEOPLE", "500")),
        int(os.environ.get("SEED", random.SystemRandom().randrange(10**6))),
    )
    faults, results = 0, {}
    for name, place in (("sqlite", nowhere), ("postgresql", database)):
        with tempfile.TemporaryDirectory() as folder, place() as url:
            storm = Storm(Path(folder), seed, url)
            crowd = storm.run(people, AT_ONCE)
        results[name] = account(name, storm, crowd)
        faults += results[name]["faults"]
    path = ROOT / "build" / "bench" / "chaos.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results | where(), ensure_ascii=False, indent=1))
    return 1 if faults else 0


@contextlib.contextmanager
def nowhere() -> Iterator[None]:
    """The line's own SQLite file."""
    yield None


@contextlib.contextmanager
def database() -> Iterator[str]:
    """A database of the test server."""
    name = f"line_chaos_{os.getpid()}"
    with psycopg.connect(POSTGRES, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield postgres_url(name)
        finally:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def account(name: str, storm: Storm, crowd: list[Person]) -> dict[str, Any]:
    """Print one storm's figures; returns them."""
    ends = Counter("+".join(sorted(person.ends)) or "nothing" for person in crowd)
    wrong = [person for person in crowd if not person.ends or person.ends & {"lost", "doubled"}]
    told, slowest = sum(bool(person.told) for person in crowd), max(storm.recoveries, default=0.0)
    print(
        f"{name}: seed {storm.seed}, {len(crowd)} people, {sum(storm.struck.values())} disasters: {dict(storm.struck)}"
    )
    print(f"  ends: {dict(ends)}; told that a case is filed: {told}")
    print(
        f"  lost, doubled or nothing: {len(wrong)}; slowest recovery {slowest:.1f} s (limit {RECOVERED_WITHIN:.0f} s)"
    )
    for person in wrong:
        print(f"  {person}")
    return {
        "seed": storm.seed,
        "people": len(crowd),
        "disasters": dict(storm.struck),
        "ends": dict(ends),
        "told": told,
        "slowest_recovery": slowest,
        "faults": len(wrong) + (slowest > RECOVERED_WITHIN),
    }


if __name__ == "__main__":
    sys.exit(main())
