"""End a copy of this process that a task has made with `os.fork`, where it would do our work a second time."""

from __future__ import annotations

import os
from typing import Any

from lsst.daf.butler import LimitedButler

__all__ = ["end_copy_of", "let_no_copy_store"]


def end_copy_of(pid: int) -> None:
    """End this process, unless it is the one with that ID."""
    if os.getpid() != pid:
        os._exit(1)


def let_no_copy_store(butler: LimitedButler) -> None:
    """See to it that copies of this process end when they are about to store something.

    The first process stores it as well, and two at once spoil each other's files and database.
    """
    put, pid = butler.put, os.getpid()

    def put_if_original(*args: Any, **kwargs: Any) -> Any:
        end_copy_of(pid)
        return put(*args, **kwargs)

    butler.put = put_if_original
