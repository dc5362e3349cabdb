"""Calibrates positions and brightness of a visit with reference stars."""

from __future__ import annotations

from collections.abc import Mapping
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

from ..astrometry import AffineMap, find_offset, fit_affine, match_nearest
from ..background import robust_sigma
from ..calibration import Calibration
from ..catalog import columns_of
from ..stars import magnitude_to_njy
from ..wcs import Points, pixel_to_sky, sky_to_pixel, tangent_wcs, wcs_from_header

__all__ = ["CalibrateVisitConfig", "CalibrateVisitTask"]


class CalibrateVisitConnections(PipelineTaskConnections, dimensions=("instrument", "visit")):  # type: ignore[call-arg]
    """Data which `CalibrateVisitTask` reads and writes."""

    sources = connectionTypes.Input(
        doc="Stars of each detector.",
        name="sources",
        storageClass="ArrowAstropy",
        dimensions=("instrument", "visit", "detector"),
        multiple=True,
    )
    headers = connectionTypes.Input(
        doc="Keywords of the image of each detector.",
        name="preliminary_header",
        storageClass="StructuredDataDict",
        dimensions=("instrument", "visit", "detector"),
        multiple=True,
    )
    reference = connectionTypes.PrerequisiteInput(
        doc="Stars of another survey around the visit.",
        name="reference_stars",
        storageClass="ArrowAstropy",
        dimensions=("htm7",),
        multiple=True,
    )
    calibrations = connectionTypes.Output(
        doc="World coordinates and photometric scale of each detector.",
        name="calibration",
        storageClass="StructuredDataDict",
        dimensions=("instrument", "visit", "detector"),
        multiple=True,
    )
    summary = connectionTypes.Output(
        doc="How good the calibration is.",
        name="visit_summary",
        storageClass="StructuredDataDict",
        dimensions=("instrument", "visit"),
    )

    def adjustQuantum(  # noqa: N802
        self, inputs: dict[str, Any], outputs: dict[str, Any], label: str, data_id: Any
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Expect no calibration for a detector without stars."""
        connection, refs = outputs["calibrations"]
        present = {ref.dataId["detector"] for ref in inputs["sources"][1]}
        kept = [ref for ref in refs if ref.dataId["detector"] in present]
        adjusted = {"calibrations": (connection, kept)} if len(kept) < len(refs) else {}
        super().adjustQuantum(inputs, outputs | adjusted, label, data_id)
        return {}, adjusted


class CalibrateVisitConfig(PipelineTaskConfig, pipelineConnections=CalibrateVisitConnections):  # type: ignore[call-arg]
    """Configuration of `CalibrateVisitTask`."""

    search_radius = pex_config.RangeField[float](
        doc="Largest error of the pointing in arcseconds.", default=6.0, min=0.1
    )
    match_radius = pex_config.RangeField[float](
        doc="Largest distance of the same star in arcseconds, after the first fit.", default=0.5, min=0.01
    )
    min_significance = pex_config.RangeField[float](doc="Fainter stars are not used.", default=20.0, min=0.0)
    min_matches = pex_config.RangeField[int](
        doc="With fewer reference stars the visit cannot be calibrated.", default=10, min=3
    )


class CalibrateVisitTask(PipelineTask):
    """Fits one map of the tangent plane, and one photometric scale, to all detectors of a visit."""

    ConfigClass = CalibrateVisitConfig
    _DefaultName = "calibrateVisit"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:  # noqa: N802, N803
        """Read, `run`, and write one calibration for each detector."""
        sources = {ref.dataId["detector"]: butlerQC.get(ref) for ref in inputRefs.sources}
        headers = {ref.dataId["detector"]: butlerQC.get(ref) for ref in inputRefs.headers}
        both = sorted(sources.keys() & headers.keys())
        result = self.run(
            {detector: sources[detector] for detector in both},
            {detector: headers[detector] for detector in both},
            vstack(butlerQC.get(inputRefs.reference), metadata_conflicts="silent"),
        )
        for ref in outputRefs.calibrations:
            if calibration := result.calibrations.get(ref.dataId["detector"]):
                butlerQC.put(calibration.to_dict(), ref)
        butlerQC.put(result.summary, outputRefs.summary)

    def run(
        self, sources: Mapping[int, Table], headers: Mapping[int, Mapping[str, Any]], reference: Table
    ) -> Struct:
        """Calibrate a visit.

        Parameters
        ----------
        sources : `dict` [`int`, `astropy.table.Table`]
            Stars of each detector.
        headers : `dict` [`int`, `dict`]
            Keywords of the same detectors, with the nominal projection.
        reference : `astropy.table.Table`
            Stars with ``ra``, ``dec`` (degrees) and one column of AB
            magnitudes for each band.

        Returns
        -------
        result : `lsst.pipe.base.Struct`
            ``calibrations``, a `Calibration` for each detector, and
            ``summary``, a `dict`.

        Raises
        ------
        lsst.pipe.base.NoWorkFound
            Raised if too few reference stars are among the sources.
        """
        first = next(iter(headers.values()))
        plane = tangent_wcs((first["CRVAL1"], first["CRVAL2"]), (0.0, 0.0), np.eye(2) / 3600)
        used = {detector: self._select(table) for detector, table in sources.items()}
        nominal = np.vstack([_on_plane(plane, headers[detector], table) for detector, table in used.items()])
        stars = sky_to_pixel(plane, columns_of(reference, "ra", "dec"))
        correction, here, there = self._fit_pointing(nominal, stars)
        flux = np.concatenate([table["flux"] for table in used.values()])[here]
        ratio = magnitude_to_njy(reference[first["BAND"]][there]) / flux
        calibrations = {
            detector: _calibrate(header, correction, float(np.median(ratio)))
            for detector, header in headers.items()
        }
        summary = self._summarize(correction(nominal)[here] - stars[there], ratio)
        return Struct(calibrations=calibrations, summary=summary)

    def _select(self, sources: Table) -> Table:
        return sources[sources["complete"] & (sources["significance"] >= self.config.min_significance)]

    def _fit_pointing(self, nominal: Points, stars: Points) -> tuple[AffineMap, Any, Any]:
        """Return the map from nominal to true positions on the plane, and the indices of matched stars."""
        try:
            shift = find_offset(nominal, stars, self.config.search_radius, self.config.match_radius)
        except ValueError as error:
            raise NoWorkFound(f"No reference stars: {error}") from None
        correction = AffineMap(np.eye(2), shift)
        # The first match allows for a rotation, which is removed before the second.
        for radius in (3 * self.config.match_radius, self.config.match_radius):
            here, there = match_nearest(correction(nominal), stars, radius)
            if len(here) < self.config.min_matches:
                raise NoWorkFound(f"Only {len(here)} reference stars were found")
            correction = fit_affine(nominal[here], stars[there])
        return correction, here, there

    def _summarize(self, residuals: Points, ratio: Any) -> dict[str, Any]:
        summary = {
            "reference_stars": len(ratio),
            "scale": float(np.median(ratio)),
            "scale_scatter": robust_sigma(ratio) / float(np.median(ratio)),
            "position_scatter": robust_sigma(residuals),
        }
        self.log.info(
            "%(reference_stars)d reference stars, %(scale).3f nJy for an electron; "
            "scatter %(scale_scatter).4f in flux, %(position_scatter).3f arcseconds in position.",
            summary,
        )
        return summary


def _on_plane(plane: Any, header: Mapping[str, Any], sources: Table) -> Points:
    """Return where the nominal projection puts sources, in arcseconds from the boresight."""
    return sky_to_pixel(plane, pixel_to_sky(wcs_from_header(header), columns_of(sources, "x", "y")))


def _calibrate(header: Mapping[str, Any], correction: AffineMap, scale: float) -> Calibration:
    """Put the correction of the tangent plane into the projection of one detector.

    The plane's position of a pixel p is ``matrix @ (p - origin)``, which the
    correction maps to ``A @ matrix @ (p - origin) + b``.  That is again of the
    first form, with another matrix and origin.
    """
    nominal = wcs_from_header(header)
    matrix = correction.matrix @ nominal.wcs.cd
    origin = nominal.wcs.crpix - 1 - np.linalg.solve(matrix, correction.offset / 3600)
    wcs = tangent_wcs((header["CRVAL1"], header["CRVAL2"]), (origin[0], origin[1]), matrix)
    return Calibration(header["VISIT"], header["DETECTOR"], header["BAND"], header["MJD"], scale, wcs)
