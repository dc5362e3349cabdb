"""Small real repositories with mock quanta.

The tasks are those of `lsst.pipe.base.tests.mocks`; they read and write real datasets and otherwise do almost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["MockPipeline"]


@dataclass(frozen=True)
class MockPipeline:
    """A repository and a pipeline of three tasks over exposures and detectors.

    ``isr`` and ``characterize`` run on each detector of each exposure, one after the other, and ``gather`` on each
    exposure, with all its detectors.
    """

    exposures: int = 2
    detectors: int = 2
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Configuration of `lsst.pipe.base.tests.mocks.DynamicTestPipelineTaskConfig` by task label, such as
    ``{"isr": {"fail_condition": "detector=1"}}``."""

    task_classes: dict[str, type] = field(default_factory=dict)
    """Other task classes by label, derived from `lsst.pipe.base.tests.mocks.DynamicTestPipelineTask`."""

    stored_inputs: bool = True
    """Whether the raw datasets get files; a graph that is never executed needs none."""

    datastore_records: bool = True
    """Whether the graph carries the datastore records of its inputs."""

    def make(self, root: str | Path, output: str = "u/out", run: str = "u/out/run") -> Path:
        """Make the repository in a new folder, and the graph.

        Parameters
        ----------
        root
            Root of the repository.
        output, run
            The graph's output collections.

        Returns
        -------
        graph
            Path of the ``.qg`` file, which lies in the root.  Its input collection is ``input_chain``.
        """
        from lsst.daf.butler import Butler

        root = Path(root)
        Butler.makeRepo(str(root))
        with Butler.from_config(str(root), writeable=True) as butler:
            self._insert_dimensions(butler)
            return self.build_graph(butler, root / "graph.qg", output, run)

    def build_graph(self, butler: Any, path: Path, output: str = "u/out", run: str = "u/out/run") -> Path:
        """Build a graph in a repository that has the dimension records."""
        from lsst.pipe.base.tests.mocks import DirectButlerRepo

        repository = DirectButlerRepo(butler)
        for label, connections in _TASKS.items():
            self._add_task(repository, label, **connections)
        if not self.stored_inputs:
            _insert_without_files(repository)
        builder = repository.make_quantum_graph_builder(
            output_run=run, register_output_dataset_types=False, insert_mocked_inputs=self.stored_inputs
        )
        components = builder.finish(output=output, attach_datastore_records=self.datastore_records)
        components.header.inputs = ["input_chain"]
        components.write(str(path))
        return path

    def _insert_dimensions(self, butler: Any) -> None:
        insert = butler.registry.insertDimensionData
        instrument = {"instrument": "Mock"}
        insert(
            "instrument", {"name": "Mock", "visit_max": 10**6, "exposure_max": 10**6, "detector_max": 10**3}
        )
        insert("physical_filter", {**instrument, "name": "r", "band": "r"})
        insert("detector", *({**instrument, "id": i, "full_name": f"D{i}"} for i in range(self.detectors)))
        insert("day_obs", {**instrument, "id": 20260101})
        insert("group", *({**instrument, "name": str(i)} for i in range(self.exposures)))
        common = {**instrument, "day_obs": 20260101, "physical_filter": "r", "timespan": None}
        insert(
            "exposure",
            *({**common, "id": i, "obs_id": str(i), "group": str(i)} for i in range(self.exposures)),
        )

    def _add_task(self, repository: Any, label: str, **connections: Any) -> None:
        from lsst.pipe.base.tests.mocks import DynamicConnectionConfig, DynamicTestPipelineTask

        task_class = self.task_classes.get(label, DynamicTestPipelineTask)
        config = task_class.ConfigClass()
        for name, value in self.configs.get(label, {}).items():
            setattr(config, name, value)
        (name, dimensions), (output, output_dimensions) = connections["input"], connections["output"]
        repository.add_task(
            label,
            task_class=task_class,
            config=config,
            dimensions=output_dimensions,
            inputs={
                "input": DynamicConnectionConfig(
                    dataset_type_name=name,
                    dimensions=dimensions,
                    multiple=dimensions != output_dimensions,
                    minimum=1 if self.stored_inputs else 0,
                )
            },
            outputs={
                "output": DynamicConnectionConfig(dataset_type_name=output, dimensions=output_dimensions)
            },
        )


_DETECTOR, _EXPOSURE = ["exposure", "detector"], ["exposure"]
_TASKS: dict[str, dict[str, Any]] = {
    "isr": {"input": ("raw", _DETECTOR), "output": ("post_isr", _DETECTOR)},
    "characterize": {"input": ("post_isr", _DETECTOR), "output": ("calibrated", _DETECTOR)},
    "gather": {"input": ("calibrated", _DETECTOR), "output": ("exposure_summary", _EXPOSURE)},
}


def _insert_without_files(repository: Any) -> None:
    registry = repository.butler.registry
    repository.pipeline_graph.resolve(registry)
    raw = repository.pipeline_graph.dataset_types["raw"].dataset_type
    registry.registerDatasetType(raw)
    data_ids = repository.butler.query_data_ids(raw.dimensions, explain=False, limit=None)
    registry.insertDatasets(raw, data_ids, run=repository.input_run)
