"""The telephone under load: how long webhooks take whose turns need Rasa and whose don't, how many calls this machine holds
at once, and whether the queue of operators behaves as Erlang's formula says."""

import heapq
import itertools
import math
import random
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from backend.conversations.rules import in_order
from tests.caller import Caller
from tests.running_line import SECRETS, RunningLine

WITH_BOT = ("暖气不热该找谁", "解决了", "居住证怎么办", "没解决", "我要反映问题", "小区路灯不亮")
"""Turns that Rasa is asked about."""
WITHOUT_BOT: tuple[Callable[[Caller], str], ...] = (
    lambda caller: caller.keep_silent(),
    lambda caller: caller.press("*"),
    lambda caller: caller.press("9"),
    lambda caller: caller.press("9"),
    lambda caller: caller.say("楼下着火了"),
    lambda caller: caller.say("沙沙", confidence=0.1),
)
"""Turns that the line settles by itself."""

CALLERS = (1, 8, 32)
HELD = (25, 50, 100, 150, 200, 300, 400)
"""Calls at once, tried one after the other until the limit is passed."""
TURN_EVERY = 10.0
"""Seconds from one turn of a caller to the next: the line's answer, the caller's thought and words."""
HELD_FOR = 30.0
LIMIT_MS = 300.0

OPERATORS = 115
CALLS_A_DAY = 9_000
HANDLING = 300.0
"""Seconds that an operator spends on a call, wrap-up included; an assumption, as are the shares below."""
BUSY_HOURS = {"even day (1/24)": 1 / 24, "busy hour 10 %": 0.10, "busy hour 14 %": 0.14}
ON_SHIFT = {"all": OPERATORS, "two thirds": OPERATORS * 2 // 3, "a third": OPERATORS // 3}
ANSWERED_WITHIN = 15.0
"""Seconds (GB/T 33358-2016)."""


def run() -> dict[str, Any]:
    """Measure and print the tables."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        with RunningLine(folder) as line:
            turns = [measure(line, kind, callers) for kind in ("without Rasa", "with Rasa") for callers in CALLERS]
            show_turns(turns)
            held = hold(line)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    queue = [simulate(busy, shift) for busy in BUSY_HOURS for shift in ON_SHIFT]
    show_queue(queue)
    return {"turns": turns, "held": held, "queue": queue}


def dial(line: RunningLine) -> Caller:
    """A caller whom the line has greeted."""
    return Caller(line.base_url, SECRETS["TWILIO_AUTH_TOKEN"]).dial()


def act(caller: Caller, kind: str, number: int) -> float:
    """Do the turn of this number; milliseconds until the answer."""
    began = time.perf_counter()
    if kind == "with Rasa":
        caller.say(WITH_BOT[number % len(WITH_BOT)])
    else:
        WITHOUT_BOT[number % len(WITHOUT_BOT)](caller)
    return (time.perf_counter() - began) * 1000


def measure(line: RunningLine, kind: str, callers: int) -> dict[str, Any]:
    """So many callers, turn after turn without a pause."""
    turns = len(WITH_BOT) * (2 if kind == "with Rasa" else 10)
    latencies: list[float] = []

    def talk() -> None:
        for _ in range(turns // len(WITH_BOT)):
            caller = dial(line)
            latencies.extend(act(caller, kind, number) for number in range(len(WITH_BOT)))
            caller.hang_up()

    took = together(talk, callers)
    return {"turns": kind, "callers": callers, "per_s": len(latencies) / took} | marks(latencies)


def together(work: Callable[[], None], how_many: int) -> float:
    """Run `work` in so many threads; the seconds that all of them took."""
    threads = [threading.Thread(target=work) for _ in range(how_many)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def marks(latencies: list[float]) -> dict[str, float]:
    """Median and 95th percentile in milliseconds."""
    cuts = statistics.quantiles(latencies, n=100)
    return {"p50_ms": cuts[49], "p95_ms": cuts[94], "measured": len(latencies)}


def hold(line: RunningLine) -> list[dict[str, Any]]:
    """More and more calls at once, each with a turn every TURN_EVERY seconds, half of them Rasa's, until p95 is too long."""
    rows: list[dict[str, Any]] = []
    print(f"{'calls at once':>14}{'turns/s':>10}{'p50 ms':>10}{'p95 ms':>10}")
    for calls in HELD:
        latencies: list[float] = []
        chance = random.Random(calls)
        starts = [chance.uniform(0, TURN_EVERY) for _ in range(calls)]
        end = time.monotonic() + TURN_EVERY + HELD_FOR
        numbers = itertools.count()

        def talk(starts: list[float] = starts, latencies: list[float] = latencies, end: float = end) -> None:
            mine = next(numbers)  # noqa: B023  # one counter a round
            time.sleep(starts[mine])
            caller = dial(line)
            for number in itertools.count():
                due = time.monotonic() + TURN_EVERY
                if due > end or caller.state != "listening":
                    break
                time.sleep(TURN_EVERY)
                latencies.append(act(caller, "with Rasa" if (mine + number) % 2 else "without Rasa", number))
            caller.hang_up()

        took = together(talk, calls)
        rows.append({"calls": calls, "per_s": len(latencies) / took} | marks(latencies))
        print(
            f"{calls:>14}{rows[-1]['per_s']:>10.1f}{rows[-1]['p50_ms']:>10.0f}{rows[-1]['p95_ms']:>10.0f}", flush=True
        )
        if rows[-1]["p95_ms"] > LIMIT_MS:
            break
    held = max((row["calls"] for row in rows if row["p95_ms"] <= LIMIT_MS), default=0)
    print(f"calls held at once with p95 under {LIMIT_MS:.0f} ms: {held}\n")
    return rows


@dataclass
class Waiting:
    """A call in the simulated queue, as rules.in_order sees it."""

    id: str
    waiting_since: datetime
    language: str = "zh"
    skill: str = ""
    priority: int = 0


def simulate(busy: str, shift: str, seed: int = 12345, calls: int = 60_000) -> dict[str, Any]:
    """The busy hour's arrivals at the operators on shift, taken in the order of our own queue, beside Erlang C."""
    rate, operators, chance = CALLS_A_DAY * BUSY_HOURS[busy] / 3600, ON_SHIFT[shift], random.Random(seed)
    row: dict[str, Any] = {"load": busy, "operators": operators, "erlang": rate * HANDLING}
    if rate * HANDLING >= operators:
        return row | {"stable": False}
    begin, clock, waits = datetime(2026, 1, 1, tzinfo=UTC), 0.0, []
    free, busy_until, queue = operators, [], []  # type: tuple[int, list[float], list[Waiting]]
    arrivals = list(itertools.accumulate(chance.expovariate(rate) for _ in range(calls)))
    for number, clock in enumerate(arrivals):
        while busy_until and busy_until[0] <= clock:
            freed = heapq.heappop(busy_until)
            if queue:
                first = in_order(queue)[0]
                queue.remove(first)
                waits.append(freed - (first.waiting_since - begin).total_seconds())
                heapq.heappush(busy_until, freed + chance.expovariate(1 / HANDLING))
            else:
                free += 1
        if free:
            free -= 1
            waits.append(0.0)
            heapq.heappush(busy_until, clock + chance.expovariate(1 / HANDLING))
        else:
            queue.append(Waiting(str(number), begin + timedelta(seconds=clock)))
    simulated = {
        "waits": sum(wait > 0 for wait in waits) / len(waits),
        "mean_s": statistics.fmean(waits),
        "within": sum(wait <= ANSWERED_WITHIN for wait in waits) / len(waits),
    }
    return row | {"stable": True, "simulated": simulated, "formula": erlang_c(rate, operators)}


def erlang_c(rate: float, operators: int) -> dict[str, float]:
    """Probability of waiting, mean wait in seconds and share answered within ANSWERED_WITHIN, for `rate` calls a second
    (A. K. Erlang, 1917; by the recursion of the B formula, which doesn't overflow)."""
    load = rate * HANDLING
    blocked = 1.0
    for number in range(1, operators + 1):
        blocked = load * blocked / (number + load * blocked)
    waits = blocked / (1 - load / operators * (1 - blocked))
    leaving = operators / HANDLING - rate
    return {"waits": waits, "mean_s": waits / leaving, "within": 1 - waits * math.exp(-leaving * ANSWERED_WITHIN)}


def show_turns(rows: list[dict[str, Any]]) -> None:
    """The table of turns."""
    print(f"{'turns':<14}{'callers':>8}{'turns/s':>10}{'p50 ms':>10}{'p95 ms':>10}")
    for row in rows:
        print(
            f"{row['turns']:<14}{row['callers']:>8}{row['per_s']:>10.1f}{row['p50_ms']:>10.0f}{row['p95_ms']:>10.0f}",
            flush=True,
        )
    print()


def show_queue(rows: list[dict[str, Any]]) -> None:
    """The table of the simulated queue."""
    print(f"{CALLS_A_DAY:,} calls a day, {HANDLING:.0f} s a call; simulated / Erlang C")
    print(
        f"{'load':<18}{'operators':>10}{'erlang':>8}{'waits':>16}{'mean wait s':>16}{f'within {ANSWERED_WITHIN:.0f} s':>18}"
    )
    for row in rows:
        start = f"{row['load']:<18}{row['operators']:>10}{row['erlang']:>8.1f}"
        if not row["stable"]:
            print(f"{start}{'more work than operators':>34}")
            continue
        ours, theirs = row["simulated"], row["formula"]
        print(
            f"{start}{ours['waits']:>8.3f}/{theirs['waits']:<7.3f}{ours['mean_s']:>8.1f}/{theirs['mean_s']:<7.1f}"
            f"{ours['within']:>10.3f}/{theirs['within']:<7.3f}"
        )
