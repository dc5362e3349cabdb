"""Look around on a worker of an engine before anything is touched."""

from __future__ import annotations

import contextlib
import os
import pickle
import platform
import socket
import zlib
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ...errors import one_line, reason_of
from ...settings.paths import PathMap
from .inquiry import Facts, Inquiry
from .inside import look_inside

__all__ = ["answer", "difference", "look_around", "versions"]

_MARKED = 1 << 20
"""Bytes at the end of a file that are compared."""

SAME = PathMap()
"""The same names on both sides."""


def look_around(inquiry: Inquiry) -> Facts:
    """Return what is seen from here, by a process like those that will run quanta.

    Parameters
    ----------
    inquiry
        What to look at.
    """
    facts = _seen(inquiry) if inquiry.environment.is_usual else look_inside(inquiry)
    folder = inquiry.folder  # this process writes to it, and not the one that runs quanta
    sees_folder = folder is not None and os.access(folder.path, os.R_OK | os.W_OK | os.X_OK)
    return replace(facts, sees_folder=sees_folder)


def _seen(inquiry: Inquiry) -> Facts:
    """Return what this process sees."""
    runner_error = None
    try:
        pickle.loads(inquiry.runner)
    except Exception as error:
        runner_error = one_line(error)
    return Facts(
        socket.gethostname(),
        versions(),
        {path: _file_mark(path) for path in inquiry.files},
        sees_folder=False,
        runner_error=runner_error,
        roots={root: reason for root in inquiry.roots if (reason := _unwritable(root))},
        task_error=_import_error(inquiry.tasks),
        no_worker=_hidden(inquiry.code_folders),
    )


def answer(channel: int) -> None:
    """Receive an inquiry from a socket, and send the facts.

    Parameters
    ----------
    channel
        Its descriptor.
    """
    with socket.socket(fileno=channel) as connection, connection.makefile("rb") as questions:
        connection.sendall(pickle.dumps(_seen(pickle.load(questions))))


def _unwritable(folder: str) -> str | None:
    """Return why a folder cannot be written to."""
    if not Path(folder).is_dir():
        return "there is no such folder"
    return None if os.access(folder, os.R_OK | os.W_OK | os.X_OK) else "it may not be written to"


def _hidden(folders: Sequence[str]) -> str | None:
    hidden = next((folder for folder in folders if not Path(folder).is_dir()), None)
    if hidden is None:
        return None
    return f"{hidden}, where code is unpacked, is not seen there: let the container see that folder, too"


def _import_error(names: Sequence[str]) -> str | None:
    """Return why one of some tasks cannot be imported."""
    if not names:
        return None
    try:
        from lsst.utils import doImportType

        for name in names:
            doImportType(name)
    except Exception as error:
        return reason_of(error)
    return None


def versions() -> dict[str, str]:
    """Return the versions that have to be the same on both sides."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2])}
    for name in ("pipetask", "lsst-pipe-base", "lsst-daf-butler"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def difference(facts: Facts, inquiry: Inquiry, paths: PathMap = SAME) -> str | None:
    """Return what on the far side would make all quanta fail, if anything would.

    Parameters
    ----------
    facts
        What a worker sees.
    inquiry
        What it was to look at.
    paths
        Names of files there.
    """
    host = f"Workers on {facts.host}"
    for name, ours in versions().items():
        theirs = facts.versions.get(name)
        if theirs != ours and (theirs or facts.no_worker is None):
            there = f"{name} {theirs}" if theirs else f"no {name}"
            return f"{host} have {there}, and this is {name} {ours}: they must be the same."
    if facts.no_worker is not None:
        return f"{host} cannot start a process for quanta: {facts.no_worker}."
    if facts.runner_error is not None:
        return f"{host} cannot read what runs a quantum: {facts.runner_error}"
    for path, mark in facts.files.items():
        here = paths.back(path)
        if mark is None:
            return f"{host} cannot read {_both(path, here)}: put it where both sides see it{_remedy(paths)}."
        if mark != _file_mark(here):
            return f"{host} see another file as {_both(path, here)} than this command does."
    for root, reason in facts.roots.items():
        return (
            f"{host} cannot write to the datastore in {_both(root, paths.back(root))}: {reason}. It must be seen on "
            f"both sides{_remedy(paths)}."
        )
    if facts.task_error is not None:
        return f"{host} cannot import a task: {facts.task_error}."
    return None


def _both(there: str, here: str) -> str:
    """Return both names of a file."""
    return there if there == here else f"{there}, which is {here} here"


def _remedy(paths: PathMap) -> str:
    return ", or correct the paths: in --engine-settings" if paths else " under this name"


def _file_mark(path: str) -> tuple[int, int] | None:
    """Return size and checksum (of the end) of a file; `None` if it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _MARKED))
            return size, zlib.crc32(file.read())
    except OSError:
        return None
