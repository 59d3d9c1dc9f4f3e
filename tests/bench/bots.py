"""Bots: turns with two bots and with one, at the IVR webhooks; the processor's time of each process; and whether a call
grows slow as it grows long.

With the load of the machine beside it: callers, web and bots share its processors, so on a busy one only the processor's
time says something."""

import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.turns import CALLS, callers, measure, rests, used
from tests.chaos.storm import family
from tests.running_line import RunningLine, until

PARTS = {"web": ("web",), "api": ("api",), "rasa": ("bot", "bot_1"), "actions": ("actions", "actions_1")}
LONG_CALLS = 6
LONG_CALL = ("暖气不热该找谁", "解决了", "居住证怎么办", "解决了", "公积金怎么提取") * 12
EARLY, LATE = 5, 60
"""Turns of a long call that are compared; they say the same."""


def run() -> dict[str, Any]:
    """Measure and print."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    rows = []
    try:
        with RunningLine(folder, bots=2) as line:
            until(lambda: rests(line.processes["worker"]), "the end of the worker's first jobs")
            until(lambda: rests(line.processes["bot_1"]), "the second bot's start")
            early, late = long_calls(line)
            resident = {name: memory(line.processes[name].pid) for name in ("bot", "actions")}
            print("resident, MB: " + ", ".join(f"{name} {size:.0f}" for name, size in resident.items()), flush=True)
            show_head()
            for bots in (2, 1):
                if bots == 1:
                    line.stop("bot_1")
                for concurrent, calls in CALLS.items():
                    rows.append({"bots": bots, "callers": concurrent, **accounted(line, concurrent, calls)})
                    show(rows[-1])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {"rows": rows, "long_call_ms": {"early": early, "late": late}, "resident_mb": resident}


def accounted(line: RunningLine, concurrent: int, calls: int) -> dict[str, Any]:
    """What `turns.measure` finds, the load meanwhile, and milliseconds of a processor a turn for each part."""

    def spent() -> dict[str, float]:
        """Seconds so far."""
        running = line.processes
        return {part: sum(used(running[name]) for name in names if name in running) for part, names in PARTS.items()}

    before = spent()
    found = measure(callers(line), concurrent, calls)
    after = spent()
    cpu = {part: (after[part] - before[part]) * 1000 / found["turns"] for part in PARTS}
    return {**found, "cpu_ms": cpu, "load": os.getloadavg()[0]}


def long_calls(line: RunningLine) -> tuple[float, float]:
    """Milliseconds of an early and a late turn of a long call, the quickest of several calls: a busy machine only adds."""
    early, late = [], []
    for number in range(LONG_CALLS):
        say = callers(line)(number)
        took = []
        for text in LONG_CALL:
            began = time.perf_counter()
            say(text)
            took.append((time.perf_counter() - began) * 1000)
        early.append(took[EARLY - 1])
        late.append(took[LATE - 1])
    ratio = min(late) / min(early)
    print(
        f"turn {EARLY} of a call {min(early):.0f} ms, turn {LATE} {min(late):.0f} ms: {ratio:.2f} x (goal 1.2)",
        flush=True,
    )
    print(f"medians: {statistics.median(early):.0f} and {statistics.median(late):.0f} ms", flush=True)
    return min(early), min(late)


def memory(pid: int) -> float:
    """Resident megabytes of a process with its children."""
    pages = sum(int(Path(f"/proc/{each}/statm").read_text(encoding="ascii").split()[1]) for each in family(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def show_head() -> None:
    """The head of the table."""
    parts = "".join(f"{part + ' ms':>12}" for part in PARTS)
    print(f"{'bots':>4}{'callers':>9}{'turns/s':>9}{'p50 ms':>8}{'p95 ms':>8}{'load':>6}{parts}  (processor, a turn)")


def show(row: dict[str, Any]) -> None:
    """A row of it."""
    parts = "".join(f"{row['cpu_ms'][part]:>12.1f}" for part in PARTS)
    print(
        f"{row['bots']:>4}{row['callers']:>9}{row['turns_per_s']:>9.1f}{row['p50_ms']:>8.0f}{row['p95_ms']:>8.0f}"
        f"{row['load']:>6.1f}{parts}",
        flush=True,
    )
