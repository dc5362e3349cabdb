"""The demo's simulation, repository, graph, and what each task does to arrays.

That the graph as a whole runs and finds its star is tested with the command.
"""

from __future__ import annotations

import dataclasses
import itertools
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from astropy.table import Table, vstack
from lsst.daf.butler import Butler, DatasetType
from lsst.pipe.base import Instrument, NoWorkFound
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from pipetask_demo import CAMERA, DEFAULTS
from pipetask_demo.astrometry import AffineMap, find_offset, fit_affine, match_nearest
from pipetask_demo.background import fit_background
from pipetask_demo.calibration import Calibration
from pipetask_demo.camera import DETECTORS, PIXEL_SCALE, SIZE, Detector
from pipetask_demo.catalog import LIGHT_CURVE_COLUMNS, make_table, schema_of
from pipetask_demo.image import DemoImage, MaskBit
from pipetask_demo.instrument import DemoCam
from pipetask_demo.light_curve_plot import draw_light_curve
from pipetask_demo.period import LightCurve, constant_chi2, find_period, fold
from pipetask_demo.photometry import aperture_noise, measure
from pipetask_demo.picture import draw_ring, stretch, write_png
from pipetask_demo.records import unit_vector
from pipetask_demo.report import DemoResult, summarize, true_star
from pipetask_demo.repository import build_graph, make_repository
from pipetask_demo.resampling import resample
from pipetask_demo.result import CoaddSummary
from pipetask_demo.simulation import master_bias, master_flat, reference_stars, simulate_exposure
from pipetask_demo.skymap import PatchGrid
from pipetask_demo.stars import StarField, make_stars, njy_to_magnitude
from pipetask_demo.survey import CLOSED_SHUTTER, VISITS, Visit, epoch_of
from pipetask_demo.tasks.calibrate_visit import (
    CalibrateVisitConfig,
    CalibrateVisitConnections,
    CalibrateVisitTask,
)
from pipetask_demo.tasks.coadd import CoaddTask
from pipetask_demo.tasks.detect import DetectTask
from pipetask_demo.tasks.find_variable import FindVariableTask
from pipetask_demo.tasks.isr import IsrTask
from pipetask_demo.tasks.light_curves import LightCurvesTask
from pipetask_demo.tasks.measure_coadd import MeasureCoaddTask
from pipetask_demo.tasks.warp import WarpTask
from pipetask_demo.wcs import pixel_to_sky, sky_to_pixel, tangent_wcs, wcs_from_header, wcs_to_header

VISIT, DETECTOR = VISITS[10], DETECTORS[3]
QUANTA = {
    "isr": 48,
    "detect": 48,
    "calibrateVisit": 12,
    "warp": 48,
    "coadd": 8,
    "measureCoadd": 8,
    "lightCurves": 4,
    "findVariable": 1,
}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "repo"
    make_repository(root)
    return root


@pytest.fixture(scope="module")
def butler(repository: Path) -> Iterator[Butler]:
    with closing(Butler.from_config(str(repository), collections=DEFAULTS)) as butler:
        yield butler


@pytest.fixture(scope="module")
def graph(repository: Path) -> PredictedQuantumGraph:
    path = repository.parent / "demo.qg"
    assert build_graph(repository, path) == sum(QUANTA.values())
    return PredictedQuantumGraph.read_execution_quanta(path)


def corrected(visit: Visit, detector: Detector, stars: StarField, epoch: int | None = None) -> DemoImage:
    """Simulate an exposure and remove the signature of the detector."""
    epoch = epoch_of(visit) if epoch is None else epoch
    raw = simulate_exposure(visit, detector, stars)
    task = IsrTask(config=IsrTask.ConfigClass())
    result = task.run(raw, master_bias(detector, epoch), master_flat(detector, visit.band, epoch))
    return result.corrected


def detected(visit: Visit, detector: Detector) -> Any:
    return DetectTask(config=DetectTask.ConfigClass()).run(corrected(visit, detector, make_stars()))


@pytest.fixture(scope="module")
def visit_data() -> tuple[dict[int, Any], Any]:
    """One visit: what was detected on each detector, and its calibration."""
    detections = {detector.id: detected(VISIT, detector) for detector in DETECTORS}
    task = CalibrateVisitTask(config=CalibrateVisitConfig())
    result = task.run(
        {key: one.sources for key, one in detections.items()},
        {key: one.header for key, one in detections.items()},
        Table(reference_stars(make_stars())),
    )
    return detections, result


