"""Instrument signature removal: from counts to electrons."""

from __future__ import annotations

import lsst.pex.config as pex_config
import numpy as np
import numpy.typing as npt
from lsst.pipe.base import PipelineTask, PipelineTaskConfig, PipelineTaskConnections, Struct, connectionTypes

from ..camera import OVERSCAN, SATURATION
from ..image import Bits, DemoImage, MaskBit, Pixels, RawImage

__all__ = ["IsrConfig", "IsrTask"]


class IsrConnections(PipelineTaskConnections, dimensions=("instrument", "exposure", "detector")):  # type: ignore[call-arg]
    """Data which `IsrTask` reads and writes."""

    raw = connectionTypes.Input(
        doc="Counts of one detector.",
        name="raw",
        storageClass="DemoRaw",
        dimensions=("instrument", "exposure", "detector"),
    )
    bias = connectionTypes.PrerequisiteInput(
        doc="Signal without light, valid at the time of the exposure.",
        name="bias",
        storageClass="DemoImage",
        dimensions=("instrument", "detector"),
        isCalibration=True,
    )
    flat = connectionTypes.PrerequisiteInput(
        doc="Relative response to light, valid at the time of the exposure.",
        name="flat",
        storageClass="DemoImage",
        dimensions=("instrument", "physical_filter", "detector"),
        isCalibration=True,
    )
    corrected = connectionTypes.Output(
        doc="Electrons, sky included.",
        name="corrected_image",
        storageClass="DemoImage",
        dimensions=("instrument", "exposure", "detector"),
    )


class IsrConfig(PipelineTaskConfig, pipelineConnections=IsrConnections):  # type: ignore[call-arg]
    """Configuration of `IsrTask`."""

    min_response = pex_config.RangeField[float](
        doc="Pixels with a smaller response in the flat are flagged as bad.", default=0.3, min=0.0, max=1.0
    )


class IsrTask(PipelineTask):
    """Removes pedestal and bias, divides by the flat, and makes variance and mask."""

    ConfigClass = IsrConfig
    _DefaultName = "isr"

    def run(self, raw: RawImage, bias: DemoImage, flat: DemoImage) -> Struct:
        """Correct one detector.

        Parameters
        ----------
        raw : `RawImage`
            Counts with overscan, in ADU.
        bias : `DemoImage`
            Electrons above the pedestal.
        flat : `DemoImage`
            Response, one on the optical axis.

        Returns
        -------
        result : `lsst.pipe.base.Struct`
            ``corrected``, a `DemoImage` in electrons without the overscan.
        """
        light, pedestal = self._remove_pedestal(raw)
        electrons = light * raw.header["GAIN"] - bias.image
        mask = self._mask(raw, bias, flat)
        response = np.where(mask & MaskBit.BAD, 1, flat.image)
        # The signal's Poisson noise is in electrons before the division by the flat.
        variance = np.maximum(electrons, 0) + raw.header["RDNOISE"] ** 2 + bias.variance
        bad = (mask & MaskBit.BAD) != 0
        self.log.info(
            "Pedestal %.1f ADU, sky %.0f electrons, %d bad pixels.",
            pedestal,
            np.median(electrons / response),
            bad.sum(),
        )
        header = raw.header | {"BUNIT": "electron", "PEDESTAL": pedestal}
        image = DemoImage(_float32(electrons / response), _float32(variance / response**2), mask, header)
        return Struct(corrected=image)

    def _remove_pedestal(self, raw: RawImage) -> tuple[Pixels, float]:
        pedestal = float(np.median(raw.counts[:, -OVERSCAN:]))
        return raw.counts[:, :-OVERSCAN].astype(np.float32) - np.float32(pedestal), pedestal

    def _mask(self, raw: RawImage, bias: DemoImage, flat: DemoImage) -> Bits:
        dead = flat.image < self.config.min_response
        saturated = raw.counts[:, :-OVERSCAN] >= SATURATION
        mask = bias.mask | flat.mask | dead * np.uint8(MaskBit.BAD) | saturated * np.uint8(MaskBit.SATURATED)
        return mask.astype(np.uint8)


def _float32(values: npt.ArrayLike) -> Pixels:
    return np.asarray(values, dtype=np.float32)
