"""Where the files of sub-jobs are, from the run directory."""

from __future__ import annotations

from ..queueing.layout import Layout

__all__ = ["FOLDER", "begun_nodes", "log", "released"]

FOLDER = "pjm"


def log(round: int, array: int, suffix: str) -> str:
    """Return the path of a file that a sub-job leaves: ``out``, ``err``, ``stats`` or ``begun``."""
    return f"{FOLDER}/logs/round-{round:03}-array-{array}.{suffix}"


def released(round: int) -> str:
    """Return the path of the file for which sub-jobs of a round wait."""
    return f"{FOLDER}/round-{round:03}/released"


def begun_nodes(layout: Layout, round: int, array: int) -> frozenset[str]:
    """Return the names of the nodes that a sub-job has begun."""
    try:
        text = (layout.run_directory / log(round, array, "begun")).read_text()
    except FileNotFoundError:
        return frozenset()
    return frozenset(text.splitlines())
