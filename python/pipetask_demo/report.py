"""Compares what the pipeline found with what was simulated."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from lsst.daf.butler import Butler, DatasetRef

from . import CAMERA
from .camera import BANDS
from .image import DemoImage, Flags
from .light_curve_plot import draw_light_curve
from .period import LightCurve, fold
from .photometry import aperture_noise
from .picture import Rgb, draw_ring, stretch, write_png
from .result import CoaddSummary, DemoResult, StarSummary
from .skymap import PatchGrid
from .stars import VARIABLE, make_stars, njy_to_magnitude
from .wcs import sky_to_pixel

__all__ = ["DemoResult", "summarize", "true_star"]

APERTURE = 4.0
"""Radius in pixels of the aperture for which depths are given."""

SYSTEMATIC = 0.01
"""What is not photon noise, as a fraction of the flux; the default of the task that finds the star."""


def summarize(root: Path, collection: str, picture: Path, plot: Path) -> DemoResult:
    """Compare the outputs of the pipeline with what was simulated, and make two pictures.

    Parameters
    ----------
    root : `pathlib.Path`
        Repository made by `~pipetask_demo.repository.make_repository`.
    collection : `str`
        Collection with the outputs, chained to the inputs or not.
    picture : `pathlib.Path`
        PNG file to write, of the sky.
    plot : `pathlib.Path`
        SVG file to write, of the light curve of the variable star, if one was found.

    Returns
    -------
    result : `DemoResult`
        What was found.  Outputs which are missing, because not all of the
        graph was executed, count as nothing.

    Raises
    ------
    lsst.daf.butler.MissingCollectionError
        Raised if there is no such collection.
    """
    with closing(Butler.from_config(str(root), collections=collection)) as butler:
        outputs = _Outputs(butler, collection)
        found, candidates, light_curves = _variable_star(outputs)
        write_png(_draw(outputs, PatchGrid(), found), picture)
        plotted = found is not None and _plot(outputs, found, plot)
        sources = outputs.find("sources")
        return DemoResult(
            raws=len(_Outputs(butler, f"{CAMERA}/raw/all").find("raw")),
            exposures=len({ref.dataId["visit"] for ref in sources}),
            without_stars=len(outputs.find("corrected_image")) - len(sources),
            sources=outputs.rows("sources"),
            objects=outputs.rows("objects"),
            light_curves=light_curves,
            coadds=tuple(_coadd_summary(outputs, band) for band in BANDS),
            candidates=candidates,
            found=found,
            true=true_star(),
            picture=picture,
            plot=plot if plotted else None,
            collection=collection,
        )


def true_star() -> StarSummary:
    """Return the star that was simulated to vary."""
    ra, dec = make_stars().sky[0]
    return StarSummary(float(ra), float(dec), VARIABLE.period, VARIABLE.amplitude)


class _Outputs:
    """The datasets of a collection, whether they exist or not.

    Parameters
    ----------
    butler : `lsst.daf.butler.Butler`
        The repository.
    collection : `str`
        Collection to search.
    """

    def __init__(self, butler: Butler, collection: str):
        self._butler = butler
        self._collection = collection

    def find(self, dataset_type: str, where: str = "") -> list[DatasetRef]:
        """Return the datasets of one type, in the order of their data IDs."""
        if not self._butler.registry.queryDatasetTypes(dataset_type):
            return []
        refs = self._butler.query_datasets(
            dataset_type, collections=self._collection, where=where, explain=False, limit=None
        )
        stored = self._butler.stored_many(refs)
        return sorted((ref for ref in refs if stored[ref]), key=lambda ref: ref.dataId)

    def load(self, dataset_type: str, where: str = "") -> Iterable[Any]:
        """Read the datasets of one type one after the other."""
        return (self._butler.get(ref) for ref in self.find(dataset_type, where))

    def rows(self, dataset_type: str) -> int:
        """Return the number of rows of all tables of one type."""
        return sum(self._butler.get(ref.makeComponentRef("rowcount")) for ref in self.find(dataset_type))


def _variable_star(outputs: _Outputs) -> tuple[StarSummary | None, int, int]:
    """Return the most variable star, the number of candidates, and of all light curves."""
    for table in outputs.load("variability"):
        variable = table[table["variable"]]
        star = None
        if len(variable):
            star = StarSummary(*(float(variable[name][0]) for name in ("ra", "dec", "period", "amplitude")))
        return star, len(variable), len(table)
    return None, 0, 0


def _plot(outputs: _Outputs, star: StarSummary, path: Path) -> bool:
    """Draw the light curve of a star, folded with its period; return whether there is one."""
    for table in outputs.load("light_curves"):
        rows = table[(table["ra"] == star.ra) & (table["dec"] == star.dec)]
        if len(rows):
            mjd, band, flux, error = (
                np.asarray(rows[name]) for name in ("mjd", "band", "flux", "flux_error")
            )
            curve = LightCurve.normalized(mjd, band, flux, error, SYSTEMATIC)
            title = f"The variable star, folded with its period of {star.period:.4f} days"
            draw_light_curve(fold(curve, star.period), title, path)
            return True
    return False


def _depth(images: Iterable[DemoImage]) -> float:
    """Return the median magnitude at five sigma, NaN if there are no images."""
    depths = [float(njy_to_magnitude(5 * aperture_noise(image, APERTURE))) for image in images]
    return float(np.median(depths)) if depths else float("nan")


def _coadd_summary(outputs: _Outputs, band: str) -> CoaddSummary:
    where = f"band = '{band}'"
    coadds = list(outputs.load("coadd", where))
    return CoaddSummary(
        band=band,
        patches=len(coadds),
        visits=max((coadd.header["NVISITS"] for coadd in coadds), default=0),
        depth=_depth(coadds),
        single_depth=_depth(outputs.load("warp", where)),
    )


def _mosaic(outputs: _Outputs, grid: PatchGrid, band: str) -> tuple[npt.NDArray[np.float64], Flags]:
    """Put the inner parts of the coadds together: image in nJy, and where it has data."""
    image, seen = np.zeros(grid.shape), np.zeros(grid.shape, bool)
    for coadd in outputs.load("coadd", f"band = '{band}'"):
        patch = grid.patch(coadd.header["PATCH"])
        inner = slice(patch.border, patch.border + patch.size)
        where = slice(patch.y, patch.y + patch.size), slice(patch.x, patch.x + patch.size)
        image[where], seen[where] = coadd.image[inner, inner], coadd.good[inner, inner]
    return image, seen


def _draw(outputs: _Outputs, grid: PatchGrid, star: StarSummary | None) -> Rgb:
    (blue, blue_seen), (red, red_seen) = (_mosaic(outputs, grid, band) for band in BANDS)
    rgb = stretch(blue, red, blue_seen & red_seen)
    if star is not None:
        x, y = sky_to_pixel(grid.wcs(), np.array([[star.ra, star.dec]]))[0]
        draw_ring(rgb, x, y)
    return rgb