def noise_image(seed: int, sigma: float = 3.0, size: int = 120, **header: Any) -> DemoImage:
    image = np.random.default_rng(seed).normal(0, sigma, (size, size)).astype(np.float32)
    return DemoImage(image, np.full_like(image, sigma**2), np.zeros(image.shape, np.uint8), header)


# What is simulated


def test_simulation_is_deterministic() -> None:
    first = simulate_exposure(VISIT, DETECTOR, make_stars())
    make_stars.cache_clear()
    second = simulate_exposure(VISIT, DETECTOR, make_stars())
    assert first.header == second.header
    np.testing.assert_array_equal(first.counts, second.counts)


def test_simulation_differs_between_exposures() -> None:
    images = [simulate_exposure(visit, DETECTOR, make_stars()).counts for visit in VISITS[:2]]
    assert (images[0] != images[1]).mean() > 0.9


def test_only_the_variable_star_varies() -> None:
    first, second = (make_stars().fluxes("r", mjd) for mjd in (60310.1, 60310.3))
    assert np.flatnonzero(first != second).tolist() == [0]


def test_seeing_of_a_visit_is_in_its_images() -> None:
    sharp, blurred = (VISITS[7], VISITS[9])
    assert sharp.seeing < blurred.seeing
    widths = [
        np.median(detected(visit, DETECTOR).sources["fwhm"]) * PIXEL_SCALE for visit in (sharp, blurred)
    ]
    assert widths[0] < widths[1]
    np.testing.assert_allclose(widths, [sharp.seeing, blurred.seeing], rtol=0.2)


def test_projection_survives_the_header() -> None:
    wcs = tangent_wcs((150.0, 2.0), (12.0, -30.5), np.array([[-1e-4, 2e-5], [2e-5, 1e-4]]))
    pixels = np.array([[0.0, 0.0], [100.0, 250.5]])
    again = wcs_from_header(wcs_to_header(wcs))
    np.testing.assert_array_equal(pixel_to_sky(wcs, pixels), pixel_to_sky(again, pixels))
    np.testing.assert_allclose(sky_to_pixel(again, pixel_to_sky(wcs, pixels)), pixels, atol=1e-6)


def test_detectors_are_side_by_side() -> None:
    corners = np.array([detector.corner for detector in DETECTORS])
    assert (np.abs(corners[:, np.newaxis] - corners).max(axis=-1) + SIZE * np.eye(4) >= SIZE).all()


def test_every_patch_pixel_has_one_owner() -> None:
    grid = PatchGrid()
    rows, columns = grid.shape
    pixels = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2)
    owners = sum(patch.owns(pixels).astype(int) for patch in grid.patches())
    assert (owners == 1).all()
    assert PatchGrid.from_dict(grid.to_dict()) == grid
    with pytest.raises(LookupError, match="No patch 4"):
        grid.patch(4)


# The repository and the graph


@pytest.mark.slow
def test_repository_has_what_was_simulated(butler: Butler) -> None:
    stored = butler.get("raw", instrument=CAMERA, exposure=VISIT.id, detector=DETECTOR.id)
    raw = simulate_exposure(VISIT, DETECTOR, make_stars())
    assert stored.header.keys() == raw.header.keys()
    # FITS cards have place for 16 digits, not always for the 17th.
    assert all(
        value == (pytest.approx(raw.header[key], rel=1e-14) if isinstance(value, float) else raw.header[key])
        for key, value in stored.header.items()
    )
    assert stored.counts.dtype == np.uint16
    np.testing.assert_array_equal(stored.counts, raw.counts)


@pytest.mark.slow
@pytest.mark.parametrize("visit", [VISITS[0], VISITS[5], VISITS[6], VISITS[11]])
def test_calibration_of_the_right_time_is_found(butler: Butler, visit: Visit) -> None:
    data_id = {"instrument": CAMERA, "exposure": visit.id, "detector": DETECTOR.id}
    bias, flat = butler.get("bias", data_id), butler.get("flat", data_id, physical_filter=visit.filter)
    assert bias.header["EPOCH"] == flat.header["EPOCH"] == epoch_of(visit)
    np.testing.assert_array_equal(bias.image, master_bias(DETECTOR, epoch_of(visit)).image)
    np.testing.assert_array_equal(flat.variance, master_flat(DETECTOR, visit.band, epoch_of(visit)).variance)


