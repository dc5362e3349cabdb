"""The numbers of a run, for comparisons with other runs: from its summary, its journal, or its jobs' outcomes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ..batch.ledger import Ledger
from ..batch.run_directory import RunDirectory
from ..batch.watch import RunWatch
from ..errors import PipetaskError
from ..journal.places import SUFFIX
from ..journal.reader import JournalReader
from ..observe.history.past_run import Ended, LabelNumbers, PastRun
from ..observe.history.summaries import read_summary
from ..outcome import QuantumOutcome
from .find import find_run
from .local import phase_of

__all__ = ["past_batch_run", "past_local_run", "past_run"]


def past_run(name: str) -> PastRun:
    """Return the numbers of a run.

    Parameters
    ----------
    name
        A summary file, or what `~pipetask.monitor.find.find_run` takes.

    Raises
    ------
    PipetaskError
        If there is no such run, or if it cannot be read.
    """
    path = Path(name)
    if path.is_file() and path.suffix != SUFFIX:
        return read_summary(path, name)
    try:
        found = find_run(name)
    except PipetaskError:
        if (path / "run.json").exists():
            raise  # it is a run directory, and has another version, say
        raise PipetaskError(
            f"{name!r} is no run: name a summary file, a run directory, a folder with a journal, or the output run of "
            "a recent run."
        ) from None
    return past_batch_run(found, name) if isinstance(found, RunDirectory) else past_local_run(found, name)


def past_local_run(journal: Path, name: str) -> PastRun:
    """Return the numbers of a run on a machine, as far as its journal tells.

    Parameters
    ----------
    journal
        The journal.
    name
        How the user has named it.
    """
    reader = JournalReader(journal)
    try:
        ended = [_of(quantum.label, outcome) for quantum, outcome in reader.news()]
    except OSError as error:
        raise PipetaskError(f"{journal} cannot be read: {error.strerror}.") from error
    start = reader.begin.start if reader.begin else reader.life().last
    planned = reader.begin.labels if reader.begin else {}
    return _with_all(PastRun.of(name, start, start + reader.elapsed, phase_of(reader).value, ended), planned)


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
    written = (directory.path / "run.json").stat().st_mtime
    start, end = min(times, default=written), max(times, default=min(written, time.time()))
    run = replace(run, start=start, end=end, outcome=RunWatch(directory).look().phase.value)
    return _with_all(run, directory.facts.labels)


def _ended(directory: RunDirectory, times: list[float]) -> Iterator[Ended]:
    with directory.index() as index:
        label_of = {
            quantum.id: index.labels[quantum.task] for node in index.nodes() for quantum in node.quanta
        }
    for record in Ledger(directory).nodes():
        for outcome in record.outcomes():
            if outcome.start is not None and outcome.end is not None:
                times += [outcome.start, outcome.end]
            yield _of(label_of[outcome.id], outcome)


def _of(label: str, outcome: QuantumOutcome) -> Ended:
    usage = outcome.usage
    seconds = usage.wall_seconds if usage is not None else None
    memory = usage.peak_memory if usage is not None else None
    return Ended(label, outcome.status, outcome.duration if seconds is None else seconds, memory)


def _with_all(run: PastRun, planned: Mapping[str, int]) -> PastRun:
    """Count quanta that have no outcome, too; labels are in pipeline order."""
    labels = {
        label: replace(run.labels.get(label, LabelNumbers(0, 0, None, None)), quanta=quanta)
        for label, quanta in planned.items()
    }
    return replace(run, labels={**labels, **{k: v for k, v in run.labels.items() if k not in labels}})
