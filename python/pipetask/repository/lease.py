"""Lease output runs: only one command at a time may write to an output run (see D32).

A lease ends with the process that holds it.  For an SQLite database it is a lock on a file beside the database, which
is removed at the end; the file says who holds it.  SQLite itself relies on locks of this kind: if they do not reach
other machines, the database is not safe either.  For PostgreSQL it is an advisory lock of an open, idle transaction,
which also works through a connection pool; the name of the connection says who holds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import hashlib
import json
import logging
import os
import socket
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy
from lsst.daf.butler import Butler

from ..errors import PipetaskError, reason_of

__all__ = ["Lease", "check_not_leased", "lease_run", "watched"]

_LOG = logging.getLogger(__name__)

_HEARTBEAT = 30.0
"""Seconds after which an idle connection is used, so that it is not closed."""

_MOMENT = 2.0
"""Seconds that a server may take to notice that a client has died."""


@dataclass(frozen=True)
class _Owner:
    run: str
    user: str
    host: str
    pid: int
    since: str
    command: str

    @classmethod
    def this_process(cls, run: str) -> _Owner:
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        return cls(run, user_name(), socket.gethostname(), os.getpid(), now, " ".join(sys.argv))

    def __str__(self) -> str:
        return f"{self.user} on {self.host} (process {self.pid}) since {self.since}"


def _ignore(reason: str) -> None:
    pass


class Lease(ABC):
    """A lease of an output run.

    Attributes
    ----------
    on_loss
        Called, from any thread, with one line when the lease was lost and another command has the run.
    """

    def __init__(self) -> None:
        self.on_loss: Callable[[str], None] = _ignore

    @abstractmethod
    def release(self) -> None:
        """Release the run; a second call does nothing."""


@contextmanager
def lease_run(butler: Butler, run: str) -> Iterator[Lease]:
    """Lease an output run until the context ends, or until the lease is released.

    Parameters
    ----------
    butler
        The repository, writeable.
    run
        The output RUN collection, which need not exist yet.

    Raises
    ------
    PipetaskError
        If another command has the run; the message says which.
    """
    lease = _acquire(butler, run)
    try:
        yield lease
    finally:
        lease.release()


@contextmanager
def watched(lease: Lease | None, on_loss: Callable[[str], None]) -> Iterator[None]:
    """Call a function if the lease is lost to another command during the context.

    Parameters
    ----------
    lease
        The lease, if there is one.
    on_loss
        Called, from any thread, with one line.
    """
    if lease is not None:
        lease.on_loss = on_loss
    try:
        yield
    finally:
        if lease is not None:
            lease.on_loss = _ignore


def check_not_leased(butler: Butler, runs: Iterable[str]) -> None:
    """Check that no command is writing to any of these runs at this moment.

    Parameters
    ----------
    butler
        The repository, writeable.
    runs
        Output runs.

    Raises
    ------
    PipetaskError
        If a command is writing to one; the message says which.
    """
    database = getattr(butler, "_registry")._db  # noqa: B009  no public way leads there
    if database.dialect.name == "postgresql":
        with database._engine.connect() as connection:
            for run in runs:
                if owner := _holder(connection, _lock_key(database, run)):
                    raise _taken(run, owner)
    elif database.filename:
        for run in runs:
            if _lease_path(Path(database.filename), run).exists():
                _FileLease(Path(database.filename), run).release()


def user_name() -> str:
    """Return the name of the user, or its number if it has no name."""
    with contextlib.suppress(Exception):
        return getpass.getuser()
    return str(os.getuid())


def _acquire(butler: Butler, run: str) -> Lease:
    database = getattr(butler, "_registry")._db  # noqa: B009  no public way leads there
    if database.dialect.name == "postgresql":
        return _DatabaseLease(database, run)
    return _FileLease(Path(database.filename), run) if database.filename else _NoLease()


def _taken(run: str, owner: object) -> PipetaskError:
    return PipetaskError(
        f"Output run {run!r} is being written to by {owner}: wait until that has ended, or end it; nothing was "
        "changed here."
    )


class _NoLease(Lease):
    """For a database in memory, which no other process sees."""

    def release(self) -> None:
        """Do nothing."""


# SQLite.

_held: set[int] = set()
"""Descriptors of locked files."""


def _leave_locks_to_parent() -> None:
    """Close locked files in a child process, which would otherwise keep the locks after the death of its parent."""
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_leave_locks_to_parent)


class _FileLease(Lease):
    """A lock on a file beside the database."""

    def __init__(self, database: Path, run: str):
        super().__init__()
        self._path = _lease_path(database, run)
        self._descriptor: int | None = self._lock(database, run)
        _held.add(self._descriptor)
        content = json.dumps(asdict(_Owner.this_process(run))).encode()
        with contextlib.suppress(OSError):  # a disk that is full does not take the name, and the lock holds
            os.truncate(self._descriptor, 0)
            os.pwrite(self._descriptor, content, 0)

    def _lock(self, database: Path, run: str) -> int:
        while True:
            descriptor = self._open(database)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                owner = self._owner(descriptor)
                os.close(descriptor)
                if not isinstance(error, BlockingIOError):
                    raise PipetaskError(
                        f"{self._path} cannot be locked ({error.strerror}), which SQLite has to do too: put the "
                        "repository on a file system with locks."
                    ) from error
                raise _taken(run, owner) from error
            if self._is_still_there(descriptor):
                return descriptor
            os.close(descriptor)  # its last holder removed it after it was opened here

    def _open(self, database: Path) -> int:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise PipetaskError(
                f"The repository cannot be written to ({self._path}: {error.strerror}): make room there, or get "
                "permission to write."
            ) from error
        with contextlib.suppress(
            OSError
        ):  # all users who may write to the database may lock it after the death of the holder
            os.fchmod(descriptor, database.stat().st_mode & 0o666)
        return descriptor

    def _is_still_there(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    @staticmethod
    def _owner(descriptor: int) -> object:
        try:
            return _Owner(**json.loads(os.pread(descriptor, 1 << 20, 0)))
        except (OSError, ValueError, TypeError):
            return "another command"

    def release(self) -> None:
        """Remove the file while it is locked, so that no other process can be locking it."""
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):
            self._path.unlink()
        _held.discard(self._descriptor)
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
        self._descriptor = None


def _lease_path(database: Path, run: str) -> Path:
    name = hashlib.blake2b(run.encode(), digest_size=8).hexdigest()
    return database.with_name(f"{database.name}.lease-{name}")


# PostgreSQL.

_PREFIX = "pipetask: "
_LOCK = sqlalchemy.text("SELECT pg_try_advisory_xact_lock(:key)")
_NAME = sqlalchemy.text("SELECT set_config('application_name', :name, true)")
_OWNER = sqlalchemy.text(
    "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted "
    "AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND objsubid = 1 AND (classid::bigint << 32) | objid::bigint = :key"
)


class _DatabaseLease(Lease):
    """An advisory lock of a transaction on a connection of its own."""

    def __init__(self, database: Any, run: str):
        super().__init__()
        self._engine, self._run = database._engine, run
        self._key = _lock_key(database, run)
        self._released = threading.Event()
        self._connection: Any = self._lock()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            self._disconnect()
            raise PipetaskError(
                f"No thread can be started ({error}), and the lease of output run {run!r} needs one: allow this "
                "process more (ulimit -u)."
            ) from error

    def _lock(self) -> Any:
        connection = self._engine.connect()
        connection.detach()  # not shared through the pool
        try:
            if self._try(connection):
                connection.execute(_NAME, {"name": _connection_name(_Owner.this_process(self._run))})
                return connection
            owner = _holder(connection, self._key)
        except BaseException:
            connection.close()
            raise
        connection.close()
        raise _taken(self._run, owner or "another command")

    def _try(self, connection: Any) -> bool:
        """Try for a moment: a server may not have noticed yet that the last holder has died."""
        deadline = time.monotonic() + _MOMENT
        while not connection.execute(_LOCK, {"key": self._key}).scalar():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def _beat(self) -> None:
        """Keep the connection alive; if it is lost, for instance because the server was restarted, lock again."""
        while not self._released.wait(_HEARTBEAT):
            try:
                if self._connection is None:
                    self._connection = self._lock()
                self._connection.execute(sqlalchemy.text("SELECT 1"))
            except PipetaskError as error:  # another command was faster
                self._disconnect()
                self.on_loss(
                    f"the lease of output run {self._run!r} was lost, and another command has it now"
                )
                _LOG.debug("%s", error)
                return
            except Exception as error:
                self._disconnect()
                _LOG.warning(
                    "The lease of output run %r is lost (%s); it is tried again.", self._run, reason_of(error)
                )

    def _disconnect(self) -> None:
        with contextlib.suppress(Exception):
            self._connection.close()
        self._connection = None

    def release(self) -> None:
        """End the transaction, and with it the lock."""
        if not self._released.is_set():
            self._released.set()
            self._thread.join()
            self._disconnect()


def _lock_key(database: Any, run: str) -> int:
    name = f"{database.namespace} {run}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big", signed=True)


def _holder(connection: Any, key: int) -> str | None:
    """Return who has a lock; `None` if it is free."""
    name = connection.execute(_OWNER, {"key": key}).scalar()
    return None if name is None else name.removeprefix(_PREFIX) or "another command"


def _connection_name(owner: _Owner) -> str:
    """Return a name as PostgreSQL takes it: no more than 63 characters."""
    place = f"{owner.user} on {owner.host.partition('.')[0]}"
    rest = f" (process {owner.pid}) since {owner.since}"
    return f"{_PREFIX}{place[: 63 - len(_PREFIX) - len(rest)]}{rest}"
