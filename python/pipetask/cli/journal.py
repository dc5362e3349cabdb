"""The journal of a run on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..options.records import RecordOptions
from .command import Invocation

if TYPE_CHECKING:
    from ..executors.base import QuantumExecutor
    from ..observe.sink import Sink

__all__ = ["journal_of"]


def journal_of(
    invocation: Invocation,
    executor: QuantumExecutor,
    records: RecordOptions,
    graph: str,
    repository: str,
    resume: str | None,
) -> Sink | None:
    """Return the sink that writes the journal; `None` for runs that have none, or one of their own.

    Parameters
    ----------
    invocation
        The command.
    executor
        The execution model.
    records
        Whether a journal is wanted, and where.
    graph, repository
        What is run, and where.
    resume
        Command that goes on with the run.

    Raises
    ------
    UsageError
        If the journal cannot be written to the folder that the user has chosen, or would not be written.
    """
    from ..journal.places import check_folder, default_folder, note_batch_run
    from ..journal.sink import JournalFacts, JournalSink

    if executor.traits.batch and "journal" in invocation.typed:
        raise UsageError("--journal: a batch run has the same records in its run directory: leave it out.")
    if executor.traits.batch and not records.no_journal:
        from ..batch.executor import BatchExecutor

        if isinstance(executor, BatchExecutor):
            executor.on_written = note_batch_run
    if records.no_journal or executor.traits.batch or not executor.traits.executes:
        return None
    folder = default_folder() if records.journal is None else check_folder(Path(records.journal))
    return JournalSink(folder, JournalFacts.of(graph, repository, resume, invocation.given))
