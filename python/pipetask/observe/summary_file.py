"""The summary as a JSON file: the fields of LSST's ``Report``, and more."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import IO, Any

from lsst.utils.introspection import get_full_type_name

from ..errors import one_line
from ..executors.activity import Activity
from ..graph.enumeration import EnumeratedGraph
from ..graph.file import GraphFile
from ..outcome import Kind, QuantumOutcome, Status, Usage
from .dataset_counts import DatasetCounts
from .sink import Sink
from .summary import RunSummary
from .whole_file import WholeFile

__all__ = ["RegisteredSummary", "SummaryFile", "SummarySink"]


LSST_FAILURE = "lsst.pipe.base.mp_graph_executor.MPGraphExecutorError"
LSST_TIMEOUT = "lsst.pipe.base.mp_graph_executor.MPTimeoutError"
"""Classes of the exceptions with which LSST's command ends after failures."""


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


_MEASURES = [(_camel_case(field.name), field.name) for field in fields(Usage)]
"""Name of each measure in the file, and of its field."""


class SummarySink(Sink):
    """Makes the content of a run's summary.

    Parameters
    ----------
    command_line
        The command that ran.
    """

    def __init__(self, command_line: Sequence[str]):
        self._command_line = list(command_line)
        self._datasets: DatasetCounts | None = None
        self._labels: list[str] = []

    def begin(self, graph: EnumeratedGraph, totals: dict[str, int], activity: Activity) -> None:
        """Open the graph file, because it may be gone at the end."""
        if isinstance(file := graph.source, GraphFile):
            self._labels = list(file.pipeline.tasks)
            with suppress(Exception):  # the summary then has no numbers of datasets
                self._datasets = DatasetCounts(file.path)

    def fields(self, summary: RunSummary) -> Iterator[tuple[str, Any]]:
        """Yield the fields of a summary; those that have an item for each quantum are iterators.

        Parameters
        ----------
        summary
            The summary of the run.

        Notes
        -----
        ``qgraphSummary``, ``status``, ``cmdLine``, ``exitCode``, ``exceptionInfo`` and ``quantaReports`` are those of
        `lsst.pipe.base.quantum_reports.Report`, which reads them; fields without a value are left out.  ``outcome``,
        ``stopped``, ``unregistered``, ``counts``, ``start``, ``end`` and ``quanta`` are ours.
        """
        yield "qgraphSummary", _without_nones(self._graph_summary(summary))
        yield "status", _run_status(summary)
        yield "cmdLine", self._command_line
        yield "exitCode", summary.exit_code
        if summary.exit_code:
            yield "exceptionInfo", _run_exception(summary)
        yield "quantaReports", (_quantum_report(summary, outcome) for outcome in summary.outcomes)
        yield "quanta", (_quantum(summary, outcome) for outcome in summary.outcomes)
        yield "outcome", summary.status
        if summary.stopped is not None:
            yield "stopped", summary.stopped
        if summary.unregistered:
            yield "unregistered", summary.unregistered
        yield "counts", {label: {s.value: n for s, n in c.items()} for label, c in summary.counts.items()}
        yield "start", summary.start
        yield "end", summary.end

    def _graph_summary(self, summary: RunSummary) -> dict[str, Any]:
        header, structure = summary.header, summary.graph.structure
        sizes = dict(zip(structure.labels, structure.counts, strict=True))
        counts = self._count_datasets(summary)
        return {
            "cmdLine": header.command or None,
            "creationUTC": str(header.timestamp) if header.timestamp is not None else None,
            "inputCollection": header.inputs or None,
            "outputCollection": header.output,
            "outputRun": header.output_run,
            "qgraphTaskSummaries": {
                label: {"taskLabel": label, "numQuanta": sizes.get(label, 0)}
                | {name: dict(numbers[label]) for name, numbers in counts.items()}
                for label in self._labels or sizes
            },
        }

    def _count_datasets(self, summary: RunSummary) -> dict[str, Mapping[str, Counter[str]]]:
        """Return numbers of inputs and outputs; nothing if the graph file has been cut or replaced."""
        if self._datasets is None:
            return {}
        try:
            inputs, outputs = self._datasets.count(summary.graph.structure)
        except Exception:
            return {}
        return {"numInputs": inputs, "numOutputs": outputs}


class SummaryFile(SummarySink):
    """Writes the summary of a run as JSON: the whole file, or nothing.

    Parameters
    ----------
    uri
        Where to write.
    command_line
        The command that ran.

    Raises
    ------
    UsageError
        If it is already clear that it cannot be written there.
    """

    def __init__(self, uri: str | Path, command_line: Sequence[str]):
        super().__init__(command_line)
        self._file = WholeFile(str(uri), "--summary")
        self._written = False

    def end(self, summary: RunSummary) -> None:
        """Write the file."""
        with self._file.open() as out:
            _write_json(self.fields(summary), out)
        self._written = True

    def files(self) -> dict[str, str]:
        """Return the path of the summary, once it is written."""
        return {"summary": str(self._file.place)} if self._written else {}


