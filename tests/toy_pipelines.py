"""Pipelines of mock tasks, as files that both commands read, and repositories of different shape for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from lsst.daf.butler import Butler
from lsst.daf.butler.transfers import YamlRepoImportBackend
from lsst.pipe.base import Pipeline
from lsst.pipe.base.tests.mocks import DirectButlerRepo
from lsst.resources import ResourcePath

from pipetask.testing import MockPipeline

MOCKS = "lsst.pipe.base.tests.mocks"


@dataclass(frozen=True)
class Connection:
    """A dataset type, as a task sees it."""

    name: str
    dimensions: tuple[str, ...] = ()
    multiple: bool = False
    storage_class: str = "StructuredDataDict"
    mock_storage_class: bool = True

    @property
    def code(self) -> str:
        values = {**vars(self), "dimensions": list(self.dimensions)}
        values["dataset_type_name"] = values.pop("name")
        return f"DynamicConnectionConfig({', '.join(f'{key}={value!r}' for key, value in values.items())})"


def task(*dimensions: str, **connections: Mapping[str, Connection]) -> dict[str, Any]:
    """Return the YAML of a task with ``inputs``, ``outputs``, ``prerequisite_inputs``, ``init_outputs``, …"""
    code = [f"from {MOCKS} import DynamicConnectionConfig", f"config.dimensions = {list(dimensions)!r}"]
    for kind, named in connections.items():
        code += [f"config.{kind}[{name!r}] = {connection.code}" for name, connection in named.items()]
    return {"class": f"{MOCKS}.DynamicTestPipelineTask", "config": {"python": "\n".join(code)}}


def one(name: str, *dimensions: str, **more: Any) -> dict[str, Connection]:
    return {name: Connection(name, dimensions, **more)}


DETECTOR, WARP, PATCH = ("visit", "detector"), ("visit", "patch"), ("patch", "band")

EXPOSURES = {
    "isr": task(
        "exposure",
        "detector",
        inputs=one("raw", "exposure", "detector"),
        outputs=one("post_isr", "exposure", "detector"),
    ),
    "characterize": task(
        "exposure",
        "detector",
        inputs=one("post_isr", "exposure", "detector"),
        outputs=one("calibrated", "exposure", "detector"),
    ),
    "gather": task(
        "exposure",
        inputs=one("calibrated", "exposure", "detector", multiple=True),
        outputs=one("exposure_summary", "exposure"),
    ),
}

SKY = {
    "detect": task(
        *DETECTOR,
        inputs=one("image", *DETECTOR),
        prerequisite_inputs=one("gain", "detector"),
        init_outputs=one("schema"),
        outputs=one("sources", *DETECTOR),
    ),
    "warp": task(
        *WARP,
        inputs=one("sources", *DETECTOR, multiple=True),
        init_inputs=one("schema"),
        outputs=one("warped", *WARP),
    ),
    "coadd": task(
        *PATCH,
        inputs=one("warped", *WARP, multiple=True),
        outputs=one("coadd_image", *PATCH),
    ),
    "measure": task(
        "tract",
        inputs=one("coadd_image", *PATCH, multiple=True),
        outputs=one("objects", "patch", multiple=True) | one("table", "tract"),
    ),
}

VISITS = {
    "calibrate": task("visit", inputs=one("raw_image", "visit"), outputs=one("visit_image", "visit")),
    "warp": task(*WARP, inputs=one("visit_image", "visit"), outputs=one("warped", *WARP)),
    "coadd": task(*PATCH, inputs=one("warped", *WARP, multiple=True), outputs=one("coadd_image", *PATCH)),
}

CALEXP = {
    "psf": task(
        *DETECTOR,
        inputs=one("calexp", *DETECTOR, storage_class="ExposureF", mock_storage_class=False),
        outputs=one("psf_model", *DETECTOR),
    ),
    "stack": task(
        "visit", inputs=one("psf_model", *DETECTOR, multiple=True), outputs=one("psf_table", "visit")
    ),
    "tracts": task(
        "visit",
        "tract",
        inputs=one("calexp", *DETECTOR, storage_class="ExposureF", mock_storage_class=False, multiple=True),
        prerequisite_inputs=one("skyMap", "skymap", storage_class="SkyMap", mock_storage_class=False),
        outputs=one("visit_tract", "visit", "tract"),
    ),
}


REAL = {
    "flatten": {"class": "pipeline_tasks.FlattenTask", "config": {"connections.flat": "dome_flat"}},
    "measure": {"class": "pipeline_tasks.MeasureTask"},
    "summarize": {"class": "pipeline_tasks.SummarizeTask"},
}
"""Tasks that are not mocks, and that do not run unless they are mocked."""


@dataclass(frozen=True)
class Shape:
    """A pipeline, and the records of which a repository for it is made."""

    tasks: Mapping[str, Any]
    records: tuple[str, ...] = ()
    """Files that come with the butler's tests; without any, a few exposures of a mock instrument are made up."""

    def make(self, folder: Path) -> None:
        """Make ``pipeline.yaml`` and ``repo``, with inputs in the collection ``input_chain``."""
        text = yaml.safe_dump({"description": "mock tasks", "tasks": dict(self.tasks)}, sort_keys=False)
        (folder / "pipeline.yaml").write_text(text)
        if not self.records:
            MockPipeline(2, 2).make(folder / "repo")
            return
        Butler.makeRepo(str(folder / "repo"))
        with Butler.from_config(str(folder / "repo"), writeable=True) as butler:
            for name in self.records:
                _load(butler, name)
            repository = DirectButlerRepo(butler)
            repository.pipeline_graph = Pipeline.from_uri(str(folder / "pipeline.yaml")).to_graph()
            _store_real_inputs(repository)
            repository.make_quantum_graph_builder(output_run="unused", register_output_dataset_types=False)


def _load(butler: Butler, name: str) -> None:
    """Register what a file says; the datasets in it have no files."""
    with ResourcePath(f"resource://lsst.daf.butler/tests/registry_data/{name}").open() as stream:
        backend = YamlRepoImportBackend(stream, butler)
        backend.register()
        backend.load(datastore=None)


def shape_folder(name: str, factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ``pipeline.yaml`` and ``repo``, made once for all tests, which must not write to it."""
    if name not in _made:
        folder = factory.mktemp("shape")
        SHAPES[name].make(folder)
        _made[name] = folder
    return _made[name]


_made: dict[str, Path] = {}


def _store_real_inputs(repository: DirectButlerRepo) -> None:
    """Store inputs that are no mocks; of these, the class only registers IDs."""
    butler = repository.butler
    repository.pipeline_graph.resolve(butler.registry)
    for _, node in repository.pipeline_graph.iter_overall_inputs():
        if node.storage_class_name == "StructuredDataDict":
            butler.registry.registerDatasetType(node.dataset_type)
            for data_id in butler.query_data_ids(node.dimensions):
                butler.put({"value": 1}, node.dataset_type, data_id, run=repository.input_run)


SHAPES = {
    "exposures": Shape(EXPOSURES),
    "sky": Shape(SKY, ("base.yaml", "spatial.yaml")),
    "real": Shape(REAL, ("base.yaml", "spatial.yaml")),
    "rc2": Shape(VISITS, ("hsc-rc2-subset-v0.yaml",)),
    "ci_hsc": Shape(CALEXP, ("ci_hsc-subset.yaml", "ci_hsc-subset-skymap.yaml")),
}
