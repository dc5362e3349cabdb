"""Look around on a worker of an engine before anything is touched."""

from __future__ import annotations

import contextlib
import os
import pickle
import platform
import socket
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ...errors import one_line
from .shared_folder import SharedFolder

__all__ = ["Facts", "Inquiry", "difference", "look_around", "versions"]

_MARKED = 1 << 20
"""Bytes at the end of a file that are compared."""


@dataclass(frozen=True)
class Inquiry:
    """What is to be looked at."""

    runner: bytes
    """The pickled recipe for what runs a quantum."""

    files: tuple[str, ...]
    folder: SharedFolder | None


@dataclass(frozen=True)
class Facts:
    """What a worker of an engine sees."""

    host: str
    versions: Mapping[str, str]
    """Of Python (without its last number), pipetask and the packages of LSST."""

    files: Mapping[str, tuple[int, int] | None]
    """Marks of the files, `None` for those that are not there."""

    sees_folder: bool
    runner_error: str | None
    """Why the recipe cannot be unpickled."""


def look_around(inquiry: Inquiry) -> Facts:
    """Return what is seen from here.

    Parameters
    ----------
    inquiry
        What to look at.
    """
    runner_error = None
    try:
        pickle.loads(inquiry.runner)
    except Exception as error:
        runner_error = one_line(error)
    return Facts(
        socket.gethostname(),
        versions(),
        {path: _file_mark(path) for path in inquiry.files},
        inquiry.folder is not None and os.access(inquiry.folder.path, os.R_OK | os.W_OK | os.X_OK),
        runner_error,
    )


def versions() -> dict[str, str]:
    """Return the versions that have to be the same on both sides."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2])}
    for name in ("pipetask", "lsst-pipe-base", "lsst-daf-butler"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def difference(facts: Facts, inquiry: Inquiry) -> str | None:
    """Return what on the far side would make all quanta fail, if anything would.

    Parameters
    ----------
    facts
        What a worker sees.
    inquiry
        What it was to look at.
    """
    for name, ours in versions().items():
        theirs = facts.versions.get(name)
        if theirs != ours:
            there = f"{name} {theirs}" if theirs else f"no {name}"
            return f"Workers on {facts.host} have {there}, and this is {name} {ours}: they must be the same."
    if facts.runner_error is not None:
        return f"Workers on {facts.host} cannot read what runs a quantum: {facts.runner_error}"
    for path, mark in facts.files.items():
        if mark is None:
            return (
                f"Workers on {facts.host} cannot read {path}: put it where both sides see it under this name."
            )
        if mark != _file_mark(path):
            return f"Workers on {facts.host} see another file as {path} than this command does."
    return None


def _file_mark(path: str) -> tuple[int, int] | None:
    """Return size and checksum (of the end) of a file; `None` if it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _MARKED))
            return size, zlib.crc32(file.read())
    except OSError:
        return None
