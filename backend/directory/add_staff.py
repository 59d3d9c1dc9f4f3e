"""Adds one person to the staff; run as `python -m backend.directory.add_staff USERNAME ROLE`, which asks for the password.

A production line begins without staff, so this is how its first operator comes in.
"""

import argparse
import getpass
import re
import sys

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.database import Database
from backend.directory.models import Agency, Staff
from backend.directory.rules import RIGHTS
from backend.directory.service import add_staff
from backend.settings import SettingsRefused, load_settings

SHORTEST_PASSWORD = 8
"""NIST SP 800-63B (2017), 5.1.1.1."""
LONGEST_PASSWORD = 200
"""What the log-in page reads."""
LONGEST_NAME = 60


def problem_of(
    session: Session, username: str, name: str, role: str, agency_code: str | None, telephone: str | None
) -> str | None:
    """Why this person can't be added, Chinese first, or None."""
    for value in (username, name):
        if not value.strip() or value != value.strip() or len(value) > LONGEST_NAME:
            return f"用户名和姓名须为 1 到 {LONGEST_NAME} 个字，首尾无空格 / names have 1 to {LONGEST_NAME} characters"
    if session.scalar(select(Staff.id).where(Staff.username == username)) is not None:
        return f"用户名 {username} 已存在 / {username} is there already"
    if role == "agency" and agency_code is None:
        return "承办单位人员须用 --agency 指明单位 / the role agency needs --agency, its cases are those of one agency"
    if agency_code is not None and session.get(Agency, agency_code) is None:
        return f"没有单位 {agency_code} / no agency {agency_code}"
    if telephone is not None and not re.fullmatch(r"\+[1-9]\d{5,14}|client:[\w.-]{1,50}", telephone):
        return f"电话须写作 +86… 或 client:名字 / a telephone is +86… or client:name, not {telephone}"
    return None


def ask_password() -> str:
    """Ask for the password twice. Raises ValueError for one that differs or has no good length."""
    password = getpass.getpass("密码 / password: ")
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        limits = f"{SHORTEST_PASSWORD}–{LONGEST_PASSWORD}"
        raise ValueError(f"密码须有 {limits} 个字符 / a password has {limits} characters")
    if getpass.getpass("再输一次 / once more: ") != password:
        raise ValueError("两次输入不同 / the two differ")
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
    person = (chosen.username, chosen.name or chosen.username, chosen.role, chosen.agency, chosen.telephone)
    try:
        database = Database(load_settings().database_url)
        with database.read() as session:
            problem = problem_of(session, *person)
        if problem:
            raise ValueError(problem)
        password = ask_password()  # outside a transaction: nobody waits for somebody who types
        username, name, role, agency, telephone = person
        with database.write() as session:
            add_staff(session, username, password, role, name, agency, telephone)
    except (ValueError, SettingsRefused) as refusal:
        print(refusal, file=sys.stderr)
        return 1
    print(f"已添加 {username}（{role}） / added {username} ({role})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
