"""The same quanta as tasks of plain Dask, as somebody would write it who has Dask and pipe_base and not us."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from pipetask.testing import MockPipeline

from .commands import execution_part
from .harness import OURS, Figure, checked, fresh_copy, median, run_words, scratch, timed_command

__all__ = ["plain_dask"]

EXPOSURES, SAMPLE = 50, 5
"""Of so many exposures, those whose quanta plain Dask runs; its time is scaled up."""


def plain_dask(repeat: int) -> Iterator[Figure]:
    """1,050 small quanta on Dask through us; and one a task, the graph and a butler opened in each.

    Plain Dask is favoured: its time begins when its workers have imported what they need, it ends with the last task
    (a quantum-backed butler registers nothing), and all is scaled from a tenth of the quanta.
    """
    with scratch() as folder:
        template = folder / "repo"
        MockPipeline(exposures=EXPOSURES, detectors=10).make(template)
        through_us: list[float] = []
        plain: dict[str, list[float]] = {"Butler": [], "QuantumBackedButler": []}
        for _ in range(repeat):
            options = ("-j", "2", "--mode", "futures", "--engine", "dask")
            through_us.append(execution_part(fresh_copy(template), *options))
            for butler, values in plain.items():
                values.append(_seconds(fresh_copy(template), _WAYS[butler]) * EXPOSURES / SAMPLE)
        ours = median(through_us)
        for butler, values in plain.items():
            name = f"1,050 small quanta on dask, 2 workers: a task each that opens a {butler}"
            other = median(values)
            yield Figure(
                name,
                ours,
                other,
                f"plain Dask, from {SAMPLE} of {EXPOSURES} exposures",
                "s",
                other / ours,
                10,
            )


def _seconds(root: Path, run: Callable[..., None]) -> float:
    """Return what the quanta of the first exposures take."""
    from distributed import Client, LocalCluster
    from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

    checked(timed_command(run_words(OURS, root, "--init-only")))
    path = root / "graph.qg"
    graph = PredictedQuantumGraph.read_execution_quanta(path).quantum_only_xgraph
    wanted = [id for id, data in graph.nodes.items() if data["data_id"]["exposure"] < SAMPLE]
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.run(run, str(root), str(path), None)
        start = time.monotonic()
        futures: dict[uuid.UUID, object] = {}
        for id in _in_order(graph, wanted):
            needed = [futures[each] for each in graph.predecessors(id)]
            futures[id] = client.submit(run, str(root), str(path), id, *needed, pure=False)
        client.gather(list(futures.values()))
        return time.monotonic() - start


def _in_order(graph: object, wanted: list[uuid.UUID]) -> Iterator[uuid.UUID]:
    import networkx

    yield from networkx.topological_sort(graph.subgraph(wanted))  # type: ignore[attr-defined]


def run_with_butler(root: str, path: str, id: uuid.UUID | None, *needed: object) -> None:
    """Run a quantum with a butler of its own; without a quantum, only import what is needed."""
    from lsst.daf.butler import Butler
    from lsst.pipe.base.quantum_graph import PredictedQuantumGraph
    from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor

    if id is None:
        import lsst.pipe.base.tests.mocks  # noqa: F401  the tasks

        return
    graph = PredictedQuantumGraph.read_execution_quanta(path, [id])
    node = graph.quantum_only_xgraph.nodes[id]["pipeline_node"]
    quantum = graph.build_execution_quanta([id])[id]
    with Butler.from_config(root, writeable=True, run=graph.header.output_run) as butler:
        SingleQuantumExecutor(butler=butler, assume_no_existing_outputs=True).execute(node, quantum, id)


def run_with_quantum_backed_butler(root: str, path: str, id: uuid.UUID | None, *needed: object) -> None:
    """Run a quantum with a butler that knows this quantum only, and leaves out the registry."""
    from lsst.daf.butler import Quantum, QuantumBackedButler
    from lsst.pipe.base.quantum_graph import PredictedQuantumGraph
    from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor

    if id is None:
        import lsst.pipe.base.tests.mocks  # noqa: F401  the tasks

        return
    graph = PredictedQuantumGraph.read_execution_quanta(path, [id])
    node = graph.quantum_only_xgraph.nodes[id]["pipeline_node"]
    pipeline = graph.pipeline_graph
    types = {each.name: each.dataset_type for each in pipeline.dataset_types.values()}

    def butler_for(quantum: Quantum) -> QuantumBackedButler:
        return QuantumBackedButler.initialize(root, quantum, pipeline.universe, dataset_types=types)

    executor = SingleQuantumExecutor(limited_butler_factory=butler_for, assume_no_existing_outputs=True)
    executor.execute(node, graph.build_execution_quanta([id])[id], id)


_WAYS: dict[str, Callable[..., None]] = {
    "Butler": run_with_butler,
    "QuantumBackedButler": run_with_quantum_backed_butler,
}
