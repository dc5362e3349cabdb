"""The numbers of a batch run, for comparisons with other runs, from what its jobs have written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from ..observe.history.past_run import Ended, LabelNumbers, PastRun
from ..observe.history.summaries import read_summary
from .ledger import Ledger
from .run_directory import RunDirectory
from .watch import RunWatch

__all__ = ["past_batch_run"]


def past_batch_run(directory: RunDirectory, name: str) -> PastRun:
    """Return the numbers of a batch run: of its summary, or if it has none yet of the outcomes that there are.

    Parameters
    ----------
    directory
        The run.
    name
        How the user has named it.

    Raises
    ------
    PipetaskError
        If something cannot be read.
    """
    if directory.summary.exists():
        return read_summary(directory.summary, name)
    times: list[float] = []
    run = PastRun.of(name, 0.0, 0.0, "", _ended(directory, times))
    labels = {
        label: replace(numbers, quanta=directory.facts.labels.get(label, numbers.quanta))
        for label, numbers in run.labels.items()
    }
    for label, quanta in directory.facts.labels.items():
        labels.setdefault(label, LabelNumbers(quanta, 0, None, None))
    written = (directory.path / "run.json").stat().st_mtime
    start, end = min(times, default=written), max(times, default=min(written, time.time()))
    return replace(run, start=start, end=end, outcome=RunWatch(directory).look().phase.value, labels=labels)


def _ended(directory: RunDirectory, times: list[float]) -> Iterator[Ended]:
    with directory.index() as index:
        label_of = {
            quantum.id: index.labels[quantum.task] for node in index.nodes() for quantum in node.quanta
        }
    for record in Ledger(directory).nodes():
        for outcome in record.outcomes():
            usage = outcome.usage
            if outcome.start is not None and outcome.end is not None:
                times += [outcome.start, outcome.end]
            seconds = usage.wall_seconds if usage is not None else None
            yield Ended(
                label_of[outcome.id],
                outcome.status,
                outcome.duration if seconds is None else seconds,
                usage.peak_memory if usage is not None else None,
            )
