"""Watch a run on a machine by its journal."""

from __future__ import annotations

import time
from collections import Counter, deque
from pathlib import Path

from ..batch.status import NodeState, RunPhase, RunStatus
from ..journal.facts import RunBegin
from ..journal.places import journals_in
from ..journal.reader import JournalReader, usual
from ..outcome import Status
from ..text import shell_command
from .view import MOST_FAILURES, FailedQuantum, RunningNow, RunView

__all__ = ["PHASES", "LocalWatch", "phase_of"]

PHASES = {
    "succeeded": RunPhase.SUCCEEDED,
    "failed": RunPhase.FAILED,
    "cancelled": RunPhase.CANCELLED,
}


class LocalWatch:
    """Looks at a run as often as it is asked to, and reads only what is new.

    Parameters
    ----------
    journal
        The journal.
    """

    def __init__(self, journal: Path):
        self._path = journal
        self._reader = JournalReader(journal)
        self._failures: deque[FailedQuantum] = deque(maxlen=MOST_FAILURES)
        self._n_failures = 0
        self._clobber = False

    def look(self) -> RunView:
        """Return where the run stands now.

        Raises
        ------
        PipetaskError
            If the journal is of another version.
        OSError
            If it cannot be read.
        """
        for quantum, outcome in self._reader.news():
            if outcome.status.is_failure:
                self._n_failures += 1
                self._clobber = self._clobber or outcome.status is Status.FAILED
                self._failures.append(FailedQuantum.of(quantum, outcome))
        return self._view()

    def _view(self) -> RunView:
        reader, begin = self._reader, self._reader.begin or RunBegin()
        phase, life = phase_of(reader), reader.life()
        end = reader.end.end if reader.end else None if life.alive else life.last
        resume = self._resume(phase)
        running = () if phase.over else reader.running.values()
        return RunView(
            name=begin.output_run or self._path.parent.name,
            place=str(self._path),
            status=self._status(phase, self._notes(phase, end, resume)),
            start=begin.start or None,
            end=end,
            host=begin.host or None,
            pid=begin.pid or None,
            command=begin.command,
            running=[RunningNow.of(q, s, usual(reader.durations.get(q.label))) for q, s in running],
            failures=list(self._failures),
            n_failures=self._n_failures,
            resume=resume,
        )

    def _status(self, phase: RunPhase, notes: list[str]) -> RunStatus:
        reader = self._reader
        left = reader.total - sum(counts.total() for counts in reader.counts.values())
        rate = reader.rate()
        seconds = left / rate if rate and phase is RunPhase.RUNNING else None
        return RunStatus(phase, self._table(phase), Counter(), rate=rate, seconds_left=seconds, notes=notes)

    def _table(self, phase: RunPhase) -> dict[str, Counter[NodeState]]:
        reader = self._reader
        running = Counter(quantum.label for quantum, _ in reader.running.values())
        table = {}
        for label, total in (reader.begin.labels if reader.begin else {}).items():
            counts = Counter({NodeState.RUNNING: 0 if phase.over else running[label]})
            for status, number in reader.counts[label].items():
                counts[_state(status)] += number
            counts[NodeState.WAITING] += max(0, total - counts.total())
            table[label] = counts
        return table

    def _resume(self, phase: RunPhase) -> str | None:
        begin = self._reader.begin
        if phase not in (RunPhase.FAILED, RunPhase.CANCELLED, RunPhase.DIED):
            return None
        if begin is None or begin.resume is None:
            return None
        clobbers = "--extend-run" in begin.resume and "--clobber-outputs" not in begin.resume
        command = f"{begin.resume} --clobber-outputs" if self._clobber and clobbers else begin.resume
        return (
            command if begin.folder in ("", _here()) else f"cd {shell_command([begin.folder])} && {command}"
        )

    def _notes(self, phase: RunPhase, last: float | None, resume: str | None) -> list[str]:
        notes, end = [], self._reader.end
        if self._reader.begin is None:
            begun = phase is RunPhase.RUNNING
            notes.append(
                "starting: its journal has no record yet" if begun else "its journal has no beginning"
            )
        if phase is RunPhase.DIED and last is not None:
            notes.append(
                f"ended without a word at {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(last))}"
            )
        if end is not None:
            notes += [text for text in (end.error or end.stopped,) if text]
            if end.unregistered:
                notes.append(f"outputs of {end.unregistered} quanta are not registered")
        if resume is not None:
            notes.append(f"resume with: {resume}")
        if len(journals := journals_in(self._path.parent)) > 1:
            notes.append(f"this is one of {len(journals)} runs with a journal in {self._path.parent}")
        return notes


def phase_of(reader: JournalReader) -> RunPhase:
    """Return the state of a run as a whole, from as much of its journal as has been read."""
    if reader.end is not None:
        return PHASES.get(reader.end.outcome, RunPhase.FAILED)
    return RunPhase.RUNNING if reader.life().alive else RunPhase.DIED


def _here() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed
        return ""


def _state(status: Status) -> NodeState:
    if status.unblocks:
        return NodeState.DONE
    if status.is_failure:
        return NodeState.FAILED
    return NodeState.CANCELLED if status is Status.CANCELLED else NodeState.BLOCKED
