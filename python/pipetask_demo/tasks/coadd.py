"""Adds the visits of a patch in one band into a deeper image."""

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

from ..image import DemoImage, Header, MaskBit

__all__ = ["CoaddConfig", "CoaddTask"]


class CoaddConnections(PipelineTaskConnections, dimensions=("skymap", "tract", "patch", "band")):  # type: ignore[call-arg]
    """Data which `CoaddTask` reads and writes."""

    warps = connectionTypes.Input(
        doc="Visits in nJy on the pixels of the patch.",
        name="warp",
        storageClass="DemoImage",
        dimensions=("instrument", "visit", "skymap", "tract", "patch"),
        multiple=True,
        # They are added one by one, so that memory does not grow with their number.
        deferLoad=True,
    )
    coadd = connectionTypes.Output(
        doc="Weighted mean of the visits, in nJy.",
        name="coadd",
        storageClass="DemoImage",
        dimensions=("skymap", "tract", "patch", "band"),
    )


class CoaddConfig(PipelineTaskConfig, pipelineConnections=CoaddConnections):  # type: ignore[call-arg]
    """Configuration of `CoaddTask`."""

    min_visits = pex_config.RangeField[int](doc="With fewer visits there is no coadd.", default=2, min=1)


class CoaddTask(PipelineTask):
    """Computes the weighted mean of warps.

    The weight of a warp is one number, the inverse of its typical variance.
    Weights that follow the variance of each pixel would give the cores of
    bright stars less weight in the sharp visits than in the blurred ones.
    """

    ConfigClass = CoaddConfig
    _DefaultName = "coadd"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:  # noqa: N802, N803
        """Read the warps in the order of their visits, `run`, and write the coadd."""
        refs = sorted(inputRefs.warps, key=lambda ref: ref.dataId["visit"])
        result = self.run(butlerQC.get(ref).get() for ref in refs)
        butlerQC.put(result, outputRefs)

    def run(self, warps: Iterable[DemoImage]) -> Struct:
        """Add warps.

        Parameters
        ----------
        warps : `~collections.abc.Iterable` [`DemoImage`]
            Images of the same shape, in nJy.

        Returns
        -------
        result : `lsst.pipe.base.Struct`
            ``coadd``, a `DemoImage` in nJy.  Pixels without any data are
            flagged, and zero.

        Raises
        ------
        lsst.pipe.base.NoWorkFound
            Raised if there are too few warps.
        """
        total = _Sum()
        for warp in warps:
            total.add(warp)
        if total.count < self.config.min_visits:
            raise NoWorkFound(f"Only {total.count} visits, {self.config.min_visits} are needed")
        coadd = total.mean()
        self.metadata["visits"] = total.count
        self.log.info("%d visits, %.1f%% of the pixels have data.", total.count, 100 * coadd.good.mean())
        return Struct(coadd=coadd)


class _Sum:
    """Running weighted sums of pixels."""

    def __init__(self) -> None:
        self.count = 0
        self.header: Header = {}
        self.image: Any = 0
        self.variance: Any = 0
        self.weight: Any = 0

    def add(self, warp: DemoImage) -> None:
        """Add the good pixels of a warp, if it has any."""
        good = warp.good
        if not good.any():
            return
        weight = good / np.median(warp.variance[good]).astype(np.float64)
        self.image = self.image + weight * warp.image
        self.variance = self.variance + weight**2 * warp.variance
        self.weight = self.weight + weight
        self.count += 1
        self.header = self.header or warp.header

    def mean(self) -> DemoImage:
        """Return the weighted mean of what was added."""
        seen = self.weight > 0
        weight = np.where(seen, self.weight, 1)
        # Keywords of a single visit do not apply to the sum.
        header = {key: value for key, value in self.header.items() if key not in ("VISIT", "MJD")}
        return DemoImage(
            image=(self.image / weight).astype(np.float32),
            variance=(self.variance / weight**2).astype(np.float32),
            mask=np.where(seen, 0, MaskBit.NO_DATA).astype(np.uint8),
            header=header | {"NVISITS": self.count},
        )
