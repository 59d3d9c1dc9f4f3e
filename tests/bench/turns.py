"""Turns: how long a caller waits for an answer at the IVR webhook, beside a stock Rasa REST bot in the same run.

The stock bot has the same training data, rules and forms, and an NLU pipeline with the same features and classifier, of
Rasa's own parts; its policy, tracker store, lock store, response generator and channel are Rasa's defaults; questions are
answered and cases filed by custom actions, as Rasa's documentation has it.
"""

import os
import re
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import urllib3
import yaml
from twilio.request_validator import RequestValidator

from backend.settings import ROOT
from tests.bench.nlu import STOCK
from tests.chaos.storm import family
from tests.conftest import closed_port
from tests.running_line import BOT_PYTHON, SECRETS, RunningLine, until

SCRIPT = (
    "暖气不热该找谁",
    "解决了",
    "居住证怎么办",
    "没解决",
    "我要反映问题",
    "小区路灯不亮",
    "明湖区软件园三号楼门口",
    "三天了",
    "匿名",
    "确认",
    "谢谢",
    "没有别的问题了，再见",
)
"""What each caller says."""
CALLS = {1: 8, 8: 40, 32: 96}
"""Concurrent callers -> calls in all."""

Speak = Callable[[int], Callable[[str], None]]
"""Given a call's number, begin it and return the function that says one thing and waits for the answer."""


def run() -> dict[str, Any]:
    """Measure both and print the table."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    rows: list[dict[str, Any]] = []
    try:
        with RunningLine(folder) as line, StockBot(folder, line) as stock:
            until(lambda: rests(line.processes["worker"]), "the end of the worker's first jobs")
            for name, speak in (("ours", callers(line)), ("stock", stock.callers())):
                for concurrent, calls in CALLS.items():
                    rows.append({"bot": name, "callers": concurrent, **measure(speak, concurrent, calls)})
                    print(f"  {name}, {concurrent} callers: done", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    show(rows)
    p95 = next(row["p95_ms"] for row in rows if row["bot"] == "ours" and row["callers"] == 8)
    p50 = next(row["p50_ms"] for row in rows if row["bot"] == "stock" and row["callers"] == 8)
    print(f"at 8 callers: our p95 {p95:.0f} ms, the stock bot's p50 {p50:.0f} ms ({'met' if p95 <= p50 else 'MISSED'})")
    return {"rows": rows, "goal": {"our_p95_ms": p95, "stock_p50_ms": p50, "met": p95 <= p50}}


def rests(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process does nothing worth mentioning in the second that this takes."""
    before = used(process)
    time.sleep(1)
    return used(process) - before < 0.05


