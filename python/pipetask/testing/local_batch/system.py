"""The local batch system, as the rest of the package sees it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from threading import Thread

from ...batch.exit_codes import ExitCode
from ...batch.index import NodeIndex
from ...batch.ledger import Ledger, Remainder
from ...batch.names import FIRST, node_name
from ...batch.pilots.places import PilotSettings, write_round
from ...batch.run_directory import RunDirectory
from ...batch.system import BatchSystem, Restarted, RunPlan, SystemWatch
from ...errors import PipetaskError
from ...settings.layers import megabytes
from .journal import Journal, RunSettings, acquire
from .losses import Loss
from .watch import LocalWatch

__all__ = ["END_VARIABLE", "MEMORY_VARIABLE", "LocalBatchSystem", "with_pilots", "without_shared_files"]

MEMORY_VARIABLE = "PIPETASK_LOCAL_MEMORY"
"""Environment variable that tells a job how many megabytes it has asked for."""

END_VARIABLE = "PIPETASK_LOCAL_END"
"""Environment variable that tells a job when it will be ended, in seconds since 1970-01-01 UTC."""

_PATIENCE = 120.0
"""Seconds that jobs, the final one among them, have to end when a run is cancelled."""


class LocalBatchSystem(BatchSystem):
    """Runs nodes as processes of this machine.

    Parameters
    ----------
    slots
        Nodes that run at the same time.
    attempts
        Most attempts at a node in one submission.
    memory
        Megabytes that a job asks for at first; one that runs out of memory gets twice as much at its next attempt.
    losses
        Attempts that go wrong.
    shared
        Whether jobs see the run directory.  Otherwise each runs in a folder of its own, with a copy of what it needs.
    walltime
        Seconds that a job may take at first; one in which nothing has ended within it gets twice as much at its next
        attempt.
    pilots
        Number of pilots that run the nodes, in jobs of their own; 0 to have a job for each node.
    pilot_settings
        How they behave.
    """

    title = "the local batch system"

    def __init__(
        self,
        slots: int = 2,
        attempts: int = 3,
        memory: int = 1000,
        losses: Sequence[Loss] = (),
        *,
        shared: bool = True,
        walltime: float | None = None,
        pilots: int = 0,
        pilot_settings: PilotSettings | None = None,
    ):
        self._walltime, self._pilots = walltime, pilots
        self._pilot_settings = pilot_settings or PilotSettings(
            beat=0.5, stale=60.0, pause=0.05, longest_pause=1.0
        )
        self._slots, self._attempts, self._memory = slots, attempts, memory
        self._losses, self._shared = tuple(losses), shared

    @staticmethod
    def requested_memory() -> int | None:
        """Return what the driver has said to this job."""
        text = os.environ.get(MEMORY_VARIABLE)
        return int(text) if text else None

    @staticmethod
    def walltime_left() -> float | None:
        """Return what is left of what the driver has said to this job."""
        text = os.environ.get(END_VARIABLE)
        return float(text) - time.time() if text else None

    def shares_files(self, labels: Collection[str]) -> bool:
        """Return whether jobs see the run directory, whatever they run."""
        return self._shared

    def write(self, plan: RunPlan) -> None:
        """Write settings; which nodes there are is in the index."""
        parts = {node_name(node): part.name for part in plan.parts for node in part.nodes}
        settings = RunSettings(
            slots=self._slots,
            attempts=self._attempts,
            memory=self._memory,
            walltime=self._walltime,
            losses=self._losses,
            first=plan.first,
            shared=plan.shared,
            parts=parts,
            pilots=self._pilots,
        )
        Journal(plan.draft).create(settings)
        if self._pilots:
            with NodeIndex(plan.draft / "index.sqlite") as index:
                write_round(plan.draft, index, settings=self._pilot_settings)

    def submit(self, directory: RunDirectory) -> str:
        """Start the driver, unless there is one, and return its process number."""
        job, _ = _start(directory, (), {})
        return job

    def watch(self, directory: RunDirectory) -> SystemWatch:
        """Return what reads the journal."""
        return LocalWatch(directory)

    def cancel(self, directory: RunDirectory) -> bool:
        """Ask the driver to end, which kills its jobs and runs the final one, and wait for that."""
        journal = Journal(directory.path)
        if not journal.is_driven():
            return False
        with contextlib.suppress(ProcessLookupError):  # it may end at this moment
            os.kill(journal.process(), signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE
        while journal.is_driven():
            if time.monotonic() > deadline:
                raise PipetaskError(
                    f"The driver of {directory.path} does not end: kill process {journal.process()}."
                )
            time.sleep(0.05)
        return True

    def add_pilots(
        self, directory: RunDirectory, number: int, memory: str | None, walltime: str | None
    ) -> str:
        """Ask the driver to start more."""
        journal = Journal(directory.path)
        if not journal.is_driven():
            raise PipetaskError(f"{directory.path} is over: pipetask restart {directory.path}")
        for _ in range(number):
            journal.add_pilot(megabytes(memory) if memory else None)
        return f"jobs of process {journal.process()}"

    def restart(self, directory: RunDirectory) -> Restarted:
        """Start another driver for what is not done, unless there is one."""
        journal = Journal(directory.path)
        if journal.is_driven():
            return Restarted(str(journal.process()), True, 0)
        remainder = Ledger(directory).remainder()
        memory = _raised(remainder, journal.settings().memory)
        done = [*([FIRST] if directory.begun.exists() else []), *remainder.done]
        directory.forget_end()
        if journal.settings().pilots:
            with directory.index() as index:
                write_round(directory.path, index, {node.number for node in remainder.left})
        job, found = _start(directory, done, memory)
        return Restarted(job, found, len(remainder.done), memory)


def with_pilots() -> LocalBatchSystem:
    """Return one with two pilots."""
    return LocalBatchSystem(pilots=2)


def without_shared_files() -> LocalBatchSystem:
    """Return one whose jobs do not see the run directory."""
    return LocalBatchSystem(shared=False)


def _raised(remainder: Remainder, at_first: int) -> dict[str, int]:
    """Return the memory that nodes ask for which ran out of it."""
    memory = {}
    for node in remainder.left:
        asked = node.memory or at_first
        memory[node.name] = 2 * asked if node.exit_code == ExitCode.OUT_OF_MEMORY else asked
    return {name: megabytes for name, megabytes in memory.items() if megabytes > at_first}


def _start(directory: RunDirectory, done: Sequence[str], memory: Mapping[str, int]) -> tuple[str, bool]:
    """Start a driver, and return its process number and whether there was one already."""
    journal = Journal(directory.path)
    with acquire(journal.lock, patience=30.0) as lock:  # one who looks has it for a moment
        if lock is None:
            return str(journal.process()), True
        os.truncate(lock, 0)  # nobody is to take the number of the last one for that of the new one
        journal.note(run="running", done=list(done), memory=dict(memory))
        driver = "pilots" if journal.settings().pilots else "driver"
        words = [sys.executable, "-m", f"{__package__}.{driver}", str(directory.path)]
        with (directory.path / "logs" / "driver.err").open("a") as log:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[lock],  # it has the lock as long as it lives
                start_new_session=True,
            )
        os.pwrite(lock, f"{process.pid:<10}".encode(), 0)
    # It outlives this process; if it does not, no zombie is left.
    Thread(target=process.wait, daemon=True).start()
    return str(process.pid), False
