"""How much of the slots' time was used, and why the rest was not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np

from .attempts import Attempts, Floats

__all__ = ["Idle", "IdleReason", "concurrency", "idle_reasons", "peak_concurrency"]


class Idle(Enum):
    """Why a slot was idle."""

    BEFORE = "before the first quantum started"
    DEPENDENCY = "nothing was ready: waiting for prerequisites"
    BETWEEN = "a quantum was ready and not started yet"
    TAIL = "nothing was left to start: waiting for the last quanta"
    AFTER = "after the last quantum: registering, and the end of the run"


@dataclass(frozen=True)
class IdleReason:
    """Why slots were idle, and for how long."""

    idle: Idle
    task: int | None
    """Index of the label that was waited for."""

    slot_seconds: float


def peak_concurrency(attempts: Attempts) -> int:
    """Return the largest number of attempts at the same time; one that ends when another starts does not count."""
    starts, ends = np.sort(attempts.start), np.sort(attempts.end)
    return int(np.max(np.arange(1, len(starts) + 1) - np.searchsorted(ends, starts, side="right"), initial=0))


def concurrency(attempts: Attempts, edges: Floats, n_tasks: int) -> Floats:
    """Return the mean number of attempts that ran in some spans of time, by label: ``[task, span]``.

    Parameters
    ----------
    attempts
        The attempts.
    edges
        The beginnings of the spans, and the end of the last.
    n_tasks
        Number of labels.
    """
    means = np.zeros((n_tasks, len(edges) - 1))
    for task in range(n_tasks):
        mine = attempts.task == task
        busy = _since(attempts.start[mine], edges) - _since(attempts.end[mine], edges)
        means[task] = np.diff(busy) / np.diff(edges)
    return means


def _since(moments: Floats, times: Floats) -> Floats:
    """Return at some times the sum of the seconds that have passed since the moments before."""
    moments = np.sort(moments - times[0])
    sums = np.concatenate(([0.0], np.cumsum(moments)))
    after = times - times[0]
    number = np.searchsorted(moments, after, side="right")
    return np.asarray(number * after - sums[number])


def idle_reasons(
    attempts: Attempts, ready: Floats, begin: float, end: float, slots: int, n_tasks: int
) -> list[IdleReason]:
    """Return why slots were idle, the largest sum first.  With the busy time they add up to what was available.

    Parameters
    ----------
    attempts
        The attempts.
    ready
        When each could have started.
    begin, end
        Of the run.
    slots
        How many attempts could run at the same time.
    n_tasks
        Number of labels.
    """
    if not len(attempts):
        return []
    moments = _Moments(attempts, ready, begin, end, slots)
    sums: list[tuple[Idle, int | None, Floats]] = [
        (Idle.BEFORE, None, moments.before),
        (Idle.BETWEEN, None, moments.between),
        (Idle.AFTER, None, moments.after),
    ]
    for idle, slot_seconds in ((Idle.DEPENDENCY, moments.unready), (Idle.TAIL, moments.tail)):
        sums += [(idle, *each) for each in moments.blamed(slot_seconds, n_tasks)]
    reasons = [IdleReason(idle, task, float(np.sum(each))) for idle, task, each in sums]
    return sorted((r for r in reasons if r.slot_seconds > 0), key=lambda r: -r.slot_seconds)


class _Moments:
    """The spans between all moments at which something changes, with the idle slot-seconds of each by reason."""

    def __init__(self, attempts: Attempts, ready: Floats, begin: float, end: float, slots: int):
        self._attempts = attempts
        starts, ends, readies = np.sort(attempts.start), np.sort(attempts.end), np.sort(ready)
        changes = np.unique(np.concatenate((starts, ends, readies, [begin, end])))
        changes = changes[(changes >= begin) & (changes <= end)]
        self._at, length = changes[:-1], np.diff(changes)
        started, ended, were_ready = (_up_to(each, self._at) for each in (starts, ends, readies))
        self._busy = started - ended
        idle = np.maximum(0, slots - self._busy)
        first, last = self._at < starts[0], self._at >= ends[-1]
        during = ~first & ~last
        between = np.minimum(idle, were_ready - started)
        rest, unready = idle - between, were_ready < len(starts)
        self.before, self.after = length * idle * first, length * idle * last
        self.between = length * between * during
        self.unready, self.tail = length * rest * during * unready, length * rest * during * ~unready

    def blamed(self, slot_seconds: Floats, n_tasks: int) -> Iterator[tuple[int | None, Floats]]:
        """Yield the part of each label, in proportion to what was running."""
        spans = np.flatnonzero(slot_seconds)
        at, busy, seconds = self._at[spans], self._busy[spans], slot_seconds[spans]
        for task in range(n_tasks):
            mine = self._attempts.task == task
            starts, ends = np.sort(self._attempts.start[mine]), np.sort(self._attempts.end[mine])
            running = _up_to(starts, at) - _up_to(ends, at)
            yield task, np.where(busy > 0, seconds * running / np.maximum(busy, 1), 0.0)
        yield None, seconds[busy == 0]


def _up_to(moments: Floats, times: Floats) -> Floats:
    return np.searchsorted(moments, times, side="right").astype(np.float64)
