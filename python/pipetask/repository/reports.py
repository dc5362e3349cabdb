"""Report on executed graphs, from the repository and the graphs.

There are two reports, both pipe_base's: a shorter one on one graph (`QuantumGraphExecutionReport`), and a longer one
(`QuantumProvenanceGraph`) that takes several graphs as attempts at the same processing.  Reports of the second kind on
disjoint data can be added up.
"""

from __future__ import annotations

import pprint
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from astropy.table import Table
from lsst.daf.butler import Butler, ButlerUserError, MissingCollectionError
from lsst.pipe.base import PipelineGraph, QuantumGraph
from lsst.pipe.base.execution_reports import QuantumGraphExecutionReport
from lsst.pipe.base.pipeline_graph.visualization import (
    QuantumProvenanceGraphStatusAnnotator,
    QuantumProvenanceGraphStatusOptions,
    show,
)
from lsst.pipe.base.quantum_provenance_graph import DatasetKey, QuantumProvenanceGraph, Summary

from ..errors import PipetaskError, reason_of
from ..graph.file import load_whole
from ..options.commands.report import AggregateReportsCommand, ReportCommand
from .access import open_repository

__all__ = [
    "ExecutionReport",
    "ProvenanceReport",
    "aggregate_reports",
    "report_on_attempts",
    "report_on_graph",
]

_MANY = 5
"""More failed quanta of a task than this are counted in its row of the table, not listed."""


@dataclass(frozen=True, repr=False)
class ExecutionReport:
    """The report on one graph."""

    tasks: Mapping[str, Mapping[str, Any]]
    """Counts, failed quanta and outputs of each task, as `QuantumGraphExecutionReport.to_summary_dict` returns."""

    logs: bool
    """Whether error messages were read."""

    def __repr__(self) -> str:
        return f"<ExecutionReport: {len(self.tasks)} tasks; pprint() prints it, to_yaml() returns it>"

    def to_yaml(self) -> str:
        """Return the whole report."""
        return yaml.safe_dump(dict(self.tasks))

    def pprint(self, *, brief: bool = False) -> None:
        """Print tables of quanta and datasets, and between them error messages.

        Parameters
        ----------
        brief
            Whether to leave out the messages.
        """
        Table(list(self._quanta())).pprint_all()
        print("\n")
        if not brief:
            pprint.pprint([{label: self._errors(label)} for label in self.tasks])
            print("\n")
        Table(list(self._datasets())).pprint_all()

    def _quanta(self) -> Iterator[dict[str, Any]]:
        all_well = not any(task["failed_quanta"] for task in self.tasks.values())
        for label, task in self.tasks.items():
            failed = [quantum["data_id"] for quantum in task["failed_quanta"].values()]
            yield {
                "Task": label,
                # As text: a table abbreviates lists of equal length.
                "Failed": "" if all_well else str(len(failed) if len(failed) > _MANY else failed),
                "Blocked": task["n_quanta_blocked"],
                "Succeeded": task["n_succeeded"],
                "Expected": task["n_expected"],
            }

    def _errors(self, label: str) -> list[dict[str, Any]]:
        return list(self.tasks[label]["failed_quanta"].values()) if self.logs else []

    def _datasets(self) -> Iterator[dict[str, Any]]:
        for task in self.tasks.values():
            for name, counts in task["outputs"].items():
                yield {"DatasetType": name, **counts}


@dataclass(frozen=True, repr=False)
class ProvenanceReport:
    """The report on quanta and datasets of several graphs, or of one."""

    summary: Summary
    """The whole report; it can print itself, and be written as JSON."""

    pipeline: PipelineGraph
    """The pipeline of the first graph."""

    def __repr__(self) -> str:
        return f"<ProvenanceReport: {len(self.pipeline.tasks)} tasks; draw() prints their state>"

    def draw(self) -> None:
        """Print the pipeline as text, with the state of tasks and dataset types."""
        show(
            self.pipeline,
            sys.stdout,
            dataset_types=True,
            status_annotator=QuantumProvenanceGraphStatusAnnotator(self.summary),
            status_options=QuantumProvenanceGraphStatusOptions(
                display_percent=True, display_counts=True, abbreviate=True, visualize=True
            ),
        )


def report_on_graph(options: ReportCommand) -> ExecutionReport:
    """Make the shorter report, on one graph.

    Parameters
    ----------
    options
        Repository and graph; options of the longer report are ignored.

    Raises
    ------
    PipetaskError
        If graph or repository cannot be read, or if the graph has not been executed there.
    """
    options.check()
    with open_repository(str(options.repo), writeable=False) as butler, _said_plainly(str(options.repo)):
        (graph,) = map(_load, options.qgraphs)
        _check_executed(butler, graph, options)
        report = QuantumGraphExecutionReport.make_reports(butler, graph)
        tasks = report.to_summary_dict(butler, options.logs)
    for task in tasks.values():
        failed = task["failed_quanta"].items()
        task["failed_quanta"] = dict(sorted(failed, key=lambda item: _order(item[1]["data_id"])))
    return ExecutionReport(tasks, options.logs)


