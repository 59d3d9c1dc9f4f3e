"""Trains the bot, unless nothing that it learns from has changed since (`make train`). Runs on a bare Python too."""

import os

from backend.setup.environments import BOT, ROOT, Stamp, check_room, plainly, run, say

MODEL = ROOT / "var" / "models" / "line.tar.gz"


def rasa_environment() -> dict[str, str]:
    """Return what Rasa and TensorFlow are to be told in each process: send nothing home, look for no graphics card."""
    # jieba keeps its dictionary as executable data in the folder for temporary files; /tmp is everybody's.
    temporary = ROOT / "var" / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return {
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(temporary),
        "RASA_TELEMETRY_ENABLED": "false",
        "RASA_CACHE_DIRECTORY": str(ROOT / "var" / "rasa-cache"),
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "SANIC_KEEP_ALIVE_TIMEOUT": "86400",  # seconds; bot/client.py keeps connections for as long as Rasa's server does
        "SQLALCHEMY_SILENCE_UBER_WARNING": "1",  # Rasa's tables are for SQLAlchemy 1.4, and its lock file has that
    }


def train() -> None:
    """Make var/models/line.tar.gz. Rasa itself keeps the parts that a change doesn't touch."""
    learns_from = [
        *sorted((ROOT / "bot").glob("*.yml")),
        *sorted((ROOT / "bot" / "components").glob("*.py")),
        ROOT / "nlu_data" / "dialogue",
        ROOT / "nlu_data" / "dictionaries",
        ROOT / "requirements.bot.lock",
    ]
    stamp = Stamp(MODEL.parent / "line.made-from", *learns_from)
    if MODEL.is_file() and stamp.is_fresh():
        return
    check_room(0.5)
    say("训练机器人，第一次要一两分钟", "training the bot, a minute or two the first time")
    python = BOT / "bin" / "python"
    inputs = ["--config", "bot/config.yml", "--domain", "bot/domain.yml", "--data", "nlu_data/dialogue"]
    made = MODEL.parent / "new"  # a process that starts meanwhile finds the old model, whole
    output = ["--out", str(made), "--fixed-model-name", "line"]
    run("rasa train", [python, "-m", "rasa", "train", *inputs, *output], {**os.environ, **rasa_environment()})
    os.replace(made / MODEL.name, MODEL)
    stamp.keep()


if __name__ == "__main__":
    plainly(train)
