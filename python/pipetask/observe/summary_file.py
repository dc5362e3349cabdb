"""Write a summary as JSON: the fields of LSST's ``Report``, and more."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import chain
from typing import Any

from lsst.pipe.base.quantum_graph import PredictedQuantumGraph
from lsst.resources import ResourcePath
from lsst.utils.introspection import get_full_type_name

from ..errors import PipetaskError
from ..outcome import QuantumOutcome
from ..runner.quantum_reader import read_datasets
from .summary import RunSummary

__all__ = ["summary_content", "write_summary"]

CHUNK = 2000
"""Quanta that are read from the graph file at a time to count datasets."""


def write_summary(summary: RunSummary, graph: str, uri: str, command_line: list[str]) -> None:
    """Write a summary.

    Parameters
    ----------
    summary
        What became of the run.
    graph
        The ``.qg`` file, from which the numbers of inputs and outputs are counted.
    uri
        Where to write.
    command_line
        The command that ran.
    """
    with ResourcePath(uri).open("w") as out:
        json.dump(summary_content(summary, graph, command_line), out, indent=2, default=str)


def summary_content(summary: RunSummary, graph: str, command_line: list[str]) -> dict[str, Any]:
    """Return what a summary says, as `write_summary` writes it.

    Parameters
    ----------
    summary
        What became of the run.
    graph
        The ``.qg`` file, from which the numbers of inputs and outputs are counted.
    command_line
        The command that ran.

    Notes
    -----
    ``qgraphSummary``, ``status``, ``cmdLine``, ``exitCode``, ``exceptionInfo`` and ``quantaReports`` are those of
    `lsst.pipe.base.quantum_reports.Report`, which reads them; fields without a value are left out.  ``outcome``,
    ``stopped``, ``counts``, ``start``, ``end`` and ``quanta`` are ours.
    """
    content = {
        "qgraphSummary": _graph_summary(summary, graph),
        "status": _run_status(summary),
        "cmdLine": command_line,
        "exitCode": summary.exit_code,
        "quantaReports": [_quantum_report(summary, outcome) for outcome in summary.outcomes],
        "quanta": [_quantum(summary, outcome) for outcome in summary.outcomes],
        "outcome": summary.status,
        "stopped": summary.stopped,
        "counts": {label: {s.value: n for s, n in c.items()} for label, c in summary.counts.items()},
        "start": summary.start,
        "end": summary.end,
    }
    if summary.exit_code:
        content["exceptionInfo"] = _run_exception(summary)
    return _without_nones(content)


def _run_exception(summary: RunSummary) -> dict[str, str]:
    if summary.error is not None:
        return {"className": get_full_type_name(summary.error), "message": str(summary.error)}
    counts = ", ".join(f"{n} {status.value}" for status, n in summary.total.items() if not status.unblocks)
    return {
        "className": get_full_type_name(PipetaskError),
        "message": summary.stopped or f"quanta ended: {counts}",
    }


def _run_status(summary: RunSummary) -> str:
    if summary.status == "succeeded":
        return "success"
    words = {outcome.status.lsst for outcome in summary.failures}
    return "timeout" if words == {"timeout"} and summary.signal is None else "failure"


def _quantum_report(summary: RunSummary, outcome: QuantumOutcome) -> dict[str, Any]:
    graph, error = summary.graph, outcome.error
    return {
        "status": outcome.status.lsst,
        "dataId": graph.data_id(outcome.id),
        "taskLabel": graph.label(outcome.id),
        "exitCode": -outcome.signal if outcome.signal is not None else outcome.exit_code,
        "exceptionInfo": {"className": error.type_name, "message": error.message} if error else None,
        "quantumId": str(graph.quantum_id(outcome.id)),
    }


def _quantum(summary: RunSummary, outcome: QuantumOutcome) -> dict[str, Any]:
    graph, error = summary.graph, outcome.error
    return {
        "quantumId": str(graph.quantum_id(outcome.id)),
        "id": outcome.id,
        "outcome": outcome.status.value,
        "reason": outcome.reason,
        "blockedBy": str(graph.quantum_id(outcome.blocked_by)) if outcome.blocked_by is not None else None,
        "start": outcome.start,
        "end": outcome.end,
        "host": outcome.host,
        "pid": outcome.pid,
        "peakMemory": outcome.peak_memory,
        "caveats": outcome.caveats or None,
        "traceback": error.traceback if error else None,
        "log": outcome.log,
        "attempt": outcome.attempt,
        "earlierAttempts": [_earlier_attempt(before) for before in outcome.earlier] or None,
    }


def _earlier_attempt(outcome: QuantumOutcome) -> dict[str, Any]:
    error = outcome.error
    return {
        "attempt": outcome.attempt,
        "outcome": outcome.status.value,
        "reason": outcome.reason,
        "start": outcome.start,
        "end": outcome.end,
        "host": outcome.host,
        "pid": outcome.pid,
        "peakMemory": outcome.peak_memory,
        "exceptionInfo": {"className": error.type_name, "message": error.message} if error else None,
        "traceback": error.traceback if error else None,
        "log": outcome.log,
    }


def _graph_summary(summary: RunSummary, graph: str) -> dict[str, Any]:
    header, structure = summary.header, summary.graph.structure
    counts = dict(zip(structure.labels, structure.counts, strict=True))
    inputs: defaultdict[str, Counter[str]] = defaultdict(Counter)
    outputs: defaultdict[str, Counter[str]] = defaultdict(Counter)
    with PredictedQuantumGraph.open(graph) as reader:
        components = reader.components
        tasks = components.pipeline_graph.tasks
        for first in range(0, len(structure), CHUNK):
            positions = range(first, min(first + CHUNK, len(structure)))
            read_datasets(reader, (structure.quantum_id(position) for position in positions))
            for quantum in components.quantum_datasets.values():
                for counter, datasets in ((inputs, quantum.inputs), (outputs, quantum.outputs)):
                    names = (dataset.dataset_type_name for dataset in chain.from_iterable(datasets.values()))
                    counter[quantum.task_label].update(names)
            components.quantum_datasets.clear()
    return {
        "cmdLine": header.command or None,
        "creationUTC": str(header.timestamp) if header.timestamp is not None else None,
        "inputCollection": header.inputs or None,
        "outputCollection": header.output,
        "outputRun": header.output_run,
        "qgraphTaskSummaries": {
            label: {
                "taskLabel": label,
                "numQuanta": counts.get(label, 0),
                "numInputs": dict(inputs[label]),
                "numOutputs": dict(outputs[label]),
            }
            for label in tasks
        },
    }


def _without_nones(value: Any) -> Any:
    match value:
        case dict():
            return {key: _without_nones(item) for key, item in value.items() if item is not None}
        case list():
            return [_without_nones(item) for item in value]
        case _:
            return value
