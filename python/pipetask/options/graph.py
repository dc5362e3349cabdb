"""The quantum graph that is executed: from a file, or built from a pipeline."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from .declaration import option

__all__ = [
    "Anchor",
    "GraphBuildOptions",
    "GraphFileOptions",
    "GraphSaveOptions",
    "GraphSelection",
    "MockFailure",
]


@dataclass(frozen=True)
class MockFailure:
    """Where a mocked task fails: ``LABEL:EXCEPTION:WHERE[:MEMORY]``."""

    label: str
    exception: str
    """Fully qualified name of the exception's class; empty for `ValueError`."""

    where: str
    """A data query expression; the quanta that match it fail."""

    memory: str | None = None
    """The quantum fails only with less memory than this (a number with a unit)."""

    @classmethod
    def parse(cls, text: str) -> MockFailure:
        """Read the value of ``--mock-failure``."""
        parts = text.split(":")
        if len(parts) not in (3, 4) or not parts[0]:
            raise ValueError(
                f"{text!r} is not of the form LABEL:EXCEPTION:WHERE or LABEL:EXCEPTION:WHERE:MEMORY"
            )
        return cls(*parts)


@dataclass(frozen=True)
class Anchor:
    """``SOURCE:ANCHOR``: quanta of task SOURCE are kept only if a quantum of task ANCHOR depends on them."""

    source: str
    anchor: str

    @classmethod
    def parse(cls, text: str) -> Anchor:
        """Read the value of ``--prune-unanchored-quanta``."""
        source, _, anchor = text.partition(":")
        if not (source and anchor):
            raise ValueError(f"{text!r} is not of the form SOURCE:ANCHOR")
        return cls(source, anchor)


@dataclass(frozen=True, kw_only=True)
class GraphSelection:
    """Which quanta of a graph are executed, and a check that it is the right graph."""

    qgraph_id: str | None = option(
        "--qgraph-id",
        metavar="ID",
        help="Identifier that a legacy .qgraph file must have; ignored with a warning for .qg files.",
    )
    quantum_ids: frozenset[uuid.UUID] | None = option(
        "--qgraph-node-id",
        metavar="UUID",
        parse=uuid.UUID,
        help="Use only these quanta of the graph; may be repeated, or given with commas.",
        default_text="all",
    )


@dataclass(frozen=True, kw_only=True)
class GraphFileOptions:
    """A quantum graph from a file."""

    qgraph: str | None = option(
        "-g",
        "--qgraph",
        metavar="FILE",
        help="Existing quantum graph, .qg or legacy .qgraph, instead of a pipeline.",
        once=True,
        complete="files",
    )


@dataclass(frozen=True, kw_only=True)
class GraphSaveOptions:
    """Files that a graph is written to."""

    save_qgraph: str | None = option(
        "-q", "--save-qgraph", metavar="FILE", help="Write the quantum graph.", new_file=True
    )
    qgraph_dot: str | None = option(
        "--qgraph-dot", metavar="FILE", help="Draw the quantum graph for GraphViz.", new_file=True
    )
    qgraph_mermaid: str | None = option(
        "--qgraph-mermaid", metavar="FILE", help="Draw the quantum graph for Mermaid.", new_file=True
    )


@dataclass(frozen=True, kw_only=True)
class GraphBuildOptions:
    """How a graph is built from a pipeline."""

    data_query: str = option(
        "-d",
        "--data-query",
        metavar="QUERY",
        default="",
        help='Expression that data IDs must satisfy, such as "visit IN (1, 2) AND detector = 0".',
    )
    data_id_table: tuple[str, ...] = option(
        "--data-id-table",
        metavar="URI",
        default=(),
        split=False,
        help="Table of data IDs that constrains the query, in any format that astropy reads (may be repeated).",
        complete="files",
    )
    dataset_query_constraint: str = option(
        "--dataset-query-constraint",
        metavar="all|off|NAMES",
        default="all",
        help="Input dataset types whose existence constrains the query: all, off, or names with commas.",
        complete="dataset types",
    )
    qgraph_datastore_records: bool = option(
        "--qgraph-datastore-records",
        default=False,
        help="Store datastore records of inputs in the graph, for quantum-backed butlers.",
    )
    skip_existing_in: tuple[str, ...] = option(
        "--skip-existing-in",
        metavar="COLLECTION",
        default=(),
        help="Leave out quanta that are done in these collections; with --qgraph, only in the output run.",
        complete="collections",
    )
    skip_existing: bool = option(
        "--skip-existing",
        default=False,
        help="Leave out quanta that are done in the output run (implied by --extend-run).",
    )
    retained_dataset_types: str | None = option(
        "--retained-dataset-types",
        metavar="FILE",
        help="YAML list of dataset types (or globs) that are kept; quanta that make others run again if they are "
        "needed.  Used with --skip-existing-in.",
        complete="files",
    )
    prune_unanchored_quanta: Anchor | None = option(
        "--prune-unanchored-quanta",
        metavar="SOURCE:ANCHOR",
        parse=Anchor.parse,
        help="Drop quanta of task SOURCE, and their dependents, if no quantum of task ANCHOR depends on them.",
        complete="labels",
    )
    mock: bool = option("--mock", default=False, help="Replace the tasks by mocks that compute nothing.")
    mock_failure: tuple[MockFailure, ...] = option(
        "--mock-failure",
        metavar="LABEL:EXCEPTION:WHERE[:MEMORY]",
        default=(),
        split=False,
        parse=MockFailure.parse,
        help="With --mock: let quanta of a task fail that match a data query (may be repeated).",
        complete="labels",
    )
    unmocked_dataset_types: tuple[str, ...] = option(
        "--unmocked-dataset-types",
        metavar="NAME",
        default=(),
        help="With --mock: input dataset types that are not mocked.",
        complete="dataset types",
    )