def test_image_survives_the_repository(repository: Path) -> None:
    image = noise_image(3, sigma=2.0, size=20, BAND="r", MJD=60310.5, VISIT=101)
    image.mask[4, 5] = MaskBit.BAD | MaskBit.SATURATED
    with closing(Butler.from_config(str(repository), run="test/image", writeable=True)) as butler:
        dataset_type = DatasetType("test_image", (), "DemoImage", universe=butler.dimensions)
        butler.registry.registerDatasetType(dataset_type)
        butler.put(image, "test_image")
        again = butler.get("test_image")
    assert again.header == image.header
    for plane in ("image", "variance", "mask"):
        assert getattr(again, plane).dtype == getattr(image, plane).dtype
        np.testing.assert_array_equal(getattr(again, plane), getattr(image, plane))


def test_image_planes_have_one_shape() -> None:
    image = noise_image(1)
    with pytest.raises(ValueError, match="differ in shape"):
        dataclasses.replace(image, mask=image.mask[1:])


def test_regions_contain_where_the_detectors_really_were(butler: Butler) -> None:
    records = butler.query_dimension_records("visit_detector_region", instrument=CAMERA)
    regions = {(record.visit, record.detector): record.region for record in records}
    assert len(regions) == len(VISITS) * len(DETECTORS)
    for visit, detector in itertools.product(VISITS, DETECTORS):
        corners = pixel_to_sky(detector.wcs(*visit.pointing()), detector.corners())
        assert all(regions[visit.id, detector.id].contains(unit_vector(*corner)) for corner in corners)


def test_repository_is_not_overwritten(repository: Path) -> None:
    with pytest.raises(FileExistsError):
        make_repository(repository)


def test_instrument_is_registered(butler: Butler) -> None:
    instrument = Instrument.fromName(CAMERA, butler.registry)
    assert type(instrument) is DemoCam
    assert instrument.getRawFormatter({}).name() == "pipetask_demo.formatters.RawFormatter"


def test_graph_has_all_quanta(graph: PredictedQuantumGraph) -> None:
    assert dict(graph.header.n_task_quanta) == QUANTA
    assert all(node.task_class.canMultiprocess for node in graph.pipeline_graph.tasks.values())
    assert {"sources_schema", "objects_schema"} <= set(graph.pipeline_graph.dataset_types)
    assert graph.header.metadata["data_query"] == "skymap = 'demo'"


def test_graph_has_the_quantum_without_work(graph: PredictedQuantumGraph) -> None:
    data_ids = [quantum.dataId for quantum in graph.build_execution_quanta(task_label="detect").values()]
    assert CLOSED_SHUTTER in {(data_id["visit"], data_id["detector"]) for data_id in data_ids}


def test_graph_has_calibrations_of_the_right_time(graph: PredictedQuantumGraph) -> None:
    epochs = {visit.id: epoch_of(visit) for visit in VISITS}
    for quantum in graph.build_execution_quanta(task_label="isr").values():
        expected = f"{CAMERA}/calib/epoch{epochs[quantum.dataId['exposure']]}"
        assert [quantum.inputs[name][0].run for name in ("bias", "flat")] == [expected, expected]


def test_graph_building_registers_nothing(graph: PredictedQuantumGraph, butler: Butler) -> None:
    assert not butler.collections.query("demo/out*")
    assert not butler.registry.queryDatasetTypes("warp")


# The tasks


def test_isr_leaves_sky_and_noise() -> None:
    nothing = StarField(np.array([[150.1, 2.2]]), {"r": np.array([40.0])})
    image = corrected(VISIT, DETECTOR, nothing)
    sky = fit_background(image.image, image.good, 30)
    assert np.median(sky) == pytest.approx(VISIT.sky, rel=0.01)
    assert (image.image - sky)[image.good].mean() == pytest.approx(0, abs=0.3)
    residual = ((image.image - sky) / np.sqrt(image.variance))[image.good]
    assert residual.std() == pytest.approx(1, abs=0.02)
    assert ((image.mask & MaskBit.BAD) != 0).all(axis=0).sum() == 1

    wrong = corrected(VISIT, DETECTOR, nothing, epoch=1 - epoch_of(VISIT))
    residual = ((wrong.image - sky) / np.sqrt(wrong.variance))[image.good]
    assert residual.std() > 1.2


