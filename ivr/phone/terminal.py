r"""Call the line from a terminal: `python -m ivr.phone.terminal`, or through a pipe,
`printf '暖气不热\n' | python -m ivr.phone.terminal`.

Words are speech, digits are keys, an empty line is silence; `/帮助` tells the rest.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import yaml

from ivr.phone.call import (
    DEFAULT_FROM,
    Connected,
    Dialling,
    Error,
    Event,
    HttpTransport,
    HungUp,
    Keys,
    NotHeard,
    Pause,
    Play,
    PracticeCall,
    Queued,
    Recording,
    Say,
    WebhookFailed,
)

LONGEST_PAUSE = 5  # seconds; nobody wants to sit out a long pause in a terminal
PAUSES_IN_A_ROW = 60  # after so many the person gets a word, however long the line goes on

# What the other side, or the person, does besides speaking and pressing keys.
COMMANDS: dict[str, Callable[[PracticeCall], list[Event]]] = {
    "/挂": PracticeCall.hang_up,
    "/hang": PracticeCall.hang_up,
    "/接听": PracticeCall.other_side_answers,
    "/answer": PracticeCall.other_side_answers,
    "/对方挂断": PracticeCall.other_side_hangs_up,
    "/other-hangs-up": PracticeCall.other_side_hangs_up,
    "/无人接": lambda call: call.dial_fails("no-answer"),
    "/no-answer": lambda call: call.dial_fails("no-answer"),
    "/占线": lambda call: call.dial_fails("busy"),
    "/busy": lambda call: call.dial_fails("busy"),
}


def read_texts(language: str) -> dict[str, Any]:
    """The practice phone's own words in "zh" or "en"."""
    catalogue = yaml.safe_load((Path(__file__).parent / "texts.yml").read_text(encoding="utf-8"))
    texts: dict[str, Any] = catalogue[language]
    return texts


class Terminal:
    """Plays a call on two text streams. `interactive` shows a prompt; `sleep` sits out the line's pauses."""

    def __init__(
        self,
        call: PracticeCall,
        texts: dict[str, Any],
        lines: TextIO,
        out: TextIO,
        interactive: bool = False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._call = call
        self._texts = texts
        self._lines = lines
        self._out = out
        self._interactive = interactive
        self._sleep = sleep
        self._ended_by = ""

    def run(self, voice_url: str) -> str:
        """Dial, then follow the person until the call is over; the end of the input hangs up.

        Returns why the call ended, as HungUp tells it.
        """
        self._show(self._call.start(voice_url))
        while self._call.status != "ended":
            line = self._ask()
            if line is None:
                self._show(self._call.hang_up())
            else:
                self._do(line.strip())
        return self._ended_by

    def _ask(self) -> str | None:
        """The person's next line; None at the end."""
        if self._interactive:
            if self._call.status in ("queued", "dialling"):
                self._note(self._texts["terminal"]["next"])
            print(self._texts["terminal"]["prompt"], end="", file=self._out, flush=True)
        return self._lines.readline() or None

    def _do(self, line: str) -> None:
        """One line of the person's, shown in a pipe so that the print reads as a conversation."""
        if not self._interactive:
            print(self._texts["terminal"]["prompt"] + line, file=self._out)
        if line in ("/帮助", "/help"):
            self._note(self._texts["terminal"]["help"])
        elif line in ("/重发", "/repeat"):
            self._repeat()
        elif line in COMMANDS:
            self._show(COMMANDS[line](self._call))
        elif line.startswith(("/说 ", "/say ")):
            self._show(self._call.speak(line.partition(" ")[2]))
        elif re.fullmatch(r"[0-9*#]+", line):
            self._show(self._call.press(line))
        elif line.startswith("/"):
            self._note(self._texts["terminal"]["help"])
        elif line:
            self._show(self._call.speak(line))
        else:
            self._show(self._call.wait() if self._call.state.queue else self._call.silence())

    def _repeat(self) -> None:
        try:
            self._note(f"{self._texts['repeat_done']}\n{self._call.repeat_last_webhook()}")
        except WebhookFailed as failure:
            self._note(self._texts["failed"].format(message=failure.reason))

    def _show(self, events: list[Event]) -> None:
        """Print what happened, and go on by itself through the line's pauses."""
        for event in events:
            self._print(event)
        for _ in range(PAUSES_IN_A_ROW):
            if self._call.status != "paused":
                break
            seconds = [event.seconds for event in events if isinstance(event, Pause)]
            self._sleep(min(seconds[-1] if seconds else 1, LONGEST_PAUSE))
            events = self._call.wait()
            for event in events:
                self._print(event)

    def _print(self, event: Event) -> None:
        texts = self._texts
        match event:
            case Say(text=text):
                print(texts["terminal"]["heard"].format(text=text), file=self._out, flush=True)
            case Play(url=url, digits=digits):
                self._note(f"♪ {url or digits}")
            case Pause(seconds=seconds):
                self._note(texts["pause"].format(seconds=seconds))
            case Recording():
                self._note(f"● {texts['beep']}")
            case Queued(position=position):
                self._note(texts["status"]["queued"].format(position=position))
            case Dialling(to=to):
                self._note(texts["dialling_to"].format(to=to))
            case Connected():
                self._note(texts["connected"])
            case NotHeard():
                self._note(texts["not_heard"])
            case Keys(pressed=pressed):
                self._note(f"{texts['pressed']} {pressed}")
            case HungUp(reason=reason):
                self._ended_by = reason
                self._note(texts["hung_up"][reason])
            case Error(code=code, reason=reason, url=url):
                self._note(texts["error"].format(code=code, reason=f"{reason} ({url})"))

    def _note(self, text: str) -> None:
        for line in text.rstrip().splitlines():
            print(self._texts["terminal"]["note"].format(text=line), file=self._out, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Make one call. Returns the exit code: 0, 1 when the line failed, 2 in production, which has no
    practice phone."""
    from backend.settings import load_settings

    settings = load_settings()
    parser = argparse.ArgumentParser(prog="python -m ivr.phone.terminal", description=__doc__)
    parser.add_argument("--from", dest="from_", default=DEFAULT_FROM, help="the caller's number")
    parser.add_argument("--url", default=settings.base_url, help="the line's public address")
    parser.add_argument("--lang", choices=("zh", "en"), default="zh", help="language of the phone itself")
    chosen = parser.parse_args(arguments)
    texts = read_texts(chosen.lang)
    if settings.environment == "production":
        print(texts["terminal"]["production"], file=sys.stderr)
        return 2
    call = PracticeCall.new(
        chosen.url,
        auth_token=settings.twilio_auth_token,
        transport=HttpTransport(),
        from_=chosen.from_,
        fallback_url="/ivr/fallback",
        status_callback="/ivr/status",
    )
    print(texts["terminal"]["start"].format(url=chosen.url, number=chosen.from_), flush=True)
    terminal = Terminal(call, texts, sys.stdin, sys.stdout, interactive=sys.stdin.isatty())
    return 1 if terminal.run("/ivr/voice") == "error" else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
