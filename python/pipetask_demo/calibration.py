"""The calibration of a detector: sky coordinates and photometric scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from astropy.wcs import WCS

from .wcs import wcs_from_header, wcs_to_header

__all__ = ["Calibration"]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Calibration of one detector of one visit.

    Parameters
    ----------
    visit, detector : `int`
        Dimension values.
    band : `str`
        Band of the exposure.
    mjd : `float`
        Middle of the exposure (TAI).
    scale : `float`
        Flux of a star in nJy for each electron in the aperture.
    wcs : `astropy.wcs.WCS`
        World coordinates of the pixels.
    """

    visit: int
    detector: int
    band: str
    mjd: float
    scale: float
    wcs: WCS

    def to_dict(self) -> dict[str, Any]:
        """Return the calibration in a form that can be stored as text."""
        numbers = {name: getattr(self, name) for name in ("visit", "detector", "band", "mjd", "scale")}
        return numbers | {"wcs": wcs_to_header(self.wcs)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """Return the calibration whose `to_dict` is given."""
        return cls(**{**values, "wcs": wcs_from_header(values["wcs"])})
