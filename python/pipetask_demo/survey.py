"""The simulated observations: times, pointings, bands and weather."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .camera import FILTERS, Detector

__all__ = ["CLOSED_SHUTTER", "EPOCHS", "EXPOSURE_TIME", "FIELD", "VISITS", "Visit", "epoch_of"]

FIELD = (150.1, 2.2)
"""Right ascension and declination of the centre of the star field, in degrees."""

EXPOSURE_TIME = 60.0
"""Duration of every exposure, in seconds."""

EPOCHS = ((60310.0, 60312.0), (60312.0, 60340.0))
"""Begin and end (MJD) of the periods in which a set of calibrations is valid.

In between the electronics were tuned and the filters cleaned, so that the bias
and the flat of one period are wrong for the other.
"""

CLOSED_SHUTTER = (107, 0)
"""Visit and detector in front of which the shutter remained closed."""


@dataclass(frozen=True)
class Visit:
    """One pointing with one exposure.

    Parameters
    ----------
    id : `int`
        The ``visit`` and ``exposure`` dimension value.
    mjd : `float`
        Begin of the exposure, TAI.
    band : `str`
        Band of its filter.
    dither : `tuple` [`float`, `float`]
        Offset to the east and north from the centre of the field, in
        arcseconds.
    rotation : `float`
        Angle of the camera on the sky, in degrees.
    seeing : `float`
        Full width at half maximum of a star, in arcseconds.
    transparency : `float`
        Fraction of light that clouds let through.
    sky : `float`
        Brightness of the sky, in electrons for each pixel.
    """

    id: int
    mjd: float
    band: str
    dither: tuple[float, float]
    rotation: float
    seeing: float
    transparency: float
    sky: float

    @property
    def filter(self) -> str:
        """Name of the physical filter."""
        return FILTERS[self.band]

    @property
    def day(self) -> int:
        """Date as a number, ``YYYYMMDD``; MJD 60310 is 2024-01-01."""
        return 20240101 + int(self.mjd) - 60310

    @property
    def middle(self) -> float:
        """Middle of the exposure (MJD, TAI)."""
        return self.mjd + EXPOSURE_TIME / 2 / 86400

    @property
    def boresight(self) -> tuple[float, float]:
        """Right ascension and declination to which the telescope was sent, in degrees."""
        east, north = self.dither
        declination = FIELD[1] + north / 3600
        return FIELD[0] + east / 3600 / float(np.cos(np.radians(declination))), declination

    def pointing(self) -> tuple[tuple[float, float], float]:
        """Return boresight and rotation (degrees) that the telescope really had.

        It misses by some pixels, which only the stars can tell: the headers
        have the nominal pointing.
        """
        rng = np.random.default_rng([self.id, 1])
        east, north, turn = rng.uniform(-1, 1, 3) * (1.5 / 3600, 1.5 / 3600, 0.1)
        ra, dec = self.boresight
        return (ra + float(east), dec + float(north)), self.rotation + float(turn)

    def is_closed(self, detector: Detector) -> bool:
        """Return whether no light fell on the detector."""
        return (self.id, detector.id) == CLOSED_SHUTTER


def epoch_of(visit: Visit) -> int:
    """Return the index in `EPOCHS` that is valid for a visit.

    Raises
    ------
    LookupError
        Raised if there is none.
    """
    for index, (begin, end) in enumerate(EPOCHS):
        if begin <= visit.mjd < end:
            return index
    raise LookupError(f"No calibrations for visit {visit.id} at MJD {visit.mjd}.")


VISITS = (
    Visit(101, 60310.1042, "r", (+0.0, +0.0), +0.0, 1.30, 1.00, 310),
    Visit(102, 60310.1518, "i", (+6.0, -4.0), +0.8, 1.25, 0.98, 420),
    Visit(103, 60310.2871, "r", (-8.0, +3.5), -1.1, 1.45, 0.97, 330),
    Visit(104, 60310.3385, "i", (-2.5, +9.5), +1.6, 1.40, 1.00, 440),
    Visit(105, 60311.1867, "r", (+10.0, +7.0), -0.4, 1.75, 0.88, 360),
    Visit(106, 60311.2310, "i", (+4.0, -10.0), +1.2, 1.60, 0.90, 450),
    Visit(107, 60312.0955, "r", (-5.5, -7.5), -1.7, 1.20, 1.00, 300),
    Visit(108, 60312.1643, "i", (-9.5, -1.5), +0.5, 1.15, 0.99, 410),
    Visit(109, 60312.3127, "r", (+2.0, +8.0), +1.9, 1.35, 0.95, 320),
    Visit(110, 60313.1224, "i", (+9.0, +1.5), -0.9, 1.85, 0.84, 470),
    Visit(111, 60313.2096, "r", (-1.5, -9.5), +1.0, 1.55, 0.93, 340),
    Visit(112, 60313.3468, "i", (-7.0, +5.5), -1.4, 1.30, 0.97, 430),
)
"""Every visit of the survey, in order of time."""
