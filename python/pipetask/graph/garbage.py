"""Pause the garbage collector while a large graph is read."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["keep_what_is_there", "uncollected"]


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause Python's cyclic garbage collector, for code that makes many objects and no garbage.

    The collector examines all objects whenever their number has grown by a quarter.  While a large graph is read, that
    takes longer than anything else, and finds nothing.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def keep_what_is_there() -> None:
    """Exclude all existing objects from garbage collection, in a process that needs most of them to its end."""
    gc.freeze()