def test_isr_propagates_the_noise_of_the_bias() -> None:
    raw = simulate_exposure(VISIT, DETECTOR, make_stars())
    bias, flat = master_bias(DETECTOR, 0), master_flat(DETECTOR, "r", 0)
    noisy = dataclasses.replace(bias, variance=bias.variance + 100)
    task = IsrTask(config=IsrTask.ConfigClass())
    images = [task.run(raw, one, flat).corrected for one in (bias, noisy)]
    extra = (images[1].variance - images[0].variance)[images[0].good]
    np.testing.assert_allclose(extra, 100 / flat.image[images[0].good] ** 2, rtol=0.02)


def test_isr_flags_saturation() -> None:
    raw = simulate_exposure(VISIT, DETECTOR, make_stars())
    raw.counts[10, 20] = 65_535
    image = IsrTask(config=IsrTask.ConfigClass()).run(
        raw, master_bias(DETECTOR, 0), master_flat(DETECTOR, "r", 0)
    )
    assert image.corrected.mask[10, 20] == MaskBit.SATURATED


def test_detection_finds_the_simulated_stars() -> None:
    stars = make_stars()
    sources = detected(VISIT, DETECTOR).sources
    true = sky_to_pixel(DETECTOR.wcs(*VISIT.pointing()), stars.sky)
    inside = ((true > 10) & (true < SIZE - 10)).all(axis=1)
    bright = inside & (stars.magnitudes["r"] < 22)
    found = np.column_stack([sources["x"], sources["y"]])
    here, there = match_nearest(true[bright], found, 1.0)
    assert len(here) >= bright.sum() - 1
    assert len(here) > 10
    assert np.median(np.abs(true[bright][here] - found[there])) < 0.1
    every, _ = match_nearest(found, true, 2.0)
    assert len(every) >= 0.95 * len(found)


def test_closed_shutter_is_no_work() -> None:
    visit = next(visit for visit in VISITS if visit.id == CLOSED_SHUTTER[0])
    with pytest.raises(NoWorkFound, match="shutter"):
        detected(visit, DETECTORS[CLOSED_SHUTTER[1]])


def test_measurement_is_right_between_pixels_and_honest_at_edges() -> None:
    positions = np.array([[30.0, 30.0], [60.4, 30.7], [30.2, 80.5], [117.0, 90.0]])
    y, x = np.mgrid[:120, :120]
    stars = [np.exp(-0.5 * np.hypot(x - column, y - row) ** 2 / 1.4**2) for column, row in positions]
    image = noise_image(1, sigma=0.01)
    image.image[:] += sum(1000 * star / (2 * np.pi * 1.4**2) for star in stars)
    image.mask[83, 31] = MaskBit.BAD
    measured = measure(image, np.rint(positions), 4.0)
    assert measured.complete.tolist() == [True, True, False, False]
    np.testing.assert_allclose(measured.position[:2], positions[:2], atol=0.01)
    inside = 1000 * (1 - np.exp(-0.5 * (4.0 / 1.4) ** 2))
    np.testing.assert_allclose(measured.flux[:2], inside, rtol=0.005)
    np.testing.assert_allclose(measured.fwhm[:2], 1.4 * 2.3548, rtol=0.02)
    np.testing.assert_allclose(measured.flux_error[:2], 0.01 * np.sqrt(np.pi * 4.0**2), rtol=0.06)


def test_empty_image_has_no_measurements() -> None:
    image = noise_image(1)
    assert len(measure(image, np.empty((0, 2)), 4.0).flux) == 0
    masked = dataclasses.replace(image, mask=np.full_like(image.mask, MaskBit.BAD))
    assert np.isnan(aperture_noise(masked, 4.0))
    assert np.isnan(fit_background(masked.image, masked.good, 30)).all()


def test_calibration_finds_the_true_pointing(visit_data: tuple[dict[int, Any], Any]) -> None:
    _, result = visit_data
    for detector in DETECTORS:
        true = detector.wcs(*VISIT.pointing())
        nominal = detector.wcs(VISIT.boresight, VISIT.rotation)
        corners = detector.corners()
        error = sky_to_pixel(true, pixel_to_sky(result.calibrations[detector.id].wcs, corners)) - corners
        before = sky_to_pixel(true, pixel_to_sky(nominal, corners)) - corners
        assert np.abs(error).max() < 0.1
        assert np.abs(before).max() > 0.5
    assert result.summary["position_scatter"] < 0.1


