"""What the death of a pilot says of the node that it ran."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from .marks import Terms
from .members import About

__all__ = ["HowEnded", "after_death", "untold"]

HowEnded = Callable[[str], str]
"""Tells how a job was ended, by what the batch system calls it; see `BatchSystem.how_pilot_ended`."""


def untold(job: str) -> str:
    """Say that nothing is known of a job."""
    return ""


def after_death(terms: Terms, about: About | None, how_ended: HowEnded) -> Terms:
    """Return the terms of a node whose pilot was killed while it ran it.

    A batch system may kill the whole job if a quantum uses too much memory.  Then the node would kill one pilot after
    the other, if it did not wait for a larger one.

    Parameters
    ----------
    terms
        Those on which the pilot had taken it.
    about
        The pilot, if it is known.
    how_ended
        Tells how its job was ended.
    """
    if about is not None and about.memory is not None and how_ended(about.job) == "memory":
        return replace(terms, memory=max(terms.memory, about.memory))
    return terms.failed()
