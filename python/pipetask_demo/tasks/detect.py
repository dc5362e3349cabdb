"""Detects and measures the stars of one detector of one visit."""

from __future__ import annotations

from typing import Any

import lsst.pex.config as pex_config
import numpy as np
from astropy.table import Table
from lsst.pipe.base import (
    NoWorkFound,
    PipelineTask,
    PipelineTaskConfig,
    PipelineTaskConnections,
    Struct,
    connectionTypes,
)

from ..background import fit_background, robust_sigma
from ..catalog import SOURCE_COLUMNS, make_table, schema_of
from ..detection import find_peaks, significance, values_at
from ..image import DemoImage
from ..photometry import Measurements, measure

__all__ = ["DetectConfig", "DetectTask"]


class DetectConnections(PipelineTaskConnections, dimensions=("instrument", "visit", "detector")):  # type: ignore[call-arg]
    """Data which `DetectTask` reads and writes."""

    corrected = connectionTypes.Input(
        doc="Electrons of the only exposure of the visit.",
        name="corrected_image",
        storageClass="DemoImage",
        dimensions=("instrument", "exposure", "detector"),
    )
    schema = connectionTypes.InitOutput(
        doc="Columns of the sources, with their units and descriptions.",
        name="sources_schema",
        storageClass="StructuredDataDict",
    )
    preliminary = connectionTypes.Output(
        doc="Electrons without sky.",
        name="preliminary_image",
        storageClass="DemoImage",
        dimensions=("instrument", "visit", "detector"),
    )
    header = connectionTypes.Output(
        doc="Keywords of the image, so that not everyone who needs them has to read the pixels.",
        name="preliminary_header",
        storageClass="StructuredDataDict",
        dimensions=("instrument", "visit", "detector"),
    )
    sources = connectionTypes.Output(
        doc="Stars with positions in pixels and fluxes in electrons.",
        name="sources",
        storageClass="ArrowAstropy",
        dimensions=("instrument", "visit", "detector"),
    )


class DetectConfig(PipelineTaskConfig, pipelineConnections=DetectConnections):  # type: ignore[call-arg]
    """Configuration of `DetectTask`."""

    threshold = pex_config.RangeField[float](
        doc="Smallest ratio of signal and noise of a star.", default=5.5, min=0.0
    )
    fwhm = pex_config.RangeField[float](doc="Width of the detection filter in pixels.", default=3.0, min=1.0)
    radius = pex_config.RangeField[float](doc="Radius of the aperture in pixels.", default=4.0, min=1.0)
    block = pex_config.RangeField[int](
        doc="Side of the blocks of the background fit in pixels.", default=30, min=2
    )
    min_sources = pex_config.RangeField[int](
        doc="With fewer stars there is nothing to do for the detector.", default=5, min=1
    )


class DetectTask(PipelineTask):
    """Subtracts the sky, finds stars and measures them.

    Parameters
    ----------
    **kwargs
        Passed to the base class.

    Attributes
    ----------
    schema : `dict`
        The init-output: columns of the sources.
    """

    ConfigClass = DetectConfig
    _DefaultName = "detect"

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.schema = schema_of(SOURCE_COLUMNS)

    def run(self, corrected: DemoImage) -> Struct:
        """Detect and measure.

        Parameters
        ----------
        corrected : `DemoImage`
            Electrons, sky included.

        Returns
        -------
        result : `lsst.pipe.base.Struct`
            ``preliminary``, the `DemoImage` without sky; its ``header``; and
            ``sources``, an `astropy.table.Table`.

        Raises
        ------
        lsst.pipe.base.NoWorkFound
            Raised if there are too few stars, for instance because the
            shutter was closed.
        """
        sky = fit_background(corrected.image, corrected.good, self.config.block)
        image = DemoImage(corrected.image - sky, corrected.variance, corrected.mask, corrected.header)
        ratio = significance(image.image, image.good, self.config.fwhm)
        peaks = find_peaks(ratio, self.config.threshold)
        if len(peaks) < self.config.min_sources:
            raise NoWorkFound(
                f"Only {len(peaks)} stars above {self.config.threshold} sigma; is the shutter closed?"
            )
        stars = measure(image, peaks, self.config.radius)
        sources = self._table(corrected, stars, values_at(ratio, peaks))
        self.metadata["sources"] = len(sources)
        self.metadata["seeing"] = float(np.median(stars.fwhm[stars.complete]))
        self.log.info(
            "%d stars, seeing %.2f pixels, noise %.1f electrons.",
            len(sources),
            self.metadata["seeing"],
            robust_sigma(image.image[image.good]),
        )
        return Struct(preliminary=image, header=image.header, sources=sources)

    def _table(self, image: DemoImage, stars: Measurements, ratio: Any) -> Table:
        header = image.header
        first = (int(header["VISIT"]) * 100 + int(header["DETECTOR"])) * 100_000
        return make_table(
            self.schema,
            {
                "id": first + np.arange(len(ratio)),
                "x": stars.position[:, 0],
                "y": stars.position[:, 1],
                "flux": stars.flux,
                "flux_error": stars.flux_error,
                "fwhm": stars.fwhm,
                "significance": ratio,
                "complete": stars.complete,
            },
        )
