"""A PostgreSQL server for tests, made of Debian's package; it lives as long as the test process wants it to.

It listens on a free port of the loopback, keeps everything in a folder of its own, and runs as an ordinary user, which
PostgreSQL insists on.  The kernel ends it should the test process be killed.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from lsst.daf.butler import Butler, Config

from needs import check_marked, not_tested
from pipetask.testing.plain_runs import wait_until
from repository_dump import NUMBERED_TABLES, Registry, dump_tables

USER = "butler"
SETTINGS = ("fsync=off", "autovacuum=off", "listen_addresses=127.0.0.1", "unix_socket_directories=")
"""Nothing has to survive; no processes that come and go by themselves."""

READY = "database system is ready to accept connections"


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """What a butler's configuration has for ``registry.db``."""
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/postgres"

    def execute(self, statement: str) -> None:
        """Execute a statement."""
        with self._connect() as connection:
            connection.execute(statement)

    def read_registry(self, namespace: str) -> Registry:
        """Return every row of a butler's registry, as `repository_dump.read_registry` does."""
        with self._connect() as connection:
            connection.row_factory = _sqlite_like_rows
            connection.execute(f"SET search_path TO {namespace}")
            query = f"SELECT tablename FROM pg_tables WHERE schemaname = '{namespace}'"
            tables = [name for (name,) in connection.execute(query) if name not in NUMBERED_TABLES]
            return dump_tables(connection, tables)

    def make_repository(self, root: Path, namespace: str) -> None:
        """Make an empty repository whose registry is in this server."""
        config = Config()
        config["registry", "db"] = self.url
        config["registry", "namespace"] = namespace
        Butler.makeRepo(str(root), config=config)

    def _connect(self) -> Any:
        import psycopg

        return psycopg.connect(f"host=127.0.0.1 port={self.port} user={USER} dbname=postgres")


class _Row(dict[str, Any]):
    """A row that iterates over its values, as SQLite's do."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values())


def _sqlite_like_rows(cursor: Any) -> Callable[[Sequence[Any]], _Row]:
    names = [column.name for column in cursor.description or ()]
    return lambda values: _Row(zip(names, map(_as_in_sqlite, values), strict=True))


def _as_in_sqlite(value: Any) -> Any:
    return value.hex if isinstance(value, UUID) else value


@contextmanager
def postgresql_server() -> Iterator[Server]:
    """Start a server with the extension that butlers need; stop it, and leave nothing behind."""
    programs = find_programs()
    folder = Path(tempfile.mkdtemp(prefix="pipetask-postgresql-"))
    try:
        shutil.chown(folder, _account())
        initialize = [f"{programs}/initdb", "-D", f"{folder}/data", "-U", USER, "--auth=trust", "--no-sync"]
        subprocess.run([*_as_account(), *initialize], cwd=folder, check=True, capture_output=True)
        with _running(programs, folder) as server:
            server.execute("CREATE EXTENSION btree_gist")
            yield server
    finally:
        shutil.rmtree(folder)


def find_programs() -> Path:
    """Return the folder with PostgreSQL's programs."""
    check_marked("postgresql")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found and importlib.util.find_spec("psycopg"):
        return found[-1].parent
    not_tested("NOT TESTED WITH POSTGRESQL: there is no server (apt-get install postgresql), or no psycopg")


@contextmanager
def _running(programs: Path, folder: Path) -> Iterator[Server]:
    process, port = _start(programs, folder)
    try:
        yield Server(port, process.pid)
    finally:
        process.send_signal(signal.SIGINT)  # which disconnects clients
        process.wait(timeout=120)


def _start(programs: Path, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start a server, on another port if somebody has taken the one that was free."""
    settings = [word for setting in SETTINGS for word in ("-c", setting)]
    for attempt in range(5):
        port, path = _free_port(), folder / f"log-{attempt}"
        command = [*_as_account(), f"{programs}/postgres", "-D", f"{folder}/data", "-p", str(port), *settings]
        with path.open("w") as log:
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        # Another server may answer on that port, so it is this one that has to say it.
        wait_until(lambda: process.poll() is not None or READY in path.read_text(), "PostgreSQL is ready")  # noqa: B023
        if process.poll() is None:
            return process, port
    pytest.fail(f"PostgreSQL does not start: {path.read_text()}")


def _account() -> str:
    """Return an ordinary user's name: that of the package, if this process is the superuser's."""
    return "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def _as_account() -> list[str]:
    """Return what makes a program run as that user, and end with this process."""
    change = ["--reuid", _account(), "--regid", _account(), "--clear-groups"] if os.geteuid() == 0 else []
    return ["setpriv", "--pdeathsig", "INT", *change]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
