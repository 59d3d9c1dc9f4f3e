"""A line on a PostgreSQL and a Redis of its own, which are among its processes and can be killed like them.

Both are started from the machine's own programs, fresh, at ports of their own, and write to disk as in compose.yaml.
PostgreSQL refuses to run as root, so there it runs as the user that its package made.
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import psycopg
import redis

from tests.conftest import closed_port
from tests.running_line import RunningLine, until

SERVERS = ("postgres", "redis")


def program(name: str) -> str:
    """Where a server's program is; empty when this machine doesn't have it."""
    places = [str(folder) for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    return shutil.which(name, path=os.pathsep.join([*places, os.environ.get("PATH", "")])) or ""


def missing() -> list[str]:
    """The programs that such a line needs and this machine doesn't have."""
    needed = ["initdb", "postgres", "redis-server", *(["setpriv"] if os.geteuid() == 0 else [])]
    return [name for name in needed if not program(name)]


class ServedLine(RunningLine):
    """The line with its servers: `DATABASE_URL`, `BOT_DATABASE_URL` and `REDIS_URL` name them."""

    def __init__(self, folder: Path) -> None:
        self.postgres_port, self.redis_port = closed_port(), closed_port()
        self.data = Path(
            tempfile.mkdtemp(prefix="servers-")
        )  # not in `folder`, which may be closed to PostgreSQL's user
        server = f"postgres@127.0.0.1:{self.postgres_port}"
        super().__init__(folder, f"postgresql+psycopg://{server}/line")
        self.environment |= {
            "BOT_DATABASE_URL": f"postgresql://{server}/bot",
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
        }

    def commands(self) -> dict[str, list[str]]:
        """The servers first, then the line's own processes."""
        postgres = [program("postgres"), "-D", str(self.data / "postgres"), "-p", str(self.postgres_port)]
        postgres += ["-k", str(self.data), "-h", "127.0.0.1", "-c", "max_connections=300"]
        redis_server = [program("redis-server"), "--port", str(self.redis_port), "--bind", "127.0.0.1"]
        redis_server += ["--dir", str(self.data), "--appendonly", "yes"]
        return {"postgres": [*as_postgres(), *postgres], "redis": redis_server, **super().commands()}

    def __enter__(self) -> Self:
        try:
            if as_postgres():
                shutil.chown(self.data, "postgres", "postgres")
            initdb = [
                program("initdb"),
                "-D",
                str(self.data / "postgres"),
                "-U",
                "postgres",
                "-A",
                "trust",
                "--no-sync",
            ]
            subprocess.run([*as_postgres(), *initdb, "-E", "UTF8", "--locale=C.UTF-8"], check=True, capture_output=True)
            for name in SERVERS:
                self.start(name)
            until(self.servers_answer, "the servers' first answer")
            with self.admin() as admin:
                for name in ("line", "bot"):
                    admin.execute(f"CREATE DATABASE {name}")
        except BaseException:
            self.__exit__()
            raise
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        shutil.rmtree(self.data, ignore_errors=True)

    def admin(self) -> psycopg.Connection:
        """A connection to PostgreSQL itself."""
        return psycopg.connect(
            f"postgresql://postgres@127.0.0.1:{self.postgres_port}/postgres", autocommit=True, connect_timeout=3
        )

    def servers_answer(self) -> bool:
        """Whether both can be asked."""
        try:
            self.admin().close()
            with redis.Redis(port=self.redis_port, socket_timeout=3) as queue:
                return bool(queue.ping())
        except (psycopg.OperationalError, redis.RedisError):
            return False


def as_postgres() -> list[str]:
    """What to put before a command that PostgreSQL doesn't let root run."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
