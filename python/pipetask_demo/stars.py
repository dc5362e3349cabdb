"""The simulated sky: constant stars and a variable one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from .survey import FIELD
from .wcs import Points, pixel_to_sky, tangent_wcs

__all__ = [
    "AB_ZERO_POINT",
    "VARIABLE",
    "StarField",
    "VariableStar",
    "magnitude_to_njy",
    "make_stars",
    "njy_to_magnitude",
]

AB_ZERO_POINT = 31.4
"""AB magnitude of a source of 1 nJy."""

NUMBER = 480
"""How many stars are constant."""

EXTENT = 350.0
"""Side of the square in which the stars are, in arcseconds."""

SEPARATION = 7.0
"""Smallest distance between two stars, in arcseconds.

Blended stars need models of each other, which this demo does without.
"""


def njy_to_magnitude(flux: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return AB magnitudes of fluxes in nJy (Oke and Gunn 1983, ApJ 266, 713)."""
    return AB_ZERO_POINT - 2.5 * np.log10(np.asarray(flux, dtype=np.float64))


def magnitude_to_njy(magnitude: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return fluxes in nJy of AB magnitudes, the inverse of `njy_to_magnitude`."""
    return 10 ** (0.4 * (AB_ZERO_POINT - np.asarray(magnitude, dtype=np.float64)))


@dataclass(frozen=True)
class VariableStar:
    """A star whose light is a sine of time.

    Parameters
    ----------
    offset : `tuple` [`float`, `float`]
        Position to the east and north of the field centre, in arcseconds.
    magnitudes : `dict` [`str`, `float`]
        Mean AB magnitude for each band.
    period : `float`
        Period in days.
    amplitude : `float`
        Half of the range, as a fraction of the mean light.
    phase : `float`
        Fraction of the period that has passed at MJD 60310.
    """

    offset: tuple[float, float]
    magnitudes: dict[str, float]
    period: float
    amplitude: float
    phase: float

    def brightness(self, mjd: float) -> float:
        """Return the light at a time, divided by its mean."""
        cycles = (mjd - 60310) / self.period + self.phase
        return 1 + self.amplitude * float(np.sin(2 * np.pi * cycles))


VARIABLE = VariableStar(
    offset=(-61.0, 54.0), magnitudes={"r": 19.1, "i": 18.8}, period=0.5724, amplitude=0.28, phase=0.2
)


@dataclass(frozen=True, eq=False)
class StarField:
    """All stars of the field; the first one is the variable star.

    Parameters
    ----------
    sky : `numpy.ndarray`, shape (n, 2)
        Right ascension and declination, in degrees.
    magnitudes : `dict` [`str`, `numpy.ndarray`], shape (n,)
        Mean AB magnitudes for each band.
    """

    sky: Points
    magnitudes: dict[str, npt.NDArray[np.float64]]

    def fluxes(self, band: str, mjd: float) -> npt.NDArray[np.float64]:
        """Return the fluxes in nJy at a time, shape (n,)."""
        fluxes = magnitude_to_njy(self.magnitudes[band])
        fluxes[0] *= VARIABLE.brightness(mjd)
        return fluxes


def _scatter(rng: np.random.Generator) -> Points:
    """Return offsets (arcseconds) with a minimum distance from each other; the variable star is first."""
    chosen = np.array([VARIABLE.offset])
    while len(chosen) <= NUMBER:
        candidate = rng.uniform(-EXTENT / 2, EXTENT / 2, 2)
        if np.hypot(*(chosen - candidate).T).min() >= SEPARATION:
            chosen = np.vstack([chosen, candidate])
    return chosen


def _magnitudes(rng: np.random.Generator) -> dict[str, npt.NDArray[np.float64]]:
    """Return magnitudes; the number of stars rises by a factor of 1.8 per magnitude."""
    bright, faint, slope = 16.8, 24.3, 0.26
    low, high = 10 ** (slope * bright), 10 ** (slope * faint)
    i_band = np.log10(rng.uniform(low, high, NUMBER)) / slope
    colour = rng.gamma(2.0, 0.22, NUMBER)
    return {
        "r": np.concatenate([[VARIABLE.magnitudes["r"]], i_band + colour]),
        "i": np.concatenate([[VARIABLE.magnitudes["i"]], i_band]),
    }


@cache
def make_stars() -> StarField:
    """Return the star field, always the same."""
    rng = np.random.default_rng(20240101)
    plane = tangent_wcs(FIELD, (0.0, 0.0), np.eye(2) / 3600)
    sky = pixel_to_sky(plane, _scatter(rng))
    return StarField(sky, _magnitudes(rng))
