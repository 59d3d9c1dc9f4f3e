"""Adds one person to the staff; run as `python -m backend.directory.add_staff USERNAME ROLE`, which asks for the password.

A production line begins without staff, so this is how its first operator comes in.
"""

import argparse
import getpass
import sys

from backend.database import Database
from backend.directory.passwords import refuse_weak
from backend.directory.people import PersonContent, check
from backend.directory.rules import RIGHTS
from backend.directory.service import add_staff
from backend.errors import Refused
from backend.settings import SettingsRefused, load_settings


def ask_password(username: str, name: str) -> str:
    """Ask for the password twice. Raises Refused for one that differs or is no good."""
    password = getpass.getpass("密码 / password: ")
    refuse_weak(password, (username, name))
    if getpass.getpass("再输一次 / once more: ") != password:
        raise Refused("passwords_differ")
    return password


def main(arguments: list[str] | None = None) -> int:
    """Add the person; returns the exit status, 1 when that was refused."""
    parser = argparse.ArgumentParser(prog="python -m backend.directory.add_staff", description=__doc__)
    parser.add_argument("username", help="the name to log in with")
    parser.add_argument("role", choices=sorted(RIGHTS))
    parser.add_argument("--name", help="what citizens and colleagues see; without it the username")
    parser.add_argument("--agency", help="code of an agency, for the role agency")
    parser.add_argument("--telephone", help="where calls are put through: +86… or client:name")
    chosen = parser.parse_args(arguments)
    username, name = chosen.username, chosen.name or chosen.username
    person = PersonContent(username, name, chosen.role, chosen.agency or "", chosen.telephone or "")
    try:
        database = Database(load_settings().database_url)
        with database.read() as session:
            check(session, person)
        password = ask_password(username, name)  # outside a transaction: nobody waits for somebody who types
        with database.write() as session:
            add_staff(session, username, password, chosen.role, name, chosen.agency, chosen.telephone)
    except SettingsRefused as refusal:
        print(refusal, file=sys.stderr)
        return 1
    except Refused as refusal:
        print(f"{refusal.sentence('zh')} / {refusal.sentence('en')}", file=sys.stderr)
        return 1
    print(f"已添加 {username}（{chosen.role}） / added {username} ({chosen.role})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
