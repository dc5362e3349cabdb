"""End copies of this process that a task has made with `os.fork`, before they repeat the work of the runner."""

from __future__ import annotations

import os
from typing import Any

from lsst.daf.butler import LimitedButler

__all__ = ["end_copy_of", "let_no_copy_store"]


def end_copy_of(pid: int) -> None:
    """Exit this process, unless it has that ID."""
    if os.getpid() != pid:
        os._exit(1)


def let_no_copy_store(butler: LimitedButler) -> None:
    """Let copies of this process exit when they are about to store something.

    The original process stores it as well; two writers at once would damage files and database.
    """
    put, pid = butler.put, os.getpid()

    def put_if_original(*args: Any, **kwargs: Any) -> Any:
        end_copy_of(pid)
        return put(*args, **kwargs)

    butler.put = put_if_original
