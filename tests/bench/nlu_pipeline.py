"""Trains and measures one pipeline for tests/bench/nlu.py: job in by standard input, result to the file named. Python 3.10.

Two processes of it measure a pipeline, so that the memory is that of a bot that only answers: `train`, then `serve`.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import yaml
from rasa.core.agent import Agent
from rasa.model_training import train_nlu

REPEATS = 5
WARM_UP = 20
LOOP = asyncio.new_event_loop()


def main() -> None:
    """Do what the job says."""
    job = json.load(sys.stdin)
    result = {"train": train, "serve": serve}[sys.argv[1]](job)
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")


def train(job: dict[str, Any]) -> dict[str, Any]:
    """Train on everything, then on each fold's rest; the folds' rankings and the seconds of the first training."""
    folder = Path(job["folder"])
    began = time.perf_counter()
    model(job["pipeline"], job["examples"], folder, "all")
    seconds = time.perf_counter() - began
    folds = []
    for number, fold in enumerate(job["folds"]):
        held = set(fold)
        rest = [example for place, example in enumerate(job["examples"]) if place not in held]
        agent = Agent.load(model(job["pipeline"], rest, folder, f"fold{number}"))
        folds.append([parse(agent, job["examples"][place][0]) for place in fold])
    return {"train_s": seconds, "folds": folds}


def serve(job: dict[str, Any]) -> dict[str, Any]:
    """Load what was trained on everything: seconds to load, rankings, milliseconds a parse, resident memory."""
    began = time.perf_counter()
    agent = Agent.load(str(Path(job["folder"]) / "all.tar.gz"))
    seconds = time.perf_counter() - began
    texts = [text for text, _ in job["asked"]]
    for text in texts[:WARM_UP]:
        parse(agent, text)
    rounds = []
    rankings: list[list[tuple[str, float]]] = []
    for repeat in range(REPEATS):
        took = []
        rankings = []
        for text in texts:
            # Another text each round: a citizen's sentence is a new one, nothing kept of it helps.
            began = time.perf_counter()
            ranking = parse(agent, text + " " * repeat)
            took.append((time.perf_counter() - began) * 1000)
            rankings.append(ranking)
        rounds.append(took)
    memory = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return {"load_s": seconds, "rankings": rankings, "rounds_ms": rounds, "rss_mb": int(memory.split()[1]) / 1024}


def model(pipeline: list[dict[str, Any]], examples: list[list[str]], folder: Path, name: str) -> str:
    """Train on `examples` and return the model's path."""
    by_intent: dict[str, list[str]] = {}
    for text, intent in examples:
        by_intent.setdefault(intent, []).append(text)
    blocks = [
        {"intent": intent, "examples": "".join(f"- {text}\n" for text in texts)} for intent, texts in by_intent.items()
    ]
    config, data = folder / f"{name}.config.yml", folder / f"{name}.nlu.yml"
    config.write_text(
        yaml.safe_dump({"recipe": "default.v1", "language": "zh", "pipeline": pipeline, "policies": []}),
        encoding="utf-8",
    )
    data.write_text(yaml.safe_dump({"version": "3.1", "nlu": blocks}, allow_unicode=True), encoding="utf-8")
    return str(train_nlu(str(config), str(data), str(folder), fixed_model_name=name))


def parse(agent: Agent, text: str) -> list[tuple[str, float]]:
    """The intents of a text with their confidences, best first."""
    ranking = LOOP.run_until_complete(agent.parse_message(text))["intent_ranking"]
    return [(intent["name"], float(intent["confidence"])) for intent in ranking]


if __name__ == "__main__":
    main()