def test_calibrated_fluxes_are_true(visit_data: tuple[dict[int, Any], Any]) -> None:
    detections, result = visit_data
    sources = detections[DETECTOR.id].sources
    calibration = result.calibrations[DETECTOR.id]
    sky = pixel_to_sky(calibration.wcs, np.column_stack([sources["x"], sources["y"]]))
    bright = make_stars().magnitudes["r"] < 20.5
    plane = PatchGrid().wcs()
    here, there = match_nearest(sky_to_pixel(plane, make_stars().sky[bright]), sky_to_pixel(plane, sky), 1.0)
    ratio = sources["flux"][there] * calibration.scale / make_stars().fluxes("r", VISIT.middle)[bright][here]
    assert np.median(ratio) == pytest.approx(1, abs=0.02)
    again = Calibration.from_dict(calibration.to_dict())
    assert again.to_dict() == calibration.to_dict()


def test_calibration_needs_reference_stars(visit_data: tuple[dict[int, Any], Any]) -> None:
    detections, _ = visit_data
    task = CalibrateVisitTask(config=CalibrateVisitConfig())
    elsewhere = Table({"ra": [150.0], "dec": [2.3], "r": [20.0], "i": [20.0]})
    with pytest.raises(NoWorkFound):
        task.run({0: detections[0].sources}, {0: detections[0].header}, elsewhere)


def test_calibration_expects_nothing_for_a_detector_without_stars() -> None:
    connections = CalibrateVisitConnections(config=CalibrateVisitConfig())
    refs = [SimpleNamespace(dataId={"detector": index}) for index in range(4)]
    inputs = {name: (getattr(connections, name), refs[1:]) for name in ("sources", "headers")}
    outputs = {"calibrations": (connections.calibrations, refs)}
    _, adjusted = connections.adjustQuantum(inputs, outputs, "calibrateVisit", {})
    assert adjusted == {"calibrations": (connections.calibrations, refs[1:])}


def test_offset_and_map_are_recovered() -> None:
    rng = np.random.default_rng(5)
    source = rng.uniform(0, 300, (60, 2))
    truth = AffineMap(np.array([[1.0, 2e-4], [-2e-4, 1.0]]), np.array([3.1, -2.4]))
    target = np.vstack([truth(source)[10:], rng.uniform(0, 300, (40, 2))])
    offset = find_offset(source, target, radius=6, tolerance=0.5)
    np.testing.assert_allclose(offset, truth.offset, atol=0.2)
    here, there = match_nearest(source + offset, target, 1.0)
    assert len(here) >= 50
    np.testing.assert_allclose(fit_affine(source[here], target[there])(source), truth(source), atol=1e-2)
    with pytest.raises(ValueError, match="three points"):
        fit_affine(source[:2], target[:2])


def test_resampling_is_exact_for_a_parabola() -> None:
    y, x = np.mgrid[:40, :50].astype(np.float32)
    image = 2 * x + 0.03 * y**2 + 5
    mask = np.zeros(image.shape, np.uint8)
    mask[20, 25] = MaskBit.BAD
    source = DemoImage(image, np.ones_like(image), mask, {})
    moved, variance, flags = resample(source, (40, 50), AffineMap(np.eye(2), np.array([0.5, 0.25])))
    good = flags == 0
    np.testing.assert_allclose(moved[good], (2 * (x + 0.5) + 0.03 * (y + 0.25) ** 2 + 5)[good], rtol=1e-5)
    assert (flags == MaskBit.BAD).sum() == 16
    assert (flags[:, -2:] == MaskBit.NO_DATA).all()
    assert (variance[good] < 1).all()


def test_warp_keeps_fluxes_and_positions(visit_data: tuple[dict[int, Any], Any]) -> None:
    detections, result = visit_data
    grid, task = PatchGrid(), WarpTask(config=WarpTask.ConfigClass())
    pairs = [(one.preliminary, result.calibrations[key]) for key, one in detections.items()]
    patch = grid.patch(3)
    warp = task.run(pairs, grid, patch).warp
    assert warp.good.mean() > 0.8
    bright = make_stars().magnitudes["r"] < 20
    stars = sky_to_pixel(grid.patch_wcs(patch), make_stars().sky[bright])
    inside = ((stars > 20) & (stars < patch.width - 20)).all(axis=1)
    measured = measure(warp, stars[inside], 4.0)
    use = measured.complete
    assert use.sum() >= 3
    assert np.abs(measured.position - stars[inside])[use].max() < 0.15
    ratio = measured.flux / make_stars().fluxes("r", VISIT.middle)[bright][inside]
    assert np.median(ratio[use]) == pytest.approx(1, abs=0.03)


