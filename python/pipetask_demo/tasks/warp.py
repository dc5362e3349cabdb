"""Resamples all detectors of a visit to the pixels of a patch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import lsst.pex.config as pex_config
import numpy as np
from lsst.pipe.base import (
    NoWorkFound,
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    Struct,
    connectionTypes,
)

from ..astrometry import AffineMap, fit_affine
from ..calibration import Calibration
from ..image import DemoImage, MaskBit
from ..resampling import resample
from ..skymap import Patch, PatchGrid
from ..wcs import pixel_to_sky, sky_to_pixel, wcs_to_header

__all__ = ["WarpConfig", "WarpTask"]


class WarpConnections(  # type: ignore[call-arg]
    PipelineTaskConnections, dimensions=("instrument", "visit", "skymap", "tract", "patch")
):
    """Data which `WarpTask` reads and writes."""

    images = connectionTypes.Input(
        doc="Electrons of each detector.",
        name="preliminary_image",
        storageClass="DemoImage",
        dimensions=("instrument", "visit", "detector"),
        multiple=True,
        # One detector at a time is enough in memory.
        deferLoad=True,
    )
    calibrations = connectionTypes.Input(
        doc="World coordinates and photometric scale of each detector.",
        name="calibration",
        storageClass="StructuredDataDict",
        dimensions=("instrument", "visit", "detector"),
        multiple=True,
    )
    grid = connectionTypes.Input(
        doc="Projection of the tract, and its patches.",
        name="patch_grid",
        storageClass="StructuredDataDict",
        dimensions=("skymap",),
    )
    warp = connectionTypes.Output(
        doc="The visit in nJy on the pixels of the patch.",
        name="warp",
        storageClass="DemoImage",
        dimensions=("instrument", "visit", "skymap", "tract", "patch"),
    )


class WarpConfig(PipelineTaskConfig, pipelineConnections=WarpConnections):  # type: ignore[call-arg]
    """Configuration of `WarpTask`."""

    min_coverage = pex_config.RangeField[float](
        doc="If a smaller fraction of the patch has data, the warp is not worth to be kept.",
        default=0.1,
        min=0.0,
        max=1.0,
    )


class WarpTask(PipelineTask):
    """Interpolates the calibrated detectors of a visit on a patch."""

    ConfigClass = WarpConfig
    _DefaultName = "warp"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:  # noqa: N802, N803
        """Pair images with calibrations by detector, `run`, and write the warp."""
        images = {ref.dataId["detector"]: butlerQC.get(ref) for ref in inputRefs.images}
        calibrations = {ref.dataId["detector"]: butlerQC.get(ref) for ref in inputRefs.calibrations}
        grid = PatchGrid.from_dict(butlerQC.get(inputRefs.grid))
        pairs = (
            (images[detector].get(), Calibration.from_dict(calibrations[detector]))
            for detector in sorted(images.keys() & calibrations.keys())
        )
        patch = grid.patch(butlerQC.quantum.dataId["patch"])
        butlerQC.put(self.run(pairs, grid, patch), outputRefs)

    def run(
        self, detectors: Iterable[tuple[DemoImage, Calibration]], grid: PatchGrid, patch: Patch
    ) -> Struct:
        """Warp a visit.

        Parameters
        ----------
        detectors : `~collections.abc.Iterable` [`tuple` [`DemoImage`, `Calibration`]]
            Electrons of each detector, with its calibration.
        grid : `PatchGrid`
            Projection of the tract.
        patch : `Patch`
            Where to warp to.

        Returns
        -------
        result : `lsst.pipe.base.Struct`
            ``warp``, a `DemoImage` in nJy, shape (patch.width, patch.width).

        Raises
        ------
        lsst.pipe.base.NoWorkFound
            Raised if the visit covers too little of the patch.
        """
        warp = self._empty(grid, patch)
        for image, calibration in detectors:
            _paste(warp, image, calibration, grid, patch)
            warp.header.update(VISIT=calibration.visit, BAND=calibration.band, MJD=calibration.mjd)
        coverage = float(warp.good.mean())
        if not coverage or coverage < self.config.min_coverage:
            raise NoWorkFound(f"The visit covers only {coverage:.1%} of patch {patch.id}")
        self.metadata["coverage"] = coverage
        self.log.info("%.1f%% of patch %d have data.", 100 * coverage, patch.id)
        return Struct(warp=warp)

    def _empty(self, grid: PatchGrid, patch: Patch) -> DemoImage:
        shape = (patch.width, patch.width)
        return DemoImage(
            image=np.zeros(shape, np.float32),
            variance=np.zeros(shape, np.float32),
            mask=np.full(shape, MaskBit.NO_DATA, np.uint8),
            header={"PATCH": patch.id, "BUNIT": "nJy", **wcs_to_header(grid.patch_wcs(patch))},
        )


def _pixel_map(grid: PatchGrid, patch: Patch, calibration: Calibration) -> AffineMap:
    """Return the map from pixels of a patch to those of a detector.

    Two gnomonic projections of centres some arcseconds apart differ from an
    affine map by less than a thousandth of a pixel on so small a field.
    """
    side = np.linspace(0, patch.width - 1, 5)
    pixels = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    sky = pixel_to_sky(grid.patch_wcs(patch), pixels)
    return fit_affine(pixels, sky_to_pixel(calibration.wcs, sky))


def _paste(
    warp: DemoImage, source: DemoImage, calibration: Calibration, grid: PatchGrid, patch: Patch
) -> None:
    """Put the good pixels of a detector into a warp, in place."""
    to_source = _pixel_map(grid, patch, calibration)
    image, variance, mask = resample(source, warp.image.shape, to_source)
    # Flux is conserved: a pixel of another size collects more or less of it.
    scale = np.float32(calibration.scale * abs(np.linalg.det(to_source.matrix)))
    good = mask == 0
    warp.image[good] = scale * image[good]
    warp.variance[good] = scale**2 * variance[good]
    warp.mask[good] = 0