def report_on_attempts(options: ReportCommand) -> ProvenanceReport:
    """Make the longer report, on one or several graphs.

    Parameters
    ----------
    options
        Repository, graphs, and what is reported.  The order of the graphs does not matter: they are sorted by the time
        at which they were made.

    Raises
    ------
    PipetaskError
        If graphs or repository cannot be read, if a graph has not been executed there, or if the collections have
        datasets that none of the graphs predicts.
    """
    options.check()
    with open_repository(str(options.repo), writeable=False) as butler, _said_plainly(str(options.repo)):
        graphs = sorted(map(_load, options.qgraphs), key=lambda graph: graph.metadata["time"])
        for graph in graphs:
            _check_executed(butler, graph, options)
        provenance = QuantumProvenanceGraph(
            butler,
            graphs,
            collections=options.collections or None,
            where=options.where,
            curse_failed_logs=options.curse_failed_logs,
            read_caveats=None if options.read_caveats == "none" else options.read_caveats,
            use_qbb=options.use_qbb,
            n_cores=options.processes,
        )
        summary = provenance.to_summary(butler, options.logs, options.processes)
    _sort(summary)
    return ProvenanceReport(summary, graphs[0].pipeline_graph)


def aggregate_reports(options: AggregateReportsCommand) -> Summary:
    """Add up reports on disjoint groups of data IDs.

    Parameters
    ----------
    options
        Names of files with a `Summary` as JSON.

    Raises
    ------
    PipetaskError
        If a file has something else.
    """
    options.check()
    total = Summary.aggregate([_read_summary(Path(name)) for name in options.filenames])
    _sort(total)
    return total


def _load(path: str | Path) -> QuantumGraph:
    graph = load_whole(str(path))
    if not len(graph):
        raise PipetaskError(f"{path} has no quanta: there is nothing to report on.")
    return graph


def _check_executed(butler: Butler, graph: QuantumGraph, options: ReportCommand) -> None:
    run = graph.metadata["output_run"]
    try:
        butler.collections.get_info(run)
    except MissingCollectionError as error:
        raise PipetaskError(
            f"{options.repo} has no collection {run!r}, to which one of the graphs writes: execute it there, or "
            "register what was executed without a registry (butler transfer-from-graph)."
        ) from error


@contextmanager
def _said_plainly(repository: str) -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        raise _unexplained(error, repository) from error
    except ButlerUserError as error:
        raise PipetaskError(
            f"{repository} cannot be asked that ({reason_of(error)}): check --collections and --where."
        ) from error


def _unexplained(error: KeyError, repository: str) -> Exception:
    """Return an error about datasets that pipe_base does not find in its graphs."""
    match error.args:
        case (DatasetKey() as key,):
            what = (
                f"a dataset {key.dataset_type_name} {key.data_id_values}, which none of the graphs predicts"
            )
        case (str() as run,):
            what = f"datasets of the run {run!r}, to which none of the graphs writes"
        case _:
            return error
    return PipetaskError(
        f"{repository} has {what}: name all graphs that were executed, or other --collections."
    )


def _read_summary(path: Path) -> Summary:
    try:
        summary = Summary.model_validate_json(path.read_bytes())
    except ValueError as error:
        raise _no_summary(path) from error
    if not {"tasks", "datasets"} <= summary.model_fields_set:
        raise _no_summary(path)
    return summary


def _no_summary(path: Path) -> PipetaskError:
    return PipetaskError(
        f"{path} is not a report that can be added up: make it with 'pipetask report --force-v2 "
        "--full-output-filename'."
    )


def _sort(summary: Summary) -> None:
    """Sort data IDs, so that the same repository gives the same report; pipe_base keeps them in sets."""
    for task in summary.tasks.values():
        for quanta in (task.failed_quanta, task.wonky_quanta, *task.exceptions.values()):
            quanta.sort(key=lambda quantum: _order(quantum.data_id))
        for data_ids in (task.recovered_quanta, *task.caveats.values()):
            data_ids.sort(key=_order)
        task.caveats = dict(sorted(task.caveats.items()))
        task.exceptions = dict(sorted(task.exceptions.items()))
    for datasets in summary.datasets.values():
        datasets.unsuccessful_datasets.sort(key=_order)
        datasets.cursed_datasets.sort(key=lambda dataset: _order(dataset.data_id))


def _order(data_id: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return list(data_id.items())
