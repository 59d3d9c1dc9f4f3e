"""The line's last resort: TwiML texts to be kept at the telephone service itself, for the time when the line can't be
reached. `python -m ivr.fallback` prints them; docs/telephone-providers.md says where they go.

The number's fallback URL must not share our fate, so it names a TwiML Bin (serverless/twiml-bins), which says that
something is wrong and records a message; another bin, the <Record>'s action, says goodbye. ivr/recovery.py makes cases of
the messages when the line is back.
"""

import sys

from twilio.twiml.voice_response import VoiceResponse

from backend.settings import Settings, load_settings
from ivr.calls import prompt
from ivr.twiml import LONGEST_MESSAGE, speaker

LANGUAGES_SAID = ("zh", "en")


def goodbye(settings: Settings) -> str:
    """The second bin: after the message."""
    response = VoiceResponse()
    for language in LANGUAGES_SAID:
        speaker(settings, language, False).say_to(response, prompt("fallback_recorded", language))
    response.hangup()
    return str(response)


def message(settings: Settings, goodbye_url: str) -> str:
    """The first bin: apologise, name the emergency numbers, record a message and go on at the second bin. Without an action
    <Record> would ask the same bin again, for ever (voice/twiml/record)."""
    response = VoiceResponse()
    for language in LANGUAGES_SAID:
        speaker(settings, language, False).say_to(response, prompt("fallback", language))
    response.record(action=goodbye_url, max_length=LONGEST_MESSAGE, timeout=8, finish_on_key="#", play_beep=True)
    response.redirect(goodbye_url)
    return str(response)


def main() -> None:
    """Print the bin for goodbye; with its URL as argument, the bin that records."""
    settings = load_settings()
    if len(sys.argv) == 1:
        print(goodbye(settings))
        print("# 存为 TwiML Bin，再把它的网址作为参数运行本命令", file=sys.stderr)
        print("# keep this as a TwiML Bin, then run this again with the bin's URL as argument", file=sys.stderr)
    else:
        print(message(settings, sys.argv[1]))


if __name__ == "__main__":
    main()
