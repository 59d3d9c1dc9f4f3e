"""`make chaos`: long storms on SQLite and on PostgreSQL with Redis, or ONLY=sqlite, ONLY=postgresql, and what came of them.
SEED repeats one, PEOPLE says how many."""

import json
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from backend.settings import ROOT
from tests.bench.__main__ import where
from tests.chaos.servers import ServedLine, missing
from tests.chaos.storm import RECOVERED_WITHIN, Person, Storm
from tests.running_line import RunningLine

AT_ONCE = 8
LINES = {"sqlite": RunningLine, "postgresql": ServedLine}


def main() -> int:
    """Run the storms and print the account; returns 1 when something was lost, doubled or ended in nothing."""
    people, seed = (
        int(os.environ.get("PEOPLE", "500")),
        int(os.environ.get("SEED", random.SystemRandom().randrange(10**6))),
    )
    faults, results = 0, {}
    for name in sys.argv[1:] or LINES:
        if name == "postgresql" and missing():
            print(f"postgresql: left out, this machine has no {', '.join(missing())}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            storm = Storm(LINES[name](Path(folder)), seed)
            crowd = storm.run(people, AT_ONCE)
        results[name] = account(name, storm, crowd)
        faults += results[name]["faults"]
    path = ROOT / "build" / "bench" / "chaos.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results | where(), ensure_ascii=False, indent=1))
    return 1 if faults else 0


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
