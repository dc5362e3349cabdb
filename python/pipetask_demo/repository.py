"""Makes the butler repository of the demo, and a quantum graph for it."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from astropy.table import Table
from lsst.daf.butler import Butler, CollectionType, Config, DatasetRef, DatasetType, FileDataset
from lsst.pipe.base import Pipeline
from lsst.pipe.base.all_dimensions_quantum_graph_builder import AllDimensionsQuantumGraphBuilder

from . import CAMERA, DEFAULTS, SKYMAP
from .camera import DETECTORS, FILTERS
from .formatters import raw_to_bytes
from .instrument import DemoCam
from .records import insert_records, make_timespan, unit_vector
from .simulation import master_bias, master_flat, reference_stars, simulate_exposure
from .skymap import PatchGrid
from .stars import make_stars
from .survey import EPOCHS, VISITS

__all__ = ["build_graph", "make_repository"]

RAW_RUN = f"{CAMERA}/raw/all"
CALIB = f"{CAMERA}/calib"
REFERENCE_RUN = "refcats"
SKYMAP_RUN = "skymaps"

_CONFIG = {
    "datastore": {
        "formatters": {
            "DemoImage": "pipetask_demo.formatters.ImageFormatter",
            "DemoRaw": "pipetask_demo.formatters.RawFormatter",
        }
    },
    "storageClasses": {
        "DemoImage": {"pytype": "pipetask_demo.image.DemoImage"},
        "DemoRaw": {"pytype": "pipetask_demo.image.RawImage"},
    },
}


def make_repository(root: Path) -> None:
    """Simulate the survey and make a butler repository of it.

    It has the raw exposures, bias and flat with two periods of validity, the
    reference stars, and the definition of the patches.  Each call makes the
    same pixels.

    Parameters
    ----------
    root : `pathlib.Path`
        Directory of the repository, made if necessary.

    Raises
    ------
    FileExistsError
        Raised if there is a repository already.
    """
    Butler.makeRepo(str(root), config=Config(_CONFIG))
    with closing(Butler.from_config(str(root), writeable=True)) as butler:
        DemoCam().register(butler.registry)
        grid = PatchGrid()
        insert_records(butler, grid)
        _ingest_raws(butler, root)
        _certify_calibrations(butler)
        _put_references(butler, grid)
        chain = [RAW_RUN, CALIB, REFERENCE_RUN, SKYMAP_RUN]
        butler.collections.register(DEFAULTS, CollectionType.CHAINED)
        butler.collections.redefine_chain(DEFAULTS, chain)


def _register(
    butler: Butler, name: str, dimensions: Sequence[str], storage_class: str, calibration: bool = False
) -> DatasetType:
    dataset_type = DatasetType(
        name, dimensions, storage_class, universe=butler.dimensions, isCalibration=calibration
    )
    butler.registry.registerDatasetType(dataset_type)
    return dataset_type


def _ingest_raws(butler: Butler, root: Path) -> None:
    """Simulate the exposures as files, and move these into the repository."""
    assert DemoCam.raw_definition is not None
    dataset_type = _register(butler, *DemoCam.raw_definition)
    butler.collections.register(RAW_RUN)
    stars = make_stars()
    # Inside the repository, so that the move stays on one file system.
    with tempfile.TemporaryDirectory(dir=root.absolute()) as directory:
        files = []
        for visit, detector in itertools.product(VISITS, DETECTORS):
            path = Path(directory, f"{visit.id}-{detector.name}.fits")
            path.write_bytes(raw_to_bytes(simulate_exposure(visit, detector, stars)))
            data_id = {"instrument": CAMERA, "exposure": visit.id, "detector": detector.id}
            ref = DatasetRef(dataset_type, butler.registry.expandDataId(data_id), run=RAW_RUN)
            files.append(FileDataset(str(path), ref, formatter=DemoCam().getRawFormatter(data_id)))
        butler.ingest(*files, transfer="move")


def _certify_calibrations(butler: Butler) -> None:
    """Put bias and flat images, and say when they are valid."""
    _register(butler, "bias", ("instrument", "detector"), "DemoImage", calibration=True)
    _register(butler, "flat", ("instrument", "physical_filter", "detector"), "DemoImage", calibration=True)
    butler.collections.register(CALIB, CollectionType.CALIBRATION)
    for epoch, (begin, end) in enumerate(EPOCHS):
        # One run for each period: the datasets have the same data IDs.
        run = f"{CALIB}/epoch{epoch}"
        butler.collections.register(run)
        refs = []
        for detector in DETECTORS:
            data_id = {"instrument": CAMERA, "detector": detector.id}
            refs.append(butler.put(master_bias(detector, epoch), "bias", data_id, run=run))
            for band, physical_filter in FILTERS.items():
                flat = master_flat(detector, band, epoch)
                refs.append(butler.put(flat, "flat", data_id, physical_filter=physical_filter, run=run))
        butler.registry.certify(CALIB, refs, make_timespan(begin, end))


def _put_references(butler: Butler, grid: PatchGrid) -> None:
    """Put the reference stars, in pieces of the sky, and the definition of the patches."""
    _register(butler, "patch_grid", ("skymap",), "StructuredDataDict")
    butler.collections.register(SKYMAP_RUN)
    butler.put(grid.to_dict(), "patch_grid", skymap=SKYMAP, run=SKYMAP_RUN)
    _register(butler, "reference_stars", ("htm7",), "ArrowAstropy")
    butler.collections.register(REFERENCE_RUN)
    stars = Table(reference_stars(make_stars()))
    pixelization = butler.dimensions.skypix_dimensions["htm7"].pixelization
    stars["htm7"] = [pixelization.index(unit_vector(row["ra"], row["dec"])) for row in stars]
    for piece in stars.group_by("htm7").groups:
        butler.put(piece, "reference_stars", htm7=int(piece["htm7"][0]), run=REFERENCE_RUN)


def build_graph(root: Path, path: Path, output: str = "demo/out", output_run: str = "demo/out/run1") -> int:
    """Build the quantum graph of the demo pipeline and write it to a file.

    Nothing is registered in the repository; running the graph does that.

    Parameters
    ----------
    root : `pathlib.Path`
        Repository made by `make_repository`.
    path : `pathlib.Path`
        File to write, with the extension ``.qg``.
    output : `str`, optional
        CHAINED collection that will combine inputs and outputs.
    output_run : `str`, optional
        RUN collection of the outputs.

    Returns
    -------
    quanta : `int`
        Number of quanta in the graph.
    """
    pipeline = Pipeline.from_uri(str(Path(__file__).with_name("pipeline.yaml")))
    where = f"skymap = '{SKYMAP}'"
    with closing(Butler.from_config(str(root), collections=DEFAULTS)) as butler:
        builder = AllDimensionsQuantumGraphBuilder(
            pipeline.to_graph(butler.registry),
            butler,
            where=where,
            input_collections=[DEFAULTS],
            output_run=output_run,
        )
        components = builder.finish(
            output=output, metadata=_metadata(root, where), attach_datastore_records=True
        )
    components.write(str(path))
    return len(components.quantum_datasets)


def _metadata(root: Path, where: str) -> dict[str, Any]:
    """Return what describes the graph, beyond what the builder adds itself."""
    return {
        "butler_argument": str(root),
        "extend_run": False,
        "skip_existing_in": [],
        "skip_existing": False,
        "data_query": where,
    }
