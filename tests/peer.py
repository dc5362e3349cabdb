"""LSST's own command, in an environment of its own, and how to compare what it leaves with what ours leaves."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE
from tempfile import NamedTemporaryFile
from typing import Any

from needs import check_marked, not_tested
from repository_dump import Registry, read_files, read_registry

from conftest import TESTS, Finished, environment  # isort: skip

NOT_REPEATABLE = ("_log", "_metadata", "packages")
"""Endings of names of dataset types whose files hold times, hosts and versions."""


def find_peer() -> Path:
    """Return the path of LSST's ``pipetask``; without it, there is nothing to compare with."""
    check_marked("peer")
    path = Path(os.environ.get("PIPETASK_PEER") or TESTS.parent / ".venv-peer" / "bin" / "pipetask")
    if path.exists():
        return path
    not_tested(
        f"NOT COMPARED WITH LSST'S pipetask: there is none at {path} (make .venv-peer, or set PIPETASK_PEER)"
    )


def run_peer(*arguments: str) -> Finished:
    """Run LSST's command."""
    start = time.monotonic()
    done = subprocess.run(
        [str(find_peer()), *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    return Finished(done.returncode, done.stdout, done.stderr, time.monotonic() - start)


@contextmanager
def peer_session() -> Iterator[Callable[..., Finished]]:
    """Import LSST's command once for several uses, each in a fork; as `forked` does with ours."""
    python = find_peer().with_name("python")
    if not python.exists():
        yield run_peer
        return
    command = [str(python), str(TESTS / "peer_server.py")]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True, env=environment()) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def run(*arguments: str) -> Finished:
            with NamedTemporaryFile("r") as messages:
                print(json.dumps([messages.name, *arguments]), file=server.stdin, flush=True)
                return Finished(int(server.stdout.readline()), "", messages.read(), 0.0)

        yield run
        server.stdin.close()


def assert_same_repository(ours: Path, theirs: Path) -> None:
    """Compare two repositories: every row of the registry, every file."""
    assert comparable_registry(ours) == comparable_registry(theirs)
    assert set(read_files(ours)) == set(read_files(theirs))


def comparable_registry(root: Path) -> Registry:
    """Return a registry without the sizes of files that hold times; check that each is the size of the file."""
    return without_varying_sizes(read_registry(root), root)


def without_varying_sizes(content: Registry, root: Path) -> Registry:
    """Do so with the rows of a registry in whatever database."""
    types = {row["id"]: row["dataset_type_id"] for row in content["dataset"]}
    records = content.get("file_datastore_records", [])
    sizes = read_files(root)
    for row in records:
        assert sizes[row["path"]] == row["file_size"], f"{row['path']} has another size than its record"
    shown = [
        _without_size(row) if types[row["dataset_id"]].endswith(NOT_REPEATABLE) else row for row in records
    ]
    return content | {"file_datastore_records": shown}


def _without_size(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"file_size": None}
