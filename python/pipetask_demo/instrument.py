"""The simulated camera as an instrument of LSST's middleware."""

from __future__ import annotations

from typing import Any

from lsst.pipe.base import Instrument

from . import CAMERA
from .camera import DETECTORS, FILTERS

__all__ = ["DemoCam"]


class DemoCam(Instrument):
    """Four detectors and two filters, see `pipetask_demo.camera`."""

    raw_definition = ("raw", ("instrument", "exposure", "detector"), "DemoRaw")

    @classmethod
    def getName(cls) -> str:  # noqa: N802
        """Return the ``instrument`` dimension value."""
        return CAMERA

    def register(self, registry: Any, *, update: bool = False) -> None:
        """Insert the instrument with its detectors and filters.

        Parameters
        ----------
        registry : `lsst.daf.butler.Registry`
            Where to insert them, all or none.
        update : `bool`, optional
            Replace records that differ.

        Raises
        ------
        lsst.daf.butler.registry.ConflictingDefinitionError
            Raised if a record differs and ``update`` is false.
        """
        name = self.getName()
        with registry.transaction():
            registry.syncDimensionData("instrument", self._record(), update=update)
            for detector in DETECTORS:
                record = {
                    "instrument": name,
                    "id": detector.id,
                    "full_name": detector.name,
                    "purpose": "SCIENCE",
                }
                registry.syncDimensionData("detector", record, update=update)
            for band, physical_filter in FILTERS.items():
                record = {"instrument": name, "name": physical_filter, "band": band}
                registry.syncDimensionData("physical_filter", record, update=update)

    def _record(self) -> dict[str, Any]:
        return {
            "name": self.getName(),
            "class_name": f"{type(self).__module__}.{type(self).__qualname__}",
            "detector_max": len(DETECTORS),
            "exposure_max": 1000,
            "visit_max": 1000,
            "visit_system": 0,
        }

    def getRawFormatter(self, dataId: Any) -> type:  # noqa: N802, N803
        """Return the formatter for raw files, the same for all of them."""
        # Imported late: only ingest needs it.
        from .formatters import RawFormatter

        return RawFormatter