def test_warp_of_a_visit_elsewhere_is_no_work(visit_data: tuple[dict[int, Any], Any]) -> None:
    detections, result = visit_data
    grid, task = PatchGrid(), WarpTask(config=WarpTask.ConfigClass())
    # The detector in the one corner does not reach the patch in the other one.
    with pytest.raises(NoWorkFound, match="covers only"):
        task.run([(detections[0].preliminary, result.calibrations[0])], grid, grid.patch(3))


def test_coadd_noise_falls_with_the_root_of_the_number() -> None:
    task = CoaddTask(config=CoaddTask.ConfigClass())
    for number in (2, 4, 16):
        coadd = task.run(noise_image(seed, BAND="r") for seed in range(number)).coadd
        assert coadd.image.std() == pytest.approx(3 / np.sqrt(number), rel=0.05)
        np.testing.assert_allclose(coadd.variance, 9 / number, rtol=1e-5)
        assert coadd.header["NVISITS"] == number


def test_coadd_prefers_better_visits_and_skips_bad_pixels() -> None:
    good, bad = noise_image(1, sigma=1.0), noise_image(2, sigma=10.0)
    good.mask[5, 5] = bad.mask[5, 5] = bad.mask[7, 7] = MaskBit.NO_DATA
    coadd = CoaddTask(config=CoaddTask.ConfigClass()).run([good, bad]).coadd
    assert coadd.image.std() < 1.02
    assert coadd.mask[5, 5] == MaskBit.NO_DATA
    assert coadd.mask.astype(bool).sum() == 1
    assert coadd.image[7, 7] == pytest.approx(good.image[7, 7], rel=1e-5)


def test_coadd_needs_visits() -> None:
    with pytest.raises(NoWorkFound, match="Only 1 visits"):
        CoaddTask(config=CoaddTask.ConfigClass()).run([noise_image(1)])


def coadd_of_stars(positions: np.ndarray, flux: float, patch_id: int = 0, band: str = "r") -> DemoImage:
    grid = PatchGrid()
    patch = grid.patch(patch_id)
    header = {"PATCH": patch_id, "BAND": band, **wcs_to_header(grid.patch_wcs(patch))}
    image = noise_image(7, sigma=1.0, size=patch.width, **header)
    y, x = np.mgrid[: patch.width, : patch.width]
    for column, row in positions:
        star = np.exp(-0.5 * ((x - column) ** 2 + (y - row) ** 2) / 1.4**2)
        image.image[:] += (flux * star / star.sum()).astype(np.float32)
    return image


def measure_coadd(coadd: DemoImage) -> Table:
    schema = DetectTask(config=DetectTask.ConfigClass()).schema
    task = MeasureCoaddTask(config=MeasureCoaddTask.ConfigClass(), initInputs={"source_schema": schema})
    objects = task.run(coadd).objects
    assert objects.colnames == list(task.schema)
    return objects


def test_coadd_is_measured() -> None:
    positions = np.array([[60.3, 80.6], [200.0, 150.2], [120.7, 250.9]])
    objects = measure_coadd(coadd_of_stars(positions, 2000.0))
    here, there = match_nearest(positions, np.column_stack([objects["x"], objects["y"]]), 0.2)
    assert len(here) == len(objects) == 3
    np.testing.assert_allclose(objects["flux"][there], 2000, rtol=0.05)
    assert str(objects["flux"].unit) == "nJy"
    assert len(measure_coadd(coadd_of_stars(positions, 0.0))) == 0


