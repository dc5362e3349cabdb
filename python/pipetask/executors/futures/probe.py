"""Look around on a worker of an engine before anything is touched."""

from __future__ import annotations

import os
import pickle
import platform
import socket
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ...errors import one_line, reason_of
from ...settings.paths import PathMap
from .inquiry import Facts, Inquiry
from .inside import look_inside
from .packages import BASE, Package, look_at, words_for

__all__ = ["answer", "difference", "look_around", "other_tasks", "python_version"]

_MARKED = 1 << 20
"""Bytes at the end of a file that are compared."""

_KEYS = "python:, setup: or container:"

SAME = PathMap()
"""The same names on both sides."""


def look_around(inquiry: Inquiry) -> Facts:
    """Return what is seen from here, by a process like those that will run quanta.

    Parameters
    ----------
    inquiry
        What to look at.
    """
    if inquiry.environment.is_usual:
        facts = _seen(inquiry)
    else:
        facts = replace(look_inside(inquiry), driver=look_at("pipetask", inquiry.packages.get("pipetask")))
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
        python_version(),
        {name: look_at(name, place) for name, place in inquiry.packages.items()},
        {path: _file_mark(path) for path in inquiry.files},
        sees_folder=False,
        runner_error=runner_error,
        roots={root: reason for root in inquiry.roots if (reason := _unwritable(root))},
        task_error=_import_error(inquiry.tasks),
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


def python_version() -> str:
    """Return the version of Python as far as it has to be the same on both sides."""
    return ".".join(platform.python_version_tuple()[:2])


Look = Callable[[str], Package | None]
"""Returns what this side has of a package."""


def difference(facts: Facts, inquiry: Inquiry, paths: PathMap = SAME, look: Look = look_at) -> str | None:
    """Return what on the far side would make all quanta fail, if anything would.

    Parameters
    ----------
    facts
        What a worker sees.
    inquiry
        What it was to look at.
    paths
        Names of files there.
    look
        Returns what this side has of a package.
    """
    host = f"Workers on {facts.host}"
    if (words := _other_base(facts, look)) is not None:
        return f"{host} have {words}: they must be the same."
    if facts.no_worker is not None:
        remedy = "" if inquiry.environment.is_usual else f": correct {_KEYS} in --engine-settings"
        return f"{host} cannot start a process for quanta: {facts.no_worker}{remedy}."
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
    for name, package in facts.packages.items():
        if package is None and (words := _words(name, package, look)) is not None:
            return (
                f"{host} have {words}: install it there, or send it with code: in --engine-settings, since tasks of "
                "the graph are in it."
            )
    if facts.task_error is not None:
        return f"{host} cannot import a task: {facts.task_error}."
    return None


def _other_base(facts: Facts, look: Look) -> str | None:
    """Return what they have instead of the Python, or a package, that has to be the same."""
    here = python_version()
    if facts.python != here and (facts.python or facts.no_worker is None):
        there = f"Python {facts.python}" if facts.python else "no Python"
        return f"{there}, and this is Python {here}"
    if facts.driver is not None:
        words = _words("pipetask", facts.driver, look)
        if words is not None:
            return f"{words}, outside of the environment of quanta"
    seen = ((name, facts.packages[name]) for name in BASE if name in facts.packages)
    return next((words for name, package in seen if (words := _words(name, package, look))), None)


def _words(name: str, theirs: Package | None, look: Look) -> str | None:
    """Return what they have instead of a package; this side looks at it only if that is necessary."""
    return None if theirs is not None and theirs.is_same else words_for(name, look(name), theirs)


def other_tasks(facts: Facts, look: Look = look_at) -> str | None:
    """Return which packages with tasks of the graph differ on the far side, if any do.

    Parameters
    ----------
    facts
        What a worker sees, with which quanta can run.
    look
        Returns what this side has of a package.
    """
    seen = ((name, package) for name, package in facts.packages.items() if name not in BASE)
    found = [words for name, package in seen if (words := _words(name, package, look))]
    return f"Workers on {facts.host} have {'; '.join(found)}" if found else None


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
