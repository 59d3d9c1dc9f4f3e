"""Makes a key of the API and prints it, once; run as `python -m backend.api.add_key NAME SCOPE [SCOPE …]`."""

import argparse
import sys

from backend.api.keys import SCOPES, make_key
from backend.clock import utc_now
from backend.database import Database
from backend.errors import Refused
from backend.settings import SettingsRefused, load_settings
from bot.catalogue import LOCALES


def main(arguments: list[str] | None = None) -> int:
    """Make the key; returns the exit status, 1 when that was refused."""
    parser = argparse.ArgumentParser(prog="python -m backend.api.add_key", description=__doc__)
    parser.add_argument("name", help="whose system it is for")
    parser.add_argument("scopes", nargs="+", choices=sorted(SCOPES), metavar="scope", help=", ".join(SCOPES))
    parser.add_argument(
        "--agency", help="code of the agency whose own system it is; it acts on that agency's cases alone"
    )
    chosen = parser.parse_args(arguments)
    try:
        with Database(load_settings().database_url).write() as session:
            _, key = make_key(session, chosen.name, set(chosen.scopes), chosen.agency, utc_now())
    except Refused as refusal:
        print(" / ".join(refusal.sentence(locale) for locale in LOCALES), file=sys.stderr)
        return 1
    except SettingsRefused as refusal:
        print(refusal, file=sys.stderr)
        return 1
    print(key)
    return 0


if __name__ == "__main__":
    sys.exit(main())
