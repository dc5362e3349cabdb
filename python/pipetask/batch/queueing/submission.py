"""Submit a round: held, in order, and released in one call; or continue where that was interrupted.

Nothing begins before all is wired, so nothing can have ended and be forgotten when something is to wait for it.
Whether a job was submitted is for the queue to say: a request that was not answered may have been
carried out, and after a crash of the controller a request that was answered may not.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import PipetaskError
from ..run_directory import RunDirectory
from .arrays import JobArray
from .client import QueueLimitError, QueueUnknownError
from .configuration import QueueConfiguration
from .dialect import Dialect, Request
from .journal import Journal
from .layout import Layout, RunRecord
from .queue import Element, Stage
from .round import Round, array_file, is_final, settings_of

__all__ = ["only_one", "submit_round"]

_TRIES = 3
"""How often a request is made that the system does not answer."""

_PAUSE = 2.0
"""Seconds before the second request; it doubles."""


@contextmanager
def only_one(layout: Layout, patience: float = 120.0) -> Iterator[None]:
    """Let one process at a time decide what is submitted, as far as the file system has locks.

    Raises
    ------
    PipetaskError
        If another process goes on for too long.
    """
    deadline = time.monotonic() + patience
    with layout.lock.open("a") as lock:
        while not _locked(lock.fileno()):
            if time.monotonic() > deadline:
                raise PipetaskError(
                    f"Another command submits jobs of {layout.run_directory}: wait until it has ended."
                )
            time.sleep(0.1)
        yield


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # there are no locks on this file system, and the journal has to do
        return True
    return True


def submit_round(
    system: Dialect[Any],
    directory: RunDirectory,
    layout: Layout,
    configuration: QueueConfiguration[Any],
    record: RunRecord,
    new: Round,
) -> list[str]:
    """Submit the arrays of a round that are not in the queue, and release all.

    Parameters
    ----------
    system
        Where to submit.
    directory
        The run.
    layout, configuration, record
        Its files, its settings, and what does not change.
    new
        The round.

    Returns
    -------
    jobs
        What the system calls them.

    Raises
    ------
    PipetaskError
        If the system does not take it.
    """
    return _Submission(system, directory, layout, configuration, record, new).run()


@dataclass(frozen=True)
class _Submission:
    system: Dialect[Any]
    directory: RunDirectory
    layout: Layout
    configuration: QueueConfiguration[Any]
    record: RunRecord
    round: Round

    def run(self) -> list[str]:
        number, journal = self.round.number, self._journal
        progress = journal.read().rounds.get(number)
        if progress is None or not progress.releasing:
            jobs = self._submit_all(progress is not None)
            if journal.read().cancelled:
                self.system.remove(jobs.values(), self._patience)
                raise PipetaskError(
                    f"{self.directory.path} was cancelled meanwhile, so its jobs were removed."
                )
            self._remove_doubles(jobs)
            journal.note("releasing", number)
        else:
            jobs = progress.jobs  # some may have begun, and even have ended
        self._release(jobs)
        journal.note("released", number)
        return [jobs[number] for number in sorted(jobs)]

    @property
    def _journal(self) -> Journal:
        return Journal(self.layout.journal)

    @property
    def _patience(self) -> float:
        return self.configuration.run.patience

    def _submit_all(self, interrupted: bool) -> dict[int, str]:
        """Submit what is not in the queue; held jobs cannot have ended, so those that are not there are not ours."""
        jobs = self._in_queue() if interrupted else {}
        for number, job in jobs.items():
            self._journal.note("submitted", self.round.number, array=number, job=job)
        full, left_out = False, self._left_out()
        for array in self.round.arrays:
            # What was left out before is for the next round: it would take the room for which the final job waits.
            if array.number in jobs or array.number in left_out:
                continue
            if full and not is_final(array):
                self._journal.note("left out", self.round.number, array=array.number)
                continue
            try:
                jobs[array.number] = self._submit(array, jobs)
            except QueueLimitError:
                if not jobs:
                    raise
                if is_final(array):
                    if not self._leaves_something(jobs):
                        raise  # what was submitted stays in the queue, held
                    jobs[array.number] = self._make_room(array, jobs)
                else:
                    full = True
                    self._journal.note("left out", self.round.number, array=array.number)
        return jobs

    def _submit(self, array: JobArray, jobs: Mapping[int, str]) -> str:
        journal, number = self._journal, self.round.number
        journal.note("submitting", number, array=array.number)
        for attempt in range(_TRIES):
            try:
                job = self._request(array, jobs)
                break
            except QueueUnknownError:
                time.sleep(_PAUSE * 2**attempt)
                if (found := self._in_queue().get(array.number)) is not None:
                    job = found
                    break
                if attempt == _TRIES - 1:
                    raise
        journal.note("submitted", number, array=array.number, job=job)
        return job

    def _request(self, array: JobArray, jobs: Mapping[int, str]) -> str:
        settings = settings_of(self.configuration, array)
        # The final job comes after whatever was submitted, and the others after what they need.
        needs = [jobs[each] for each in (sorted(jobs) if is_final(array) else array.needs) if each in jobs]
        request = Request(
            array=array,
            round=self.round.number,
            needs=needs,
            before=[jobs[each] for each in sorted(jobs)],
            run=self.configuration.run,
            options=json.loads(self._file(array, "json").read_text()),
            script=self._file(array, "sh"),
            environment={**self.record.environment, **settings.environment},
            layout=self.layout,
            record=self.record,
        )
        return self.system.submit_array(request, self._patience)

    def _file(self, array: JobArray, suffix: str) -> Path:
        return array_file(self.layout, self.round.number, array.number, suffix)

    def _leaves_something(self, jobs: Mapping[int, str]) -> bool:
        """Return whether without the last array there would still be one to run."""
        return sum(bool(array.labels) for array in self.round.arrays if array.number in jobs) > 1

    def _make_room(self, final: JobArray, jobs: dict[int, str]) -> str:
        """Withdraw the last array, so that there is room for the final job."""
        array = max(jobs)
        self._journal.note("left out", self.round.number, array=array)
        self.system.remove([jobs.pop(array)], self._patience)
        return self._submit(final, jobs)

    def _remove_doubles(self, jobs: Mapping[int, str]) -> None:
        """Remove arrays that came of a request which was carried out long after it was given up."""
        ours = [each for each in self._elements() if each.round == self.round.number and not each.is_over]
        if doubles := {each.job for each in ours} - set(jobs.values()):
            self.system.remove(doubles, self._patience)

    def _in_queue(self) -> dict[int, str]:
        found, left_out = self._elements(), self._left_out()
        return {
            each.array: each.job
            for each in found
            if each.round == self.round.number and not each.is_over and each.array not in left_out
        }

    def _left_out(self) -> set[int]:
        progress = self._journal.read().rounds.get(self.round.number)
        return set() if progress is None else progress.left_out

    def _elements(self) -> list[Element]:
        return self.system.look(self.layout, self.record, self._patience)

    def _release(self, jobs: Mapping[int, str]) -> None:
        for attempt in range(_TRIES):
            try:
                self.system.release(self.layout, self.round.number, list(jobs.values()), self._patience)
            except QueueUnknownError:
                if attempt == _TRIES - 1:
                    raise
                time.sleep(_PAUSE * 2**attempt)
            except PipetaskError:
                # It says so of jobs that have ended, and releases the others.
                if self._held():
                    raise
                return
            else:
                return

    def _held(self) -> bool:
        """Return whether a job of the round is held as it was submitted."""
        ours = [each for each in self._elements() if each.round == self.round.number and not each.is_over]
        return any(each.stage is Stage.AS_SUBMITTED for each in ours)
