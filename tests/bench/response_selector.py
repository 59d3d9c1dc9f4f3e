"""Rasa's ResponseSelector for tests/bench/search.py: job in by standard input, result to the file named. Python 3.10.

The pipeline is the one that `rasa init` proposes, with the tokenizer for Chinese: each article is a label below one
retrieval intent, its ways of asking are the examples.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from rasa.core.agent import Agent
from rasa.model_training import train_nlu

PIPELINE: list[dict[str, Any]] = [
    {"name": "JiebaTokenizer", "dictionary_path": "nlu_data/dictionaries"},
    {"name": "CountVectorsFeaturizer"},
    {"name": "CountVectorsFeaturizer", "analyzer": "char_wb", "min_ngram": 1, "max_ngram": 4},
    {"name": "ResponseSelector", "epochs": 100, "random_seed": 1},
]


def main() -> None:
    """Train on the job's examples (text, label) and name the first ten labels for each of its questions, best first."""
    job = json.load(sys.stdin)
    with tempfile.TemporaryDirectory(prefix="bench-selector-") as folder:
        agent = Agent.load(trained(job["examples"], Path(folder)))
        loop = asyncio.new_event_loop()
        found = [labels(loop.run_until_complete(agent.parse_message(text))) for text in job["questions"]]
    Path(sys.argv[1]).write_text(json.dumps(found), encoding="utf-8")


def trained(examples: list[list[str]], folder: Path) -> str:
    """The path of a model trained on the examples."""
    by_label: dict[str, list[str]] = {}
    for text, label in examples:
        by_label.setdefault(label, []).append(" ".join(text.split()))
    blocks = [
        {"intent": f"ask/{label}", "examples": "".join(f"- {text}\n" for text in texts)}
        for label, texts in by_label.items()
    ]
    config, data = folder / "config.yml", folder / "nlu.yml"
    config.write_text(
        yaml.safe_dump({"recipe": "default.v1", "language": "zh", "pipeline": PIPELINE, "policies": []}),
        encoding="utf-8",
    )
    data.write_text(yaml.safe_dump({"version": "3.1", "nlu": blocks}, allow_unicode=True), encoding="utf-8")
    return str(train_nlu(str(config), str(data), str(folder), fixed_model_name="selector"))


def labels(parsed: dict[str, Any]) -> list[str]:
    """The labels of a parsed question, best first."""
    return [one["intent_response_key"].split("/", 1)[1] for one in parsed["response_selector"]["default"]["ranking"]]


if __name__ == "__main__":
    main()
