"""Report on a run from its run directory or its journal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..batch.node_commands import rerun_command
from ..batch.replay import ReplayExecutor, Standing
from ..batch.requests import requested_memory
from ..batch.run_directory import RunDirectory
from ..batch.status import ENDED, NodeState, RunPhase, RunStatus
from ..batch.systems import system_of
from ..batch.watch import RunWatch
from ..errors import PipetaskError
from ..journal.facts import RunBegin
from ..monitor.find import begin_of
from ..options.records import ExportOptions, RecordOptions
from ..outcome import Status
from .going_on import batch_command, say

if TYPE_CHECKING:
    from ..executors.continuation import Continuation
    from ..observe.report import Commands, RunAlone
    from ..observe.sink import Sink
    from ..observe.summary import RunSummary

__all__ = ["replay", "report_on_journal", "report_on_run", "write_page"]


def report_on_journal(journal: Path, exports: ExportOptions) -> int:
    """Print the report on a run on a machine, as far as its journal tells, and return its exit code.

    Parameters
    ----------
    journal
        The journal.
    exports
        What else to write.
    """
    from ..journal.reader import JournalReader
    from ..journal.replay import replay as replay_journal
    from ..observe.choice import sinks_for

    begin, commands = _of_journal(journal)
    records = RecordOptions(**asdict(exports))
    sinks = sinks_for(commands, records, command=begin.command, options=begin.options)
    return replay_journal(JournalReader(journal), sinks).exit_code


def _of_journal(journal: Path) -> tuple[RunBegin, Commands]:
    """Return what is known of the beginning of a run, and what returns commands that run single quanta of it again."""
    from ..observe.report import debug_command

    begin = begin_of(journal) or RunBegin()
    run_alone = partial(debug_command, begin.repository or "REPO", begin.graph or "GRAPH")
    return begin, lambda _: run_alone


def write_page(found: RunDirectory | Path, uri: str, refresh: float | None) -> None:
    """Write the page that explains a run, as far as it has got.

    Parameters
    ----------
    found
        The run.
    uri
        Where to write; the file is replaced as a whole.
    refresh
        Seconds after which a browser is to load the page again; `None` if the run has ended.
    """
    from ..journal.reader import JournalReader
    from ..journal.replay import replay as replay_journal
    from ..observe.page.sink import PageSink

    if isinstance(found, Path):
        begin, commands = _of_journal(found)
        sink = PageSink(uri, begin.command, commands, options=begin.options, refresh=refresh)
        replay_journal(JournalReader(found), [sink])
        return
    watch, recipe = RunWatch(found), found.recipe()
    status = watch.look()
    if recipe.later is None or not found.is_ready(recipe):
        return  # nothing has run yet, or there is no repository whose names the page could use
    from ..execution.continuation import end

    requested = partial(requested_memory, found)
    sink = PageSink(uri, recipe.later.command, partial(_commands, found), None, requested, refresh=refresh)
    standing = _standing(found, status, watch)
    end(recipe.later, str(found.graph), ReplayExecutor(found, register=False, standing=standing), [sink])


def report_on_run(directory: RunDirectory, exports: ExportOptions | None = None) -> int:
    """Print the report on the current state of a batch run, and return its exit code; nothing is registered.

    Parameters
    ----------
    directory
        The run.
    exports
        What else to write.
    """
    watch = RunWatch(directory)
    status = watch.look()
    if (
        not status.phase.over
        and not directory.is_ready(directory.recipe())
        and NodeState.FAILED not in status.nodes
    ):
        print(f"{status.phase.value}: the first job has not made the registry ready yet", file=sys.stderr)
        return 0
    records = RecordOptions(**asdict(exports)) if exports is not None else None
    standing = _standing(directory, status, watch)
    summary, _ = replay(directory, register=False, standing=standing, records=records)
    if summary.exit_code and not summary.goes_on and summary.error is None:  # an error says what to do
        say(batch_command(summary, directory.path))
    return summary.exit_code


def _standing(directory: RunDirectory, status: RunStatus, watch: RunWatch) -> Standing:
    registered, written = directory.summary.exists(), status.phase is RunPhase.WRITTEN
    if status.phase.over or registered:
        why = None if registered else status.unregistered
        return Standing(refused=status.reasons, unregistered=why, how_ended=watch.how_ended)
    word = Status.WRITTEN if written else Status.SUBMITTED
    pending = {name: word for name, state in watch.states.items() if state not in ENDED}
    return Standing(pending, status.reasons, watch.how_ended, goes_on=not written)


def replay(
    directory: RunDirectory,
    *,
    register: bool,
    standing: Standing | None = None,
    records: RecordOptions | None = None,
) -> tuple[RunSummary, list[Sink]]:
    """Replay the outcome files of jobs as one run, and report on it; return its summary and its sinks.

    Parameters
    ----------
    directory
        The run.
    register
        Whether outputs are registered, and the summary is written.
    standing
        The state of the run, if it is not over.
    records
        What to write about it, if nothing is registered; otherwise that was said when the run was written.
    """
    from ..execution.continuation import end
    from ..observe.summary_file import RegisteredSummary

    recipe = directory.recipe()
    later = recipe.later
    if later is None:
        raise PipetaskError(
            f"{directory.path} was written without a repository: there is nothing to register."
        )
    directory.check_begun(recipe)
    if register:
        summary_file = RegisteredSummary(str(directory.summary), sys.argv)
        sinks = [summary_file, *_last_sinks(directory, later)]
        standing = standing or Standing(how_ended=system_of(directory).watch(directory).how_ended)
    else:
        sinks = _sinks(directory, records or RecordOptions(), later.command)
    executor = ReplayExecutor(directory, register=register, standing=standing)
    return end(later, str(directory.graph), executor, sinks), sinks


def _sinks(directory: RunDirectory, records: RecordOptions, command: Sequence[str]) -> list[Sink]:
    from ..observe.choice import sinks_for

    requested = partial(requested_memory, directory)
    return sinks_for(partial(_commands, directory), records, command=command, requested_memory=requested)


def _last_sinks(directory: RunDirectory, later: Continuation) -> list[Sink]:
    """Return the sinks of the last job, which registers outputs also if a file cannot be written."""
    try:
        return _sinks(directory, later.records, later.command)
    except PipetaskError as error:
        print(f"pipetask run-node: {error}", file=sys.stderr)
        return _sinks(directory, RecordOptions(), later.command)


def _commands(directory: RunDirectory, summary: RunSummary) -> RunAlone:
    """Return a function that returns the command which runs a failed quantum again in its node."""
    homes = _homes(directory, summary)
    return lambda quantum_id: rerun_command(directory, homes[quantum_id], quantum_id)


def _homes(directory: RunDirectory, summary: RunSummary) -> dict[object, str]:
    """Return the names of the nodes of quanta that failed."""
    failed = {outcome.id for outcome in summary.failed}
    homes: dict[object, str] = {}
    with directory.index() as index:
        for node in index.nodes():
            homes |= {index.quantum_id(q): node.name for q in node.quanta if q.id in failed}
    return homes
