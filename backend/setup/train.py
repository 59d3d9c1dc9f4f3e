"""Trains the bot, unless nothing that it learns from has changed since (`make train`). Runs on a bare Python too."""

import os

from backend.setup.environments import BOT, ROOT, Stamp, check_room, plainly, run, say

MODEL = ROOT / "var" / "models" / "line.tar.gz"

# What Rasa and TensorFlow need to be told in each of their processes: send nothing home, look for no graphics card.
RASA_ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "PYTHONUNBUFFERED": "1",
    "PYTHONWARNINGS": "ignore::DeprecationWarning",  # of libraries that Rasa pins; nobody here can act on them
    "RASA_TELEMETRY_ENABLED": "false",
    "RASA_CACHE_DIRECTORY": str(ROOT / "var" / "rasa-cache"),
    "CUDA_VISIBLE_DEVICES": "-1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
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
    output = ["--out", str(MODEL.parent), "--fixed-model-name", "line"]
    run("rasa train", [python, "-m", "rasa", "train", *inputs, *output], {**os.environ, **RASA_ENVIRONMENT})
    stamp.keep()


if __name__ == "__main__":
    plainly(train)
