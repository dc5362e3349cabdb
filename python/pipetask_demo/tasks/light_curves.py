"""Matches the sources of all visits with the objects of a patch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import lsst.pex.config as pex_config
import numpy as np
from astropy.table import Table, vstack
from lsst.pipe.base import (
    NoWorkFound,
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    Struct,
    connectionTypes,
)

from ..astrometry import match_nearest
from ..calibration import Calibration
from ..catalog import LIGHT_CURVE_COLUMNS, columns_of, make_table, schema_of
from ..skymap import Patch, PatchGrid
from ..wcs import Points, pixel_to_sky, sky_to_pixel

__all__ = ["LightCurvesConfig", "LightCurvesTask"]


class LightCurvesConnections(PipelineTaskConnections, dimensions=("skymap", "tract", "patch")):  # type: ignore[call-arg]
    """Data which `LightCurvesTask` reads and writes."""

    objects = connectionTypes.Input(
        doc="Stars of the coadd of each band.",
        name="objects",
        storageClass="ArrowAstropy",
        dimensions=("skymap", "tract", "patch", "band"),
        multiple=True,
    )
    sources = connectionTypes.Input(
        doc="Stars of the detectors of all visits.",
        name="sources",
        storageClass="ArrowAstropy",
        dimensions=("instrument", "visit", "detector"),
        multiple=True,
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
    light_curves = connectionTypes.Output(
        doc="Fluxes of each object at the times of the visits.",
        name="light_curves",
        storageClass="ArrowAstropy",
        dimensions=("skymap", "tract", "patch"),
    )


class LightCurvesConfig(PipelineTaskConfig, pipelineConnections=LightCurvesConnections):  # type: ignore[call-arg]
    """Configuration of `LightCurvesTask`."""

    match_radius = pex_config.RangeField[float](
        doc="Largest distance of source and object in pixels.", default=1.5, min=0.1
    )


class LightCurvesTask(PipelineTask):
    """Makes a light curve for each object in the part of the sky that belongs only to this patch."""

    ConfigClass = LightCurvesConfig
    _DefaultName = "lightCurves"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:  # noqa: N802, N803
        """Pair sources with calibrations, `run`, and write the light curves."""
        sources, calibrations = _by_detector(inputRefs.sources), _by_detector(inputRefs.calibrations)
        visits = (
            (butlerQC.get(sources[key]), Calibration.from_dict(butlerQC.get(calibrations[key])))
            for key in sorted(sources.keys() & calibrations.keys())
        )
        refs = sorted(inputRefs.objects, key=lambda ref: str(ref.dataId["band"]))
        grid = PatchGrid.from_dict(butlerQC.get(inputRefs.grid))
        patch = grid.patch(butlerQC.quantum.dataId["patch"])
        butlerQC.put(self.run([butlerQC.get(ref) for ref in refs], visits, grid, patch), outputRefs)

    def run(
        self,
        objects: Sequence[Table],
        visits: Iterable[tuple[Table, Calibration]],
        grid: PatchGrid,
        patch: Patch,
    ) -> Struct:
        """Match sources with objects.

        Parameters
        ----------
        objects : `list` [`astropy.table.Table`]
            Stars of each band.
        visits : `~collections.abc.Iterable` [`tuple` [`astropy.table.Table`, `Calibration`]]
            Sources of each detector of each visit, with its calibration.
        grid : `PatchGrid`
            Projection in whose pixels they are matched.
        patch : `Patch`
            Only objects that belong to this patch alone are matched, so that
            stars on a border have one light curve and not two.

        Returns
        -------
        result : `lsst.pipe.base.Struct`
            ``light_curves``, an `astropy.table.Table` with one row for each
            object and visit.

        Raises
        ------
        lsst.pipe.base.NoWorkFound
            Raised if there are no visits.
        """
        stars = self._merge(objects, grid)
        stars = stars[patch.owns(_pixels(grid, stars))]
        pixels = _pixels(grid, stars)
        parts = [self._match(stars, pixels, sources, calibration, grid) for sources, calibration in visits]
        if not parts:
            raise NoWorkFound("No visit is calibrated")
        light_curves = vstack(parts)
        light_curves.sort(["object", "mjd"])
        self.metadata["objects"] = len(stars)
        self.log.info("%d objects of patch %d have %d observations.", len(stars), patch.id, len(light_curves))
        return Struct(light_curves=light_curves)

    def _merge(self, bands: Sequence[Table], grid: PatchGrid) -> Table:
        """Return the objects of the first band, and those of the others that are new."""
        merged = bands[0]
        for objects in bands[1:]:
            _, known = match_nearest(_pixels(grid, merged), _pixels(grid, objects), self.config.match_radius)
            new = np.setdiff1d(np.arange(len(objects)), known)
            merged = vstack([merged, objects[new]], metadata_conflicts="silent")
        return merged

    def _match(
        self, stars: Table, pixels: Points, sources: Table, calibration: Calibration, grid: PatchGrid
    ) -> Table:
        """Return one row for each source that is an object."""
        sources = sources[sources["complete"]]
        sky = pixel_to_sky(calibration.wcs, columns_of(sources, "x", "y"))
        here, there = match_nearest(pixels, sky_to_pixel(grid.wcs(), sky), self.config.match_radius)
        matched, number = sources[there], len(here)
        return make_table(
            schema_of(LIGHT_CURVE_COLUMNS),
            {
                "object": stars["id"][here],
                "ra": stars["ra"][here],
                "dec": stars["dec"][here],
                "visit": np.full(number, calibration.visit),
                "band": np.full(number, calibration.band),
                "mjd": np.full(number, calibration.mjd),
                "flux": matched["flux"] * calibration.scale,
                "flux_error": matched["flux_error"] * calibration.scale,
            },
        )


def _by_detector(refs: Iterable[Any]) -> dict[tuple[int, int], Any]:
    return {(ref.dataId["visit"], ref.dataId["detector"]): ref for ref in refs}


def _pixels(grid: PatchGrid, objects: Table) -> Points:
    """Return the positions of objects in pixels of the tract, shape (n, 2)."""
    return sky_to_pixel(grid.wcs(), columns_of(objects, "ra", "dec"))
