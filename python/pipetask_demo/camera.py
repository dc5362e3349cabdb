"""The simulated camera: four small detectors behind two filters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS

from .image import Header
from .wcs import Points, rotation_matrix, tangent_wcs

__all__ = ["BANDS", "DETECTORS", "FILTERS", "OVERSCAN", "PIXEL_SCALE", "SATURATION", "SIZE", "Detector"]

SIZE = 300
"""Rows and columns of a detector that see light, in pixels."""

OVERSCAN = 16
"""Columns without light, digitized after the others, in pixels."""

GAP = 4
"""Dead space between two neighbouring detectors, in pixels."""

PIXEL_SCALE = 0.5
"""Size of a pixel on the sky, in arcseconds."""

SATURATION = 65_000
"""Counts from which on the digitizer is not trusted, in ADU."""

BANDS = ("r", "i")
FILTERS = {band: f"demo-{band}" for band in BANDS}
"""Name of the physical filter for each band."""


@dataclass(frozen=True)
class Detector:
    """One detector of the focal plane.

    Parameters
    ----------
    id : `int`
        The ``detector`` dimension value.
    name : `str`
        Name made of row and column in the focal plane.
    corner : `tuple` [`float`, `float`]
        Position of its first pixel from the optical axis, in pixels.
    gain : `float`
        Electrons for one ADU.
    read_noise : `float`
        Standard deviation of reading a pixel, in electrons.
    """

    id: int
    name: str
    corner: tuple[float, float]
    gain: float
    read_noise: float

    def wcs(self, boresight: tuple[float, float], rotation: float) -> WCS:
        """Return the world coordinates for a pointing of the telescope.

        Parameters
        ----------
        boresight : `tuple` [`float`, `float`]
            Right ascension and declination of the optical axis, in degrees.
        rotation : `float`
            Angle of the camera on the sky, in degrees.

        Returns
        -------
        wcs : `astropy.wcs.WCS`
            The projection, with east to the left for no rotation.
        """
        x, y = self.corner
        flip = np.diag([-1.0, 1.0])
        matrix = flip @ rotation_matrix(rotation) * (PIXEL_SCALE / 3600)
        return tangent_wcs(boresight, (-x, -y), matrix)

    def corners(self) -> Points:
        """Return the outer corners in pixels, counter-clockwise, shape (4, 2)."""
        low, high = -0.5, SIZE - 0.5
        return np.array([[low, low], [high, low], [high, high], [low, high]])

    def header(self) -> Header:
        """Return the keywords that describe the detector."""
        return {"DETECTOR": self.id, "DETNAME": self.name, "GAIN": self.gain, "RDNOISE": self.read_noise}


def _detector(index: int, gain: float, read_noise: float) -> Detector:
    row, column = divmod(index, 2)
    first_pixel = (0.5 - GAP / 2 - SIZE, 0.5 + GAP / 2)
    return Detector(index, f"S{row}{column}", (first_pixel[column], first_pixel[row]), gain, read_noise)


DETECTORS = (
    _detector(0, gain=1.45, read_noise=5.2),
    _detector(1, gain=1.52, read_noise=6.1),
    _detector(2, gain=1.38, read_noise=5.6),
    _detector(3, gain=1.60, read_noise=5.0),
)