class RegisteredSummary(SummaryFile):
    """A summary file whose existence means that all outputs are registered."""

    def end(self, summary: RunSummary) -> None:
        """Write the file, unless something could not be registered."""
        if summary.error is None and not summary.unregistered:
            super().end(summary)


def _write_json(fields: Iterator[tuple[str, Any]], out: IO[str]) -> None:
    """Write an object field by field, and its lists item by item: the whole text may be large."""
    before = "{\n"
    for name, value in fields:
        out.write(f"{before}  {json.dumps(name)}: ")
        if isinstance(value, Iterator):
            _write_list(value, out)
        else:
            out.write(_json(value))
        before = ",\n"
    out.write("\n}\n")


def _write_list(items: Iterator[Any], out: IO[str]) -> None:
    before = "["
    for item in items:
        out.write(f"{before}\n    {_json(item)}")
        before = ","
    out.write("[]" if before == "[" else "\n  ]")


def _json(value: Any) -> str:
    return json.dumps(value, default=str)


def _run_exception(summary: RunSummary) -> dict[str, str]:
    if summary.error is not None:
        return {"className": get_full_type_name(summary.error), "message": one_line(summary.error)}
    counts = ", ".join(f"{n} {status.value}" for status, n in summary.total.items() if not status.unblocks)
    late = {outcome.status for outcome in summary.failed} == {Status.TIMED_OUT}
    return {
        "className": LSST_TIMEOUT if late else LSST_FAILURE,
        "message": summary.stopped or f"quanta ended: {counts}",
    }


def _run_status(summary: RunSummary) -> str:
    if summary.status == "succeeded":
        return "success"
    words = {outcome.status.lsst for outcome in summary.failed}
    return "timeout" if words == {"timeout"} and summary.signal is None else "failure"


def _quantum_report(summary: RunSummary, outcome: QuantumOutcome) -> dict[str, Any]:
    graph, error = summary.graph, outcome.error
    return _without_nones(
        {
            "status": outcome.status.lsst,
            "dataId": graph.data_id(outcome.id),
            "taskLabel": graph.label(outcome.id),
            "exitCode": _process_exit_code(outcome),
            "exceptionInfo": {"className": error.type_name, "message": error.message} if error else None,
            "quantumId": str(graph.quantum_id(outcome.id)),
        }
    )


def _process_exit_code(outcome: QuantumOutcome) -> int | None:
    """Return the exit code that LSST's command would report, which starts a process for each quantum at ``-j 2``.

    A quantum that ran in this process, or did not run, has none.
    """
    if outcome.signal is not None:
        return -outcome.signal
    if outcome.exit_code is not None or outcome.pid in (None, os.getpid()):
        return outcome.exit_code
    if outcome.error is not None:
        return outcome.error.exit_code or 1
    return 0 if outcome.status.kind is Kind.DONE else None


def _quantum(summary: RunSummary, outcome: QuantumOutcome) -> dict[str, Any]:
    graph, error = summary.graph, outcome.error
    return _without_nones(
        {
            "quantumId": str(graph.quantum_id(outcome.id)),
            "id": outcome.id,
            "outcome": outcome.status.value,
            "reason": outcome.reason,
            "blockedBy": str(graph.quantum_id(outcome.blocked_by))
            if outcome.blocked_by is not None
            else None,
            "start": outcome.start,
            "end": outcome.end,
            "host": outcome.host,
            "pid": outcome.pid,
            "usage": _usage(outcome.usage),
            "caveats": outcome.caveats or None,
            "traceback": error.traceback if error else None,
            "log": outcome.log,
            "attempt": outcome.attempt,
            "earlierAttempts": [_earlier_attempt(before) for before in outcome.earlier] or None,
        }
    )


def _earlier_attempt(outcome: QuantumOutcome) -> dict[str, Any]:
    error = outcome.error
    return _without_nones(
        {
            "attempt": outcome.attempt,
            "outcome": outcome.status.value,
            "reason": outcome.reason,
            "start": outcome.start,
            "end": outcome.end,
            "host": outcome.host,
            "pid": outcome.pid,
            "usage": _usage(outcome.usage),
            "exceptionInfo": {"className": error.type_name, "message": error.message} if error else None,
            "traceback": error.traceback if error else None,
            "log": outcome.log,
        }
    )


def _usage(usage: Usage | None) -> dict[str, float] | None:
    """Return the measures that are known, by their names in the file."""
    if usage is None:
        return None
    measures = ((name, getattr(usage, field)) for name, field in _MEASURES)
    return {name: value for name, value in measures if value is not None} or None


def _without_nones(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
