"""Checks the audit log's chain; run as `python -m backend.verify_audit [--expect NUMBER:HASH]`.

It prints the number and hash of the last row. Kept outside the database (a weekly print-out will do), they show with
--expect that the whole log has not been written anew since.
"""

import argparse
import sys

from backend.audit import AuditEvent, AuditHead, first_fault
from backend.database import Database
from backend.settings import SettingsRefused, load_settings


def main(arguments: list[str] | None = None) -> int:
    """Check; returns the exit status, 1 when a row is not as it was written."""
    parser = argparse.ArgumentParser(prog="python -m backend.verify_audit", description=__doc__)
    parser.add_argument("--expect", metavar="NUMBER:HASH", help="what an earlier run printed")
    expected = parser.parse_args(arguments).expect
    try:
        database = Database(load_settings().database_url)
    except SettingsRefused as refusal:
        print(refusal, file=sys.stderr)
        return 1
    with database.read() as session:
        fault = first_fault(session)
        head = session.get_one(AuditHead, 1)
        if fault is None and expected:
            number, _, known = expected.partition(":")
            row = session.get(AuditEvent, int(number)) if number.isdigit() else None
            fault = None if row and row.hash == known else int(number) if number.isdigit() else 0
    database.close()
    if fault is not None:
        print(f"审计日志第 {fault} 条与写入时不符 / row {fault} of the audit log is not as it was written")
        return 1
    print(f"审计日志完整 / the audit log is whole: {head.number}:{head.hash}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
