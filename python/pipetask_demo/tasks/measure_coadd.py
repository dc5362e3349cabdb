"""Detects and measures the stars of a coadd."""

from __future__ import annotations

from typing import Any

import lsst.pex.config as pex_config
import numpy as np
from astropy.table import Table
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, PipelineTaskConnections, Struct, connectionTypes

from ..camera import BANDS
from ..catalog import OBJECT_COLUMNS, make_table, schema_of
from ..detection import find_peaks, significance, values_at
from ..image import DemoImage
from ..photometry import aperture_noise, measure
from ..stars import njy_to_magnitude
from ..wcs import pixel_to_sky, wcs_from_header

__all__ = ["MeasureCoaddConfig", "MeasureCoaddTask"]


class MeasureCoaddConnections(PipelineTaskConnections, dimensions=("skymap", "tract", "patch", "band")):  # type: ignore[call-arg]
    """Data which `MeasureCoaddTask` reads and writes."""

    source_schema = connectionTypes.InitInput(
        doc="Columns of the sources, which objects have too.",
        name="sources_schema",
        storageClass="StructuredDataDict",
    )
    schema = connectionTypes.InitOutput(
        doc="Columns of the objects, with their units and descriptions.",
        name="objects_schema",
        storageClass="StructuredDataDict",
    )
    coadd = connectionTypes.Input(
        doc="The image to measure, in nJy.",
        name="coadd",
        storageClass="DemoImage",
        dimensions=("skymap", "tract", "patch", "band"),
    )
    objects = connectionTypes.Output(
        doc="Stars with positions on the sky and fluxes in nJy.",
        name="objects",
        storageClass="ArrowAstropy",
        dimensions=("skymap", "tract", "patch", "band"),
    )


class MeasureCoaddConfig(PipelineTaskConfig, pipelineConnections=MeasureCoaddConnections):  # type: ignore[call-arg]
    """Configuration of `MeasureCoaddTask`."""

    threshold = pex_config.RangeField[float](
        doc="Smallest ratio of signal and noise of a star.", default=5.5, min=0.0
    )
    fwhm = pex_config.RangeField[float](doc="Width of the detection filter in pixels.", default=3.0, min=1.0)
    radius = pex_config.RangeField[float](
        doc="Radius of the aperture in pixels; it must be that of the visits, whose scale is for theirs.",
        default=4.0,
        min=1.0,
    )


class MeasureCoaddTask(PipelineTask):
    """Finds stars on a coadd and measures them.

    Parameters
    ----------
    initInputs : `dict`
        The init-input ``source_schema``.
    **kwargs
        Passed to the base class.

    Attributes
    ----------
    schema : `dict`
        The init-output: columns of the objects.
    """

    ConfigClass = MeasureCoaddConfig
    _DefaultName = "measureCoadd"

    def __init__(self, *, initInputs: dict[str, Any], **kwargs: Any):  # noqa: N803
        super().__init__(initInputs=initInputs, **kwargs)
        self.schema = {**initInputs["source_schema"], **schema_of(OBJECT_COLUMNS)}

    def run(self, coadd: DemoImage) -> Struct:
        """Detect and measure.

        Parameters
        ----------
        coadd : `DemoImage`
            Image in nJy.

        Returns
        -------
        result : `lsst.pipe.base.Struct`
            ``objects``, an `astropy.table.Table`.
        """
        ratio = significance(coadd.image, coadd.good, self.config.fwhm)
        peaks = find_peaks(ratio, self.config.threshold)
        noise = aperture_noise(coadd, self.config.radius)
        self.metadata["objects"] = len(peaks)
        self.metadata["depth"] = float(njy_to_magnitude(5 * noise))
        self.log.info("%d stars, five sigma at magnitude %.2f.", len(peaks), self.metadata["depth"])
        return Struct(objects=self._table(coadd, peaks, values_at(ratio, peaks)))

    def _table(self, coadd: DemoImage, peaks: Any, ratio: Any) -> Table:
        stars = measure(coadd, peaks, self.config.radius)
        header = coadd.header
        sky = pixel_to_sky(wcs_from_header(header), stars.position)
        first = (int(header["PATCH"]) * len(BANDS) + BANDS.index(str(header["BAND"]))) * 100_000
        return make_table(
            self.schema,
            {
                "id": first + np.arange(len(peaks)),
                "x": stars.position[:, 0],
                "y": stars.position[:, 1],
                "flux": stars.flux,
                "flux_error": stars.flux_error,
                "fwhm": stars.fwhm,
                "significance": ratio,
                "complete": stars.complete,
                "ra": sky[:, 0],
                "dec": sky[:, 1],
                "band": [header["BAND"]] * len(peaks),
            },
        )
