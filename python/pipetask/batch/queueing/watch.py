"""The state of a run: what its jobs have written, and what is in the queue."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, assert_never

from ...errors import PipetaskError
from ..attempt_ends import AttemptEnds, LastAttempt
from ..exit_codes import FINAL_CODES
from ..names import FINAL, FIRST
from ..pilots.look import look_at_pilots
from ..run_directory import RunDirectory
from ..status import ENDED, Hold, NodeState, RunPhase
from ..system import Snapshot, SystemWatch
from .absence import APART, Absence
from .control import Run
from .dialect import Dialect
from .journal import Journal, Progress, State
from .layout import Layout
from .queue import Element, Stage
from .round import Round, read_rounds
from .verdicts import History

__all__ = ["QueueWatch"]

_ABSENT = (
    "Nothing of the run is in the queue, and its final job has not said that the run is over: if another look in a "
    "minute or later shows the same, it has failed."
)

_LATE = 600.0
"""Seconds after which a final job that waits would have said so again."""

_LOST = (
    "Nothing of the run is in the queue, and its final job has not said that the run is over: that job was removed, or "
    "has vanished."
)

_MOST = 5
"""Nodes that a note names."""

_PAUSE = 30.0
"""Seconds between two looks at the queue of one who only asks for the phase."""


class QueueWatch(SystemWatch):
    """Looks at a run.

    Parameters
    ----------
    directory
        The run.
    system
        Where it is executed.

    Notes
    -----
    What jobs have written is the truth, and the queue says only what waits and what runs.  If there is no
    answer, nothing follows from that.
    """

    def __init__(self, directory: RunDirectory, system: Dialect[Any]):
        self._directory, self._system = directory, system
        self._layout = Layout(directory.path, system.configuration_type.shape.whole)
        self._journal = Journal(self._layout.journal)
        self._absence = Absence(self._layout.absent)
        self._ends = AttemptEnds(directory.outcomes)
        self._run: Run | None = None
        self._rounds: list[Round] = []
        self._looked = 0.0
        self._told: tuple[Mapping[int, LastAttempt], History] | None = None
        with directory.index() as index:
            self._numbers = {name: number for number, name in enumerate(index.counts())}

    def phase(self) -> RunPhase:
        """Return what the run is up to; the system is asked only now and then."""
        state = self._journal.read()
        phase = _phase(state)
        if phase is RunPhase.RUNNING and time.monotonic() - self._looked > _PAUSE:
            with suppress(PipetaskError):
                return self._after_a_look(state, self._queue())
        return phase

    def look(self) -> Snapshot:
        """Read what jobs have written, and ask for the queue once, unless the run is over."""
        self._told = None
        state = self._journal.read()
        phase, queue, notes = _phase(state), list[Element](), list(_notes(state))
        if phase is RunPhase.RUNNING or (state.rounds and phase is RunPhase.WRITTEN):
            try:
                queue = self._queue()
            except PipetaskError as error:
                notes.append(f"What runs is not known: {error}  What is shown is what jobs have written.")
            else:
                phase = self._after_a_look(state, queue)
                if phase is RunPhase.RUNNING and not queue:
                    notes.append(_ABSENT)
        attempts = self._ends.look()
        seen = _Seen(self._all_rounds(state), state, queue, attempts, self._numbers, phase)
        states = seen.states()
        if self._directory.begun.exists():
            states[FIRST] = NodeState.DONE
        if phase is RunPhase.FAILED:
            notes += [_LOST] if _phase(self._journal.read()) is RunPhase.RUNNING else []
            notes += self._given_up()
        if self._rounds and any(array.runs_pilots for array in self._rounds[-1].arrays):
            pilots = look_at_pilots(self._directory, over=phase.over)
            states = states if phase.over else pilots.laid_over(states)
            notes += pilots.notes(self._directory)
        since = next((p.released for p in reversed(state.rounds.values()) if p.released), None)
        changed = max(self._ends.changed, state.changed)
        return Snapshot(
            phase=phase,
            states=states,
            holds=list(seen.holds()),
            elapsed=None if since is None else max(changed, since) - self._started(state, since),
            changed=changed,
            done_before=self._rounds[-1].done if self._rounds else (),
            notes=notes,
        )

    def _given_up(self) -> Iterator[str]:
        """Yield in one sentence each why nodes of a run that is over have no final attempt."""
        attempts, history = self._what_is_told()
        reasons: dict[str, list[str]] = {}
        for name, number in self._numbers.items():
            last = attempts.get(number)
            if last is not None and last.exit_code in FINAL_CODES:
                continue
            if history.was_submitted(name):
                why = history.sentence(name, None if last is None else last.exit_code)
                reasons.setdefault(why, []).append(name)
        for why, names in reasons.items():
            more = f", and {len(names) - _MOST} more" if len(names) > _MOST else ""
            yield f"Given up, because {why}: {', '.join(names[:_MOST])}{more}."

    def how_ended(self, node: str) -> str | None:
        """Return how the last job of a node has ended, if its last attempt is not final."""
        attempts, history = self._what_is_told()
        last = attempts.get(self._numbers[node])
        code = None if last is None else last.exit_code
        return None if code in FINAL_CODES else history.sentence(node, code)

    def _what_is_told(self) -> tuple[Mapping[int, LastAttempt], History]:
        """Return the last attempts, and how jobs have ended."""
        if self._told is None:
            state, run = self._journal.read(), self._opened()
            history = run.history(self._all_rounds(state), state)
            if _phase(state) is RunPhase.RUNNING:  # no final job has noted what the system knows
                with suppress(PipetaskError):
                    history.take_note(history.shown_as_ended(run.ended_elements()))
            self._told = self._ends.look(), history
        return self._told

    def _queue(self) -> list[Element]:
        self._looked = time.monotonic()
        return self._opened().in_queue()

    def _opened(self) -> Run:
        self._run = self._run or Run.open(self._directory, self._system)
        return self._run

    def _all_rounds(self, state: State) -> Sequence[Round]:
        if len(self._rounds) < state.last or not self._rounds:
            self._rounds = read_rounds(self._layout)
        return self._rounds

    def _started(self, state: State, otherwise: float) -> float:
        """Return when the rounds began of which the last one is a part."""
        starts = [each.number for each in self._rounds if each.starts and each.number in state.rounds]
        released = state.rounds[starts[-1]].released if starts else None
        return otherwise if released is None else released

    def _after_a_look(self, state: State, queue: Sequence[Element]) -> RunPhase:
        """Return the phase; a run is over without a word if nothing of it was in the queue twice, a minute apart."""
        if queue:
            self._absence.ends()
            return _phase(state)
        # The final job may have written its last words while we looked.
        phase = _phase(self._journal.read())
        if phase is RunPhase.RUNNING and self._absence.is_for_good(self._written):
            return RunPhase.FAILED
        return phase

    def _written(self) -> float:
        """Return when jobs or submissions have last written something, by the clock of the file system."""
        files = [self._layout.journal, *self._directory.outcomes.glob("*/*")]
        return max(file.stat().st_mtime for file in files)


def _phase(state: State) -> RunPhase:
    """Return what the journal says that the run is up to."""
    if state.cancelled:
        return RunPhase.CANCELLED
    progress = state.rounds.get(state.last)
    if progress is None or (not progress.releasing and state.last == 1):
        return RunPhase.WRITTEN
    if state.over is None:
        return RunPhase.RUNNING
    return RunPhase.FAILED if state.over is not progress or progress.ended else RunPhase.SUCCEEDED


def _notes(state: State) -> Iterator[str]:
    progress = state.over or state.rounds.get(state.last)
    if progress is None:
        return
    # Until a round is submitted, what concerns it is said in the one before.
    submits = progress if progress.released else state.rounds.get(state.last - 1, progress)
    if submits.trouble:
        yield f"In the final job, {submits.trouble}."
    age = time.time() - state.changed
    if submits.waits and submits.ended is None and age < _LATE:
        yield f"The final job waits until it can submit what has to run again: {submits.waits}"
    elif progress.released is None and not state.cancelled and age > APART:
        yield "The submission was interrupted: continue it with pipetask restart."


@dataclass(frozen=True)
class _Seen:
    """What is known at one moment."""

    rounds: Sequence[Round]
    state: State
    queue: Sequence[Element]
    attempts: Mapping[int, LastAttempt]
    numbers: Mapping[str, int]
    phase: RunPhase

    def states(self) -> dict[str, NodeState]:
        """Return the states of nodes, as far as they are known."""
        found = {name: state for name in self.numbers if (state := self._by_outcome(name)) is not None}
        # A node that is done may be in the queue again, if someone has put it there.
        for name, element in self._queued():
            if found.get(name) not in ENDED or self._began_after(name, element):
                # A job that runs all nodes of an array has not begun each of them.
                begun = element.task is not None or name in found
                found[name] = _state(
                    element, released=self._progress(element).released is not None, begun=begun
                )
        if self.state.over is not None:
            found[FINAL] = NodeState.DONE if self.state.over.ended == 0 else NodeState.FAILED
        return found

    def holds(self) -> Iterator[Hold]:
        """Yield what is held, or waits for something that will never come."""
        for name, element in self._queued():
            state = _state(element, released=self._progress(element).released is not None)
            if state is NodeState.HELD:
                advice = f": {element.advice}" if element.advice else ""
                yield Hold(name, f"{element.reason} (job {element.id}){advice}", 0, 0)

    def _by_outcome(self, name: str) -> NodeState | None:
        last = self.attempts.get(self.numbers[name])
        if last is None:
            # What is blocked writes that down, so this node's job never began to run it.
            return NodeState.FAILED if self.phase is RunPhase.FAILED else None
        if last.exit_code in FINAL_CODES:
            return NodeState.after(last.exit_code)
        if self.phase.over:
            return NodeState.FAILED
        # Without an answer of the queue nothing else is known; otherwise it is replaced by what that says.
        return NodeState.WAITING if self.queue or last.exit_code is not None else NodeState.RUNNING

    def _began_after(self, name: str, element: Element) -> bool:
        """Return whether a node that had ended was submitted again in a later round."""
        last = self.attempts.get(self.numbers.get(name, -1))
        submitted = self._progress(element).released
        return last is not None and submitted is not None and last.began < submitted * 1e9

    def _progress(self, element: Element) -> Progress:
        return self.state.rounds.get(element.round, Progress())

    def _queued(self) -> Iterator[tuple[str, Element]]:
        """Yield the nodes that are in the queue; if one is there twice, the later one comes last."""
        arrays = {(each.number, array.number): array for each in self.rounds for array in each.arrays}
        for element in sorted(self.queue, key=lambda each: (each.round, each.array, each.task or 0)):
            array = arrays.get((element.round, element.array))
            if array is None:
                continue
            if element.task is None:
                yield from ((node, element) for node in array.nodes)
            elif 0 <= element.task < len(array.nodes):
                yield array.nodes[element.task], element


def _state(element: Element, *, released: bool, begun: bool = True) -> NodeState:
    match element.stage:
        case Stage.RUNNING:
            return NodeState.RUNNING if begun else NodeState.IDLE
        case Stage.WAITING:
            return NodeState.WAITING
        case Stage.AS_SUBMITTED:
            return NodeState.HELD if released else NodeState.WAITING
        case Stage.HELD:
            return NodeState.HELD
        case Stage.IDLE | Stage.OVER:
            return NodeState.IDLE
        case unknown:
            assert_never(unknown)
