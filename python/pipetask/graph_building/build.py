"""Build a graph."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsst.daf.butler import Butler
from lsst.pipe.base import PipelineGraph
from lsst.pipe.base.all_dimensions_quantum_graph_builder import (
    AllDimensionsQuantumGraphBuilder,
    DatasetQueryConstraintVariant,
)
from lsst.pipe.base.quantum_graph import PredictedQuantumGraphComponents

from ..errors import PipetaskError, UsageError, did_you_mean
from ..options.collections import OutputOptions
from ..options.declaration import check_group
from ..options.graph import GraphBuildOptions
from ..repository.access import open_repository
from ..repository.output_collections import OutputCollections, collection_exists
from .build_log import BuildLog
from .complaints import said_plainly
from .data_id_tables import read_data_id_tables
from .data_query import check_data_query
from .emptiness import Search
from .mocking import mocked
from .pruning import builder_takes, pruning

if TYPE_CHECKING:
    from ..pipeline.build import PipelineSource

__all__ = ["build_graph"]


def build_graph(
    butler_config: str | Path,
    source: PipelineSource,
    building: GraphBuildOptions | None = None,
    outputs: OutputOptions | None = None,
    butler: Butler | None = None,
) -> PredictedQuantumGraphComponents:
    """Build a quantum graph.  Nothing is written, neither to the repository nor to a file.

    Parameters
    ----------
    butler_config
        Root, configuration file or alias of the repository.
    source
        The pipeline.
    building
        Which quanta the graph should have.
    outputs
        Collections to read from and to write to.  ``output`` or ``output_run`` is required.
    butler
        The repository, if it is already open.  A writeable one keeps other processes from writing to an SQLite database
        while the graph is built.

    Returns
    -------
    components
        The graph, which has at least one quantum; `pipetask.graph.components.write_graph` writes it, and
        `pipetask.execution.graph_executor.QuantumGraphExecutor` executes it.

    Raises
    ------
    UsageError
        If options contradict each other, or name things that cannot exist.
    EmptyGraphError
        If there is nothing to run, with the reason.
    PipetaskError
        If the graph cannot be built, for example because datasets are missing.
    """
    building, outputs = building or GraphBuildOptions(), outputs or OutputOptions()
    check_group(building, GraphBuildOptions, "building")
    check_group(outputs, OutputOptions, "outputs")
    _check(building)
    pipeline = source.graph(resolve=False)
    if not pipeline.tasks:
        raise UsageError("The pipeline has no tasks, and so no quanta: add some with --pipeline or --task.")
    more = pruning(building, outputs, pipeline)
    with ExitStack() as stack:
        if butler is None:
            butler = stack.enter_context(open_repository(str(butler_config), writeable=False))
        if building.mock:  # the repository may define storage classes
            pipeline = mocked(pipeline, building)
        collections = OutputCollections.for_new_graph(butler, outputs, pipeline)
        _check_inputs(collections)
        check_data_query(butler, building.data_query)
        return _build(butler, str(butler_config), pipeline, building, collections, more)


def _build(
    butler: Butler,
    butler_config: str,
    pipeline: PipelineGraph,
    building: GraphBuildOptions,
    collections: OutputCollections,
    more: dict[str, Any],
) -> PredictedQuantumGraphComponents:
    _check_skipped(butler, building.skip_existing_in, collections)
    skip_in = _skip_existing_in(building, collections)
    with said_plainly(butler, pipeline, collections.run, building.data_query):
        builder = AllDimensionsQuantumGraphBuilder(
            pipeline,
            butler,
            where=building.data_query,
            data_id_tables=read_data_id_tables(building.data_id_table, butler.dimensions),
            dataset_query_constraint=_constraint(pipeline, building.dataset_query_constraint),
            input_collections=collections.input_search,
            output_run=collections.run,
            # pipe_base ignores all of them if one is not there.
            skip_existing_in=tuple(name for name in skip_in if collection_exists(butler, name)),
            clobber=collections.options.clobber_outputs,
            **more,
        )
        log = BuildLog(builder)
        components = builder.finish(
            collections.chain,
            metadata=_metadata(butler_config, building, collections, skip_in),
            attach_datastore_records=building.qgraph_datastore_records,
        )
    if not components.header.n_quanta:
        search = Search(builder.butler, pipeline, collections.input_search, building.data_query)
        raise search.why_empty(log.dropped)
    return components


def _skip_existing_in(building: GraphBuildOptions, collections: OutputCollections) -> tuple[str, ...]:
    """Return collections to search for finished quanta, including a run that is extended."""
    if building.skip_existing or (collections.options.extend_run and collections.run_exists):
        return (*building.skip_existing_in, collections.run)
    return building.skip_existing_in


def _check_skipped(butler: Butler, names: tuple[str, ...], collections: OutputCollections) -> None:
    """Refuse collections that are not there, because of a misspelt one everything would run again.

    The outputs of this command may be named: its first attempt is the same command as the next.
    """
    own = (collections.chain, collections.run, collections.options.output)
    for name in names:
        if name not in own and not collection_exists(butler, name):
            hint = did_you_mean(name, butler.collections.query("*"), "leave the option out.")
            raise PipetaskError(f"--skip-existing-in: there is no collection {name!r}{hint}")


def _metadata(
    butler_config: str, building: GraphBuildOptions, collections: OutputCollections, skip_in: tuple[str, ...]
) -> dict[str, Any]:
    """Return the metadata that LSST's command writes to the header of a graph, with the same keys."""
    extend = collections.options.extend_run
    found: dict[str, Any] = {
        "butler_argument": butler_config,
        "extend_run": extend,
        "skip_existing_in": skip_in,
        "skip_existing": building.skip_existing or extend,
        "data_query": building.data_query,
    }
    if builder_takes("retained_dataset_types"):
        found["retained_dataset_types"] = building.retained_dataset_types
    return found


def _check(building: GraphBuildOptions) -> None:
    if building.mock:
        return
    if building.mock_failure:
        raise UsageError("--mock-failure goes with --mock: only mocks fail on demand.")
    if building.unmocked_dataset_types:
        raise UsageError("--unmocked-dataset-types goes with --mock.")


def _check_inputs(collections: OutputCollections) -> None:
    if not collections.input_search:
        raise UsageError(
            "There are no collections to find inputs in: name some with --input, or an --output that has some."
        )


def _constraint(pipeline: PipelineGraph, names: str) -> Any:
    if names not in ("all", "off"):
        inputs = {name for name, _ in pipeline.iter_overall_inputs()}
        for name in names.replace(" ", "").split(","):
            if name not in inputs:
                raise UsageError(
                    f"--dataset-query-constraint: {name!r} is no input of the pipeline{did_you_mean(name, inputs)}"
                )
    return DatasetQueryConstraintVariant.fromExpression(names)