def used(process: subprocess.Popen[bytes]) -> float:
    """The seconds of a processor that a process and its children have had (proc_pid_stat(5): utime and stime, after the
    command's name)."""
    ticks = 0
    for pid in family(process.pid):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(speak: Speak, concurrent: int, calls: int) -> dict[str, float]:
    """Let `concurrent` callers make `calls` calls; latencies in milliseconds, throughput in turns a second."""
    latencies: list[float] = []
    numbers = iter(range(calls))
    lock = threading.Lock()

    def caller() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            say = speak(number)
            for text in SCRIPT:
                began = time.perf_counter()
                say(text)
                latencies.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    threads = [threading.Thread(target=caller) for _ in range(concurrent)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    if len(latencies) != calls * len(SCRIPT):
        raise RuntimeError("some turns failed")
    marks = statistics.quantiles(latencies, n=100)
    return {"turns_per_s": len(latencies) / took, "p50_ms": marks[49], "p95_ms": marks[94], "turns": len(latencies)}


def telephone() -> urllib3.PoolManager:
    """What the callers of both bots speak through: it shares the processors with them, so it is to need little itself."""
    return urllib3.PoolManager(maxsize=64, timeout=60, retries=False)


def callers(line: RunningLine) -> Speak:
    """Callers of our line, through the signed webhooks."""
    validator = RequestValidator(SECRETS["TWILIO_AUTH_TOKEN"])
    http = telephone()
    batch = f"{time.time_ns():x}"

    def begin(number: int) -> Callable[[str], None]:
        sid = f"CA{batch}{number:04d}{threading.get_ident() % 1000:03d}{time.time_ns() % 10**6:06d}"
        fields = {"CallSid": sid, "From": "+8613800138000", "To": "12345", "CallStatus": "in-progress"}

        def post(url: str, more: dict[str, str]) -> str:
            body = {**fields, **more}
            headers = {"X-Twilio-Signature": validator.compute_signature(url, body)}
            response = http.request("POST", url, fields=body, encode_multipart=False, headers=headers)
            if response.status != 200:
                raise RuntimeError(f"status {response.status} from {url}")
            return response.data.decode()

        document = post(f"{line.base_url}/ivr/voice", {})

        def say(text: str) -> None:
            nonlocal document
            action = re.search(r'<Gather[^>]*action="([^"]+)"', document)
            if action is None:
                raise RuntimeError(f"the line no longer listens before «{text}»: {document}")
            document = post(action[1].replace("&amp;", "&"), {"SpeechResult": text, "Confidence": "0.9"})

        return say

    return begin


class StockBot:
    """A stock Rasa REST bot with its action server, made from the same project; a context manager."""

    def __init__(self, folder: Path, line: RunningLine) -> None:
        self.folder = folder / "stock"
        self.port, self.actions_port = closed_port(), closed_port()
        self.environment = line.environment | {"PYTHONPATH": f"{self.folder}:{ROOT}"}
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "StockBot":
        print("  training the stock bot", flush=True)
        self._write_project()
        try:
            self._run(
                "train", "--config", "config.yml", "--domain", "domain.yml", "--data", "data", "--out", "models"
            ).wait()
            self._run(
                *("run", "-i", "127.0.0.1", "--port", str(self.port), "--model", "models"),
                *("--endpoints", "endpoints.yml", "--credentials", "credentials.yml"),
            )
            self._start("rasa_sdk", "--actions", "stock_actions", "--port", str(self.actions_port))
            until(self._is_ready, "the stock bot's start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            process.wait()

    def callers(self) -> Speak:
        """Callers of the stock bot, through its REST channel."""
        http = telephone()

        def begin(number: int) -> Callable[[str], None]:
            started = httpx.post(self.environment["BACKEND_URL"] + "/api/v1/conversations", json={}, timeout=60).json()

            def say(text: str) -> None:
                body = {"sender": started["id"], "message": text}
                response = http.request("POST", f"http://127.0.0.1:{self.port}/webhooks/rest/webhook", json=body)
                if response.status != 200:
                    raise RuntimeError(f"status {response.status} from the stock bot")
                if not response.json():
                    raise RuntimeError(f"the stock bot said nothing to «{text}»")

            return say

        return begin

    def _write_project(self) -> None:
        """The same project with Rasa's defaults, and the answer as a custom action."""
        data = self.folder / "data"
        data.mkdir(parents=True)
        (self.folder / "nlu_data").symlink_to(ROOT / "nlu_data")
        config = yaml.safe_load((ROOT / "bot" / "config.yml").read_text(encoding="utf-8"))
        config["pipeline"][0:1] = STOCK
        config["policies"][0]["name"] = "RulePolicy"
        (self.folder / "config.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        shutil.copy(ROOT / "nlu_data" / "dialogue" / "nlu.yml", data)
        rules = (ROOT / "nlu_data" / "dialogue" / "rules.yml").read_text(encoding="utf-8")
        rules = rules.replace("utter_answer", "action_answer").replace("action_restart", "action_file_case")
        (data / "rules.yml").write_text(rules, encoding="utf-8")
        domain = yaml.safe_load((ROOT / "bot" / "domain.yml").read_text(encoding="utf-8"))
        for response, action in (("utter_answer", "action_answer"), ("utter_restart", "action_file_case")):
            del domain["responses"][response]
            domain["actions"].append(action)
        domain["responses"]["utter_ask_confirmed"] = [{"text": "请核对：{what}，{where}，{since}，{contact}。"}]
        (self.folder / "domain.yml").write_text(yaml.safe_dump(domain, allow_unicode=True), encoding="utf-8")
        (self.folder / "endpoints.yml").write_text(
            f"action_endpoint:\n  url: http://127.0.0.1:{self.actions_port}/webhook\n"
        )
        (self.folder / "credentials.yml").write_text("rest:\n")
        shutil.copy(Path(__file__).with_name("stock_actions.py"), self.folder)

    def _run(self, *arguments: str) -> subprocess.Popen[bytes]:
        return self._start("rasa", *arguments)

    def _start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{module}.log").open("ab")
        process = subprocess.Popen(
            [str(BOT_PYTHON), "-m", module, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        self.processes.append(process)
        return process

    def _is_ready(self) -> bool:
        try:
            bot = httpx.get(f"http://127.0.0.1:{self.port}/webhooks/rest/", timeout=5)  # up once the model is loaded
            actions = httpx.get(f"http://127.0.0.1:{self.actions_port}/health", timeout=5)
            return bot.status_code == actions.status_code == 200
        except httpx.HTTPError:
            return False


def show(rows: list[dict[str, Any]]) -> None:
    """The table."""
    print(f"{'bot':<8}{'callers':>8}{'turns/s':>10}{'p50 ms':>10}{'p95 ms':>10}{'turns':>8}")
    for row in rows:
        print(
            f"{row['bot']:<8}{row['callers']:>8}{row['turns_per_s']:>10.1f}{row['p50_ms']:>10.0f}{row['p95_ms']:>10.0f}"
            f"{row['turns']:>8}"
        )