def test_light_curve_of_a_star_on_a_border_is_in_one_patch(visit_data: tuple[dict[int, Any], Any]) -> None:
    detections, result = visit_data
    grid = PatchGrid()
    visits = [(one.sources, result.calibrations[key]) for key, one in detections.items()]
    task = LightCurvesTask(config=LightCurvesTask.ConfigClass())
    parts = []
    for patch in grid.patches():
        pixels = sky_to_pixel(grid.patch_wcs(patch), make_stars().sky[make_stars().magnitudes["r"] < 22])
        inside = ((pixels > 6) & (pixels < patch.width - 6)).all(axis=1)
        # The same stars in two bands are the same objects.
        bands = [measure_coadd(coadd_of_stars(pixels[inside], 3000.0, patch.id, band)) for band in "ir"]
        parts.append(task.run(bands, visits, grid, patch).light_curves)
        assert task.metadata["objects"] <= len(bands[0])
    light_curves = vstack(parts)
    assert len(light_curves) > 20
    sky = np.column_stack([light_curves["ra"], light_curves["dec"]])
    distance = np.hypot(*(sky[:, np.newaxis] - sky).transpose(2, 0, 1)) * 3600
    assert (distance + 1e3 * np.eye(len(sky))).min() > 2
    assert set(light_curves["visit"]) == {VISIT.id}
    with pytest.raises(NoWorkFound, match="No visit"):
        task.run([measure_coadd(coadd_of_stars(np.empty((0, 2)), 0.0))], [], grid, grid.patch(0))


def curve(period: float, amplitude: float, seed: int, error: float = 0.02) -> Table:
    """Return the light curve of one star at the times of the survey."""
    rng = np.random.default_rng(seed)
    mjd = np.array([visit.middle for visit in VISITS])
    band = np.array([visit.band for visit in VISITS])
    mean = np.where(band == "r", 5000.0, 8000.0)
    flux = mean * (1 + amplitude * np.sin(2 * np.pi * (mjd / period + rng.uniform())))
    columns = {
        "object": np.full(len(mjd), seed),
        "ra": np.full(len(mjd), 150.0 + seed / 100),
        "dec": np.full(len(mjd), 2.0),
        "visit": [visit.id for visit in VISITS],
        "band": band,
        "mjd": mjd,
        "flux": flux + rng.normal(0, error * mean),
        "flux_error": error * mean,
    }
    return make_table(schema_of(LIGHT_CURVE_COLUMNS), columns)


@pytest.mark.parametrize("period", [0.21, 0.37, 0.5724, 0.81, 1.63])
def test_period_is_found(period: float) -> None:
    table = curve(period, 0.25, seed=3)
    light_curve = LightCurve.normalized(
        *(np.asarray(table[name]) for name in ("mjd", "band", "flux", "flux_error")), systematic=0.01
    )
    sine = find_period(light_curve, 0.12, 4.0)
    assert sine.period == pytest.approx(period, rel=0.02)
    assert sine.amplitude == pytest.approx(0.25, rel=0.2)
    assert sine.chi2 < 3 * len(table)
    assert constant_chi2(light_curve) > 20


def test_period_is_finer_than_the_first_grid() -> None:
    table = curve(0.5724, 0.25, seed=3, error=1e-4)
    light_curve = LightCurve.normalized(
        *(np.asarray(table[name]) for name in ("mjd", "band", "flux", "flux_error")), systematic=0.0
    )
    assert find_period(light_curve, 0.12, 4.0).period == pytest.approx(0.5724, rel=5e-4)


def test_period_needs_time() -> None:
    one = np.ones(3)
    with pytest.raises(ValueError, match="different times"):
        find_period(LightCurve(one, np.array(["r"] * 3), one, one), 0.1, 1.0)


def test_only_the_variable_star_is_reported() -> None:
    task = FindVariableTask(config=FindVariableTask.ConfigClass())
    stars = [curve(1.0, 0.0, seed) for seed in range(1, 12)] + [curve(0.5724, 0.25, 12)]
    variability = task.run(vstack(stars)).variability
    assert len(variability) == 12
    assert variability["variable"].sum() == 1
    assert variability["object"][0] == 12
    assert variability["period"][0] == pytest.approx(0.5724, rel=0.02)
    assert np.median(variability["chi2"][1:]) == pytest.approx(1, abs=0.4)


def test_star_that_is_only_noisy_is_not_reported() -> None:
    noisy = curve(1.0, 0.0, seed=4, error=0.3)
    noisy["flux_error"] /= 10
    variability = FindVariableTask(config=FindVariableTask.ConfigClass()).run(noisy).variability
    assert variability["chi2"][0] > 8
    assert not variability["variable"][0]


def test_short_light_curves_are_left_out() -> None:
    task = FindVariableTask(config=FindVariableTask.ConfigClass())
    assert len(task.run(curve(0.5, 0.3, 1)[:5]).variability) == 0
    assert len(task.run(curve(0.5, 0.3, 1)[:0]).variability) == 0


# The report


