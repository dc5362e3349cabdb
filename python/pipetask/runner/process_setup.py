"""Set up a process in which quanta run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lsst.daf.butler.cli.cliLog import CliLog
from lsst.daf.butler.datastore.cache_manager import DatastoreCacheManager
from lsst.utils.threads import disable_implicit_threading

__all__ = ["limit_threads", "replay_logging", "shared_datastore_cache", "use_datastore_cache"]

_CACHE_VARIABLE = "DAF_BUTLER_CACHE_DIRECTORY_IF_UNSET"
"""Environment variable with the folder for copies of remote files, unless the repository configures another."""


def replay_logging(state: Sequence[tuple[Any, ...]]) -> None:
    """Configure logging as the parent did.

    Parameters
    ----------
    state
        `CliLog.configState` of the parent.  If it is empty, the parent has configured logging differently; then
        messages from level INFO are captured, as by LSST's commands, and nothing is written to the terminal.
    """
    if state:
        CliLog.replayConfigState(list(state))
    else:
        CliLog.initLog(longlog=False, log_tty=False)


def limit_threads() -> None:
    """Keep libraries from starting threads, because all cores are used for quanta."""
    disable_implicit_threading()


@contextmanager
def shared_datastore_cache() -> Iterator[str]:
    """Use one folder for copies of remote files, in this process and in those that it starts.

    With a separate folder for each worker, every file would be fetched several times, and folders of killed workers
    would be left.  This one is removed at the end, unless the user has named it.
    """
    named_here, folder = DatastoreCacheManager.set_fallback_cache_directory_if_unset()
    try:
        yield folder
    finally:
        if named_here:
            del os.environ[_CACHE_VARIABLE]
            shutil.rmtree(folder, ignore_errors=True)  # created on demand


def use_datastore_cache(folder: str | None) -> None:
    """Use the cache folder chosen by the parent process."""
    if folder is not None:
        os.environ[_CACHE_VARIABLE] = folder
