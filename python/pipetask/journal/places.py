"""Where journals are: a folder for each run, in the user's state folder or where `--journal` says."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..errors import UsageError

__all__ = [
    "SUFFIX",
    "check_folder",
    "default_folder",
    "journals_in",
    "new_journal",
    "note_batch_run",
    "recent_runs",
    "remove_old",
    "runs_folder",
]

SUFFIX = ".journal"

MOST_RUNS = 200
"""Runs whose journals are kept in the state folder."""

MOST_DAYS = 60.0
"""Days for which they are kept."""

_DAY = 86400.0

_FRESH = 3600.0
"""Seconds.  A journal that was written to more recently is never removed: a run that lives touches its journal."""

_POINTER = "run_directory"
"""File with the path of the run directory of a batch run."""

_NAME = re.compile(r"\d{8}-\d{6}-\d+")


def runs_folder() -> Path:
    """Return the folder with the folders of this user's runs."""
    state = os.environ.get("XDG_STATE_HOME", "")
    # The specification says that relative paths are to be ignored.
    root = Path(state) if state.startswith("/") else Path("~/.local/state").expanduser()
    return root / "pipetask" / "runs"


def default_folder() -> Path:
    """Return the folder for the journal of a run of this process; it sorts by time."""
    return runs_folder() / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{os.getpid()}"


def new_journal(folder: Path) -> Path:
    """Return the name of a new journal in a folder, which may have others; names sort by time."""
    return folder / f"{time.time_ns():020}-{os.getpid()}{SUFFIX}"


def check_folder(folder: Path) -> Path:
    """Make a folder for journals, or refuse it; return its absolute path, because a task may change the directory.

    Raises
    ------
    UsageError
        If it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writeable = os.access(folder, os.W_OK | os.X_OK)
    except OSError as error:
        raise UsageError(f"--journal {folder}: {error.strerror}: choose another folder.") from error
    if not writeable:
        raise UsageError(f"--journal {folder} is not writeable: choose another folder.")
    return folder.absolute()


def journals_in(folder: Path) -> list[Path]:
    """Return the journals in a folder, oldest first."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if path.is_file())


def note_batch_run(directory: Path) -> None:
    """Note in the state folder where a batch run is, so that it can be found by its output run.

    Parameters
    ----------
    directory
        The run directory.
    """
    folder = default_folder()
    with suppress(OSError):  # it is found by its path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _POINTER).write_text(str(directory.absolute()), encoding="utf-8")
    remove_old(folder)


def recent_runs() -> Iterator[Path]:
    """Yield the journals in the state folder, and the run directories that are noted there, newest first."""
    for folder in reversed(_run_folders()):
        yield from reversed(journals_in(folder))
        with suppress(OSError, ValueError):
            directory = Path((folder / _POINTER).read_text(encoding="utf-8"))
            if (directory / "run.json").is_file():
                yield directory


def remove_old(keep: Path) -> None:
    """Remove the journals of old runs from the state folder.

    Parameters
    ----------
    keep
        The folder of a run that begins.
    """
    now = time.time()
    for number, folder in enumerate(reversed(_run_folders())):
        with suppress(OSError):  # another command removes them at the same time
            written = max(
                (path.stat().st_mtime for path in journals_in(folder)), default=folder.stat().st_mtime
            )
            age = now - written
            if folder != keep and age > _FRESH and (number >= MOST_RUNS or age > MOST_DAYS * _DAY):
                shutil.rmtree(folder)


def _run_folders() -> list[Path]:
    """Return the folders of runs, oldest first; what the user has put beside them is left alone."""
    try:
        entries = list(runs_folder().iterdir())
    except OSError:
        return []
    return sorted(e for e in entries if _NAME.fullmatch(e.name) and e.is_dir() and not e.is_symlink())