def test_picture_is_a_png(tmp_path: Path) -> None:
    blue, red = np.zeros((30, 40)), np.zeros((30, 40))
    blue[2, 3] = red[2, 3] = 1000.0
    rgb = stretch(blue, red, np.ones(blue.shape, bool))
    draw_ring(rgb, 20, 15, 5)
    write_png(rgb, tmp_path / "sky.png")
    content = (tmp_path / "sky.png").read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", content[16:24]) == (40, 30)
    start = content.index(b"IDAT")
    (length,) = struct.unpack(">I", content[start - 4 : start])
    lines = np.frombuffer(zlib.decompress(content[start + 4 : start + 4 + length]), np.uint8)
    picture = lines.reshape(30, 1 + 3 * 40)[:, 1:].reshape(30, 40, 3)
    np.testing.assert_array_equal(picture[::-1], rgb)
    assert picture[30 - 1 - 2, 3].tolist() == [255, 255, 255]
    assert picture[15, 0].max() < 100


@pytest.mark.parametrize("period", [0.37, 0.5724])
def test_a_folded_light_curve_follows_its_sine(period: float) -> None:
    table = curve(period, 0.25, seed=3, error=1e-4)
    columns = (np.asarray(table[name]) for name in ("mjd", "band", "flux", "flux_error"))
    folded = fold(LightCurve.normalized(*columns, systematic=0.0), period)
    assert folded.amplitude == pytest.approx(0.25, abs=0.002)
    assert ((folded.phase >= 0) & (folded.phase < 1)).all()
    np.testing.assert_allclose(folded.flux, 1 + 0.25 * np.cos(2 * np.pi * folded.phase), atol=0.003)


def test_the_plot_shows_each_observation_in_two_cycles(tmp_path: Path) -> None:
    table = curve(0.5724, 0.25, seed=3)
    columns = (np.asarray(table[name]) for name in ("mjd", "band", "flux", "flux_error"))
    folded = fold(LightCurve.normalized(*columns, systematic=0.0), 0.5724)
    draw_light_curve(folded, "A < B", tmp_path / "plot.svg")
    root = ElementTree.parse(tmp_path / "plot.svg").getroot()
    svg = "{http://www.w3.org/2000/svg}"
    texts = [each.text for each in root.iter(f"{svg}text")]
    assert {"A < B", "phase (periods)", "light, divided by its mean", "r band", "i band", "0.0", "2.0"} <= {
        *texts
    }
    dots = [(float(dot.get("cx", "")), float(dot.get("cy", ""))) for dot in root.iter(f"{svg}circle")]
    assert len(dots) == 2 * len(table) + 2
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    assert all(0 < x < width and 0 < y < height for x, y in dots)


def example_result(**changes: Any) -> DemoResult:
    star = true_star()
    result = DemoResult(
        raws=48,
        exposures=12,
        without_stars=1,
        sources=1000,
        objects=400,
        light_curves=90,
        coadds=(CoaddSummary("r", 4, 6, 23.5, 22.7),),
        candidates=1,
        found=dataclasses.replace(star, period=star.period * 1.001),
        true=star,
        picture=Path("coadd.png"),
        plot=Path("light_curve.svg"),
        collection="demo/out",
    )
    return dataclasses.replace(result, **changes)


def test_result_is_compared_with_the_truth() -> None:
    result = example_result()
    assert result.matches
    assert "It is the simulated one." in result.lines()
    assert not example_result(found=None).matches
    assert not example_result(candidates=2).matches
    for change in ({"dec": 2.1}, {"period": 0.6}, {"amplitude": 0.1}):
        other = example_result(found=dataclasses.replace(true_star(), **change))
        assert not other.matches
        assert "It is NOT the simulated one." in other.lines()


def test_summary_of_an_unfinished_run(repository: Path, tmp_path: Path) -> None:
    result = summarize(repository, DEFAULTS, tmp_path / "empty.png", tmp_path / "none.svg")
    assert (result.raws, result.sources, result.objects) == (48, 0, 0)
    assert result.found is None
    assert not result.matches
    assert np.isnan(result.coadds[0].depth)
    assert (tmp_path / "empty.png").exists()
    assert not (tmp_path / "none.svg").exists()
    assert result.plot is None
    assert any("No variable star" in line for line in result.lines())


def test_magnitudes() -> None:
    assert float(njy_to_magnitude(3631e9)) == pytest.approx(0, abs=0.01)
