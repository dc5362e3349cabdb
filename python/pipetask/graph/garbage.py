"""When not to look for garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["keep_what_is_there", "uncollected"]


@contextmanager
def uncollected() -> Iterator[None]:
    """Do without Python's collector of reference cycles, for code that makes a great many objects and no garbage.

    The collector goes through all objects there are whenever their number has grown by a quarter.  While a large graph
    is read, that takes longer than anything else, and finds nothing.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def keep_what_is_there() -> None:
    """Have the collector leave alone what has been made so far, for a process that needs most of it to its end."""
    gc.freeze()
