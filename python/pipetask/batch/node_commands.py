"""Command lines that run a node of a batch run."""

from __future__ import annotations

from pathlib import Path

from ..text import shell_command
from .run_directory import RunDirectory

__all__ = ["job_arguments", "pilot_arguments", "rerun_command"]


def job_arguments(directory: Path | str, node: str, processes: int = 1) -> list[str]:
    """Return the arguments with which a job calls the Python interpreter.

    Parameters
    ----------
    directory
        The run directory, as the job sees it.
    node
        Name or number of the node; `~pipetask.batch.names.FIRST` and `~pipetask.batch.names.FINAL` are nodes, too.
    processes
        Quanta to run at the same time.
    """
    return ["-m", "pipetask.cli", "run-node", str(directory), node, "-j", str(processes)]


def pilot_arguments(directory: Path | str, processes: int = 1) -> list[str]:
    """Return the arguments with which a pilot calls the Python interpreter.

    Parameters
    ----------
    directory
        The run directory.
    processes
        Quanta to run at the same time.
    """
    return ["-m", "pipetask.cli", "run-pilot", str(directory), "-j", str(processes)]


def rerun_command(directory: RunDirectory, node: str, quantum_id: object = None) -> str:
    """Return the command that runs one node by hand, or one quantum of it."""
    words = ["pipetask", "run-node", str(directory.path), node]
    return shell_command(words + (["--quantum", str(quantum_id)] if quantum_id is not None else []))
