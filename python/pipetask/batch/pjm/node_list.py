"""Run the nodes of an array, or pilots, several at a time: ``python -m pipetask.batch.pjm.node_list``.

Where several machines run it, started by ``mpiexec`` for instance, each takes its share of them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from ..exit_codes import ExitCode
from ..names import is_pilot
from ..node_commands import job_arguments, pilot_arguments
from ..pilots.pilot import JOB_VARIABLE
from ..queueing.told import seconds_left

__all__ = ["NodeList", "main", "share"]

_RANKS = (("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"), ("PMI_RANK", "PMI_SIZE"))
"""Variables in which launchers tell a process its number, and how many there are."""

_SUB_JOB = "PJM_SUBJOBID"
"""Variable in which PJM tells a sub-job what it is called."""


def share(nodes: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """Return those of the nodes that this process runs.

    Parameters
    ----------
    nodes
        All nodes.
    environ
        Environment variables, which may tell the number of this process and how many there are.
    """
    for rank, size in _RANKS:
        if rank in environ and size in environ:
            return list(nodes[int(environ[rank]) :: int(environ[size])])
    return list(nodes)


class NodeList:
    """Runs nodes as processes, so many at a time.

    No node is begun that will not fit into the walltime, judged by the longest so far; it is left for the next round.

    Parameters
    ----------
    run_directory
        The run directory.
    begun
        File to which the names of nodes are written when they begin.
    called
        What their logs are called after the name of the node.
    slots
        How many nodes run at a time.
    processes
        Quanta that run at the same time in a node.
    since
        Failures of attempts that began later stand, in nanoseconds since 1970-01-01 UTC.
    """

    def __init__(self, run_directory: Path, begun: Path, called: str, slots: int, processes: int, since: int):
        self._path, self._begun, self._called = run_directory, begun, called
        self._slots, self._processes, self._since = slots, processes, since
        self._running: dict[int, tuple[subprocess.Popen[bytes], float]] = {}
        self._longest = 0.0
        self._stopped = False

    def run(self, nodes: Sequence[str]) -> int:
        """Run nodes until all have ended, or until this process is asked to end."""
        signal.signal(signal.SIGTERM, self._ask_to_stop)
        todo = list(reversed(nodes))
        while (todo and self._next_fits()) or self._running:
            while todo and len(self._running) < self._slots and self._next_fits():
                self._start(todo.pop())
            self._wait()
        return ExitCode.UNFINISHED if todo else ExitCode.DONE

    def _next_fits(self) -> bool:
        left = seconds_left()
        return not self._stopped and (left is None or left > self._longest)

    def _start(self, node: str) -> None:
        with self._begun.open("a") as begun:
            begun.write(f"{node}\n")
        log = self._path / "logs" / f"{node}.{self._called}"
        # Names of nodes have dots in them, so no suffix can be replaced.
        with Path(f"{log}.out").open("ab") as out, Path(f"{log}.err").open("ab") as err:
            process = subprocess.Popen(
                [sys.executable, *self._arguments(node)],
                env={**os.environ, JOB_VARIABLE: f"{os.environ.get(_SUB_JOB, '')}/{node}".lstrip("/")},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        self._running[process.pid] = process, time.monotonic()
        if self._stopped:  # between the question and the start
            _end(process.pid)

    def _arguments(self, node: str) -> list[str]:
        if is_pilot(node):
            return pilot_arguments(self._path, self._processes)
        words = job_arguments(self._path, node, self._processes)
        return [*words, "--keep-failures-since", str(self._since)]

    def _wait(self) -> None:
        """Wait until a node has ended."""
        pid, status = os.waitpid(-1, 0)
        if pid in self._running:
            process, began = self._running.pop(pid)
            process.returncode = os.waitstatus_to_exitcode(status)
            self._longest = max(self._longest, time.monotonic() - began)

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._stopped = True
        for pid in list(self._running):
            _end(pid)


def _end(pid: int) -> None:
    """Ask a node to end; not by `Popen.terminate`, which might take its exit code away from `NodeList._wait`."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def main(words: Sequence[str]) -> int:
    """Run the nodes that a file names."""
    path, nodes, begun, called, slots, processes, since = words
    names = share(Path(nodes).read_text().splitlines(), os.environ)
    each = NodeList(Path(path), Path(begun), called, int(slots), int(processes), int(since))
    return each.run(names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
