"""Known flaws of the locked packages of both environments: `make audit`. pip-audit asks the advisory database of PyPI, or
with AUDIT_SERVICE=osv that of osv.dev; where it can't be asked, nothing is said to be well.

Exit status: 0 nothing known, 1 flaws, 3 not all could be asked about.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from backend.setup.environments import BOT, ROOT, WEB

PIP_AUDIT = "pip-audit==2.10.1"  # runs by uv, so that what it needs is in neither environment
LOCKS = {"requirements.web.lock": WEB, "requirements.bot.lock": BOT}
NOT_ASKED = 3


def ask(lock: str, environment: Path) -> list[dict[str, Any]] | None:
    """What the database says of each package of a lock file: its `vulns`, or a `skip_reason`; None when it can't be asked.
    The environment's Python says which lines of the file are meant."""
    options = ["--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    service = os.environ.get("AUDIT_SERVICE", "pypi")
    uv, python = ROOT / ".tools" / "uv" / "bin" / "uv", environment / "bin" / "python"
    run = [str(uv), "tool", "run", "--python", str(python), "--from", PIP_AUDIT, "pip-audit"]
    done = subprocess.run(
        [*run, "--requirement", lock, "--vulnerability-service", service, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print((done.stderr.strip().splitlines() or ["-"])[-1], file=sys.stderr)
        return None
    return found


def main() -> int:
    """Ask about both; print what is known; returns the exit status."""
    status = 0
    for lock, environment in LOCKS.items():
        found = ask(lock, environment)
        if found is None:
            print(f"{lock}: 查询不到漏洞库 / the advisory database can't be reached")
            status = status or NOT_ASKED
            continue
        skipped = [one for one in found if "skip_reason" in one]
        flaws = [(one, flaw) for one in found for flaw in one.get("vulns", [])]
        for package, flaw in flaws:
            better = ", ".join(flaw["fix_versions"]) or "-"
            print(f"  {package['name']} {package['version']}: {flaw['id']} {' '.join(flaw['aliases'])} (→ {better})")
        print(
            f"{lock}: 已知漏洞 {len(flaws)}，未能查询 {len(skipped)} / {len(found)}"
            f" / known flaws {len(flaws)}, not known to the database {len(skipped)} of {len(found)} packages"
        )
        status = 1 if flaws else status or (NOT_ASKED if skipped else 0)
    return status


if __name__ == "__main__":
    sys.exit(main())
