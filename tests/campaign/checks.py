"""What must hold after a disturbance: each check returns complaints, none of them if all is well."""

from __future__ import annotations

import json
import re
import stat
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repository_dump import read_registry

__all__ = ["EndState", "complaints_of_output", "complaints_of_summary", "complaints_of_temporary_files"]

UNREPEATABLE = ("_log", "_metadata", "packages")
"""Dataset types whose content has times in it."""

OWN_FILES = 3
"""Files of a quantum, whose permissions are its own affair."""


@dataclass(frozen=True)
class EndState:
    """What is in a repository when a run is over."""

    registry: dict[str, list[dict[str, Any]]]
    files: dict[str, str]
    """Content of each file, where it can be repeated, by path."""
    modes: dict[str, str]
    """Permissions of each file, by path."""

    @classmethod
    def of(cls, root: Path) -> EndState:
        """Read a repository."""
        registry = read_registry(root)
        for row in registry.get("file_datastore_records", ()):
            row["file_size"] = _right_size(root, row)
        files = {str(path.relative_to(root)): path for path in sorted(_files(root))}
        return cls(
            registry,
            {name: _content(path, name) for name, path in files.items()},
            {name: stat.filemode(path.stat().st_mode) for name, path in files.items()},
        )

    def complaints(self, wanted: EndState) -> list[str]:
        """Return how this differs from what is wanted."""
        found = list(_compare(self.files, wanted.files))
        modes = [
            name for name in self.modes.keys() & wanted.modes.keys() if self.modes[name] != wanted.modes[name]
        ]
        if len(modes) > OWN_FILES:
            found.append(
                f"{len(modes)} files have other modes, such as {min(modes)}: {self.modes[min(modes)]}"
            )
        for table in sorted(self.registry.keys() | wanted.registry.keys()):
            ours, theirs = (Counter(map(repr, each.registry.get(table, ()))) for each in (self, wanted))
            for words, rows in (("lacks", theirs - ours), ("has too much", ours - theirs)):
                if rows:
                    found.append(f"{table} {words} {rows.total()} rows, such as {next(iter(rows))[:300]}")
        return found


def _right_size(root: Path, row: dict[str, Any]) -> str:
    path = root / row["path"]
    if not path.exists():
        return "no such file"
    size = path.stat().st_size
    return "right" if size == row["file_size"] else f"{row['file_size']} and the file has {size}"


def _files(root: Path) -> Iterable[Path]:
    names = ("gen3.sqlite3", "graph.qg")
    return (path for path in root.rglob("*") if path.is_file() and not path.name.startswith(names))


def _content(path: Path, name: str) -> str:
    content = path.read_bytes()
    if not content:
        return "empty"
    if any(part.endswith(UNREPEATABLE) for part in name.split("/")):
        if path.suffix == ".json":
            try:
                json.loads(content)
            except ValueError:
                return "not JSON"
        return "something"
    return content.decode(errors="replace")


def _compare(ours: dict[str, str], theirs: dict[str, str]) -> Iterable[str]:
    for words, names in (
        ("lacks", theirs.keys() - ours.keys()),
        ("has too much", ours.keys() - theirs.keys()),
    ):
        if names:
            yield f"{words} {len(names)} files, such as {min(names)}"
    if different := sorted(name for name in ours.keys() & theirs.keys() if ours[name] != theirs[name]):
        mine, wanted = (each[different[0]][:200] for each in (ours, theirs))
        yield f"{len(different)} files differ, such as {different[0]}: {mine} instead of {wanted}"


TRACES = ("Traceback (most recent call last)", "Exception ignored in", "--- Logging error ---")

ERROR_LINE = re.compile(r"^pipetask[a-z -]*: ", re.MULTILINE)


def complaints_of_output(text: str, code: int, *, verdict: bool) -> list[str]:
    """Return what is wrong with what a command has said.

    Parameters
    ----------
    text
        All of it.
    code
        Its exit code.
    verdict
        Whether it came as far as to say what became of the quanta.
    """
    found = [f"it says {trace!r}: {_around(text, trace)}" for trace in TRACES if trace in text]
    lines = len(ERROR_LINE.findall(text))
    # One of them may say what a command takes upon itself before it fails.
    if code > 0 and not verdict and lines not in (1, 2) and "\nUsage:" not in text:
        found.append(f"exit code {code}, and {lines} lines that say why: {text[-500:]!r}")
    return found


def _around(text: str, words: str) -> str:
    start = text.index(words)
    return repr(text[start : start + 1500])


def complaints_of_summary(path: Path, quanta: int, code: int) -> list[str]:
    """Return what is wrong with a summary."""
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        return [f"the summary, of {path.stat().st_size} bytes, cannot be read: {error}"]
    found = []
    counts = Counter(quantum["quantumId"] for quantum in content["quanta"])
    if len(counts) != quanta or counts.total() != quanta:
        found.append(
            f"the summary has {counts.total()} quanta, {len(counts)} different ones, instead of {quanta}"
        )
    if content["exitCode"] != code:
        found.append(f"the summary says exit code {content['exitCode']}, and it is {code}")
    return found


def complaints_of_temporary_files(folder: Path, said: str, excused: set[Path]) -> list[str]:
    """Return what lies in a temporary folder.

    Parameters
    ----------
    folder
        The folder.
    said
        What commands have said: what they name is there for the user.
    excused
        What may be there.
    """
    named = {path for path in folder.rglob("*") if str(path) in said}
    kept = named.union(*(path.parents for path in named), excused)
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path not in kept)
    return [f"temporary files are left: {', '.join(left[:5])}"] if left else []
