"""Finds the period of a star from observations at irregular times in several bands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["FoldedLightCurve", "LightCurve", "Sine", "constant_chi2", "find_period", "fold"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LightCurve:
    """Brightness of one star, relative to its mean in each band.

    Parameters
    ----------
    mjd : `numpy.ndarray`, shape (n,)
        Times in days.
    band : `numpy.ndarray` [`str`], shape (n,)
        Bands.
    flux, error : `numpy.ndarray`, shape (n,)
        Brightness and its standard deviation, as fractions of the mean.
    """

    mjd: Array
    band: npt.NDArray[np.str_]
    flux: Array
    error: Array

    @classmethod
    def normalized(
        cls, mjd: Array, band: npt.NDArray[np.str_], flux: Array, error: Array, systematic: float
    ) -> LightCurve:
        """Make a light curve from fluxes in any unit.

        Parameters
        ----------
        mjd, band, flux, error : `numpy.ndarray`, shape (n,)
            See the class.
        systematic : `float`
            Fraction of the flux to add to the errors in quadrature, for what
            is not photon noise: flat field, and the shape of the stars.
        """
        mean = np.empty_like(flux)
        for name in np.unique(band):
            mean[band == name] = np.median(flux[band == name])
        return cls(mjd, band, flux / mean, np.hypot(error / mean, systematic))

    def design(self) -> Array:
        """Return one column for each band: one in that band, else zero; shape (n, bands)."""
        return (self.band[:, np.newaxis] == np.unique(self.band)).astype(np.float64)


@dataclass(frozen=True)
class Sine:
    """The best sine through a light curve.

    Parameters
    ----------
    period : `float`
        Days.
    amplitude : `float`
        Half of the range, as a fraction of the mean.
    chi2 : `float`
        Sum of squared residuals in units of the errors.
    """

    period: float
    amplitude: float
    chi2: float


def constant_chi2(curve: LightCurve) -> float:
    """Return chi squared for each degree of freedom, of a constant in each band.

    Returns
    -------
    chi2 : `float`
        About one if the star is constant; zero if there is no freedom.
    """
    design = curve.design()
    freedom = len(curve.flux) - design.shape[1]
    if freedom <= 0:
        return 0.0
    return float(_fit(curve, design[np.newaxis])[1][0]) / freedom


def _fit(curve: LightCurve, designs: Array) -> tuple[Array, Array]:
    """Fit many linear models at once by their normal equations.

    Parameters
    ----------
    curve : `LightCurve`
        n observations.
    designs : `numpy.ndarray`, shape (models, n, parameters)
        What each parameter adds to each observation.

    Returns
    -------
    parameters : `numpy.ndarray`, shape (models, parameters)
        Best parameters.
    chi2 : `numpy.ndarray`, shape (models,)
        Sums of squared residuals in units of the errors.
    """
    weighted = designs / curve.error[:, np.newaxis]
    values = curve.flux / curve.error
    transposed = weighted.swapaxes(1, 2)
    parameters = (np.linalg.pinv(transposed @ weighted) @ (transposed @ values)[..., np.newaxis])[..., 0]
    residuals = values - (weighted @ parameters[..., np.newaxis])[..., 0]
    return parameters, (residuals**2).sum(axis=1)


def _designs(curve: LightCurve, frequencies: Array) -> Array:
    """Return the models of sines of some frequencies: a constant for each band, sine, and cosine."""
    phase = 2 * np.pi * frequencies[:, np.newaxis] * (curve.mjd - curve.mjd.mean())
    constants = np.broadcast_to(curve.design(), (len(frequencies), *curve.design().shape))
    return np.concatenate([constants, np.sin(phase)[..., np.newaxis], np.cos(phase)[..., np.newaxis]], axis=2)


def _best(curve: LightCurve, frequencies: Array) -> tuple[float, Sine]:
    """Return the best of some frequencies (cycles in a day)."""
    parameters, chi2 = _fit(curve, _designs(curve, frequencies))
    best = int(chi2.argmin())
    amplitude = np.hypot(*parameters[best, -2:]) / parameters[best, :-2].mean()
    return float(frequencies[best]), Sine(1 / float(frequencies[best]), float(amplitude), float(chi2[best]))


def find_period(curve: LightCurve, shortest: float, longest: float, oversampling: float = 10.0) -> Sine:
    """Fit sines of all frequencies, and return the best.

    Each band has its own constant, and all have the same sine.  It is the
    generalized periodogram of Zechmeister and Kuerster (2009, A&A 496, 577)
    with a constant for each band.

    Parameters
    ----------
    curve : `LightCurve`
        Observations.
    shortest, longest : `float`
        Range of periods in days.
    oversampling : `float`, optional
        Number of frequencies for each peak, which is as wide as the inverse
        of the duration.

    Returns
    -------
    sine : `Sine`
        The best fit; its frequency is refined beyond the first grid.

    Raises
    ------
    ValueError
        Raised if all observations are at one time.
    """
    duration = float(np.ptp(curve.mjd))
    if not duration > 0:
        raise ValueError("A period needs observations at different times.")
    step = 1 / (duration * oversampling)
    coarse, _ = _best(curve, np.arange(1 / longest, 1 / shortest + step, step))
    return _best(curve, coarse + np.linspace(-step, step, 81))[1]


@dataclass(frozen=True, eq=False)
class FoldedLightCurve:
    """A light curve of which each observation has a phase; the best sine has its maximum at phase zero.

    Parameters
    ----------
    phase : `numpy.ndarray`, shape (n,)
        Time since a maximum in periods, at least zero and less than one.
    band : `numpy.ndarray` [`str`], shape (n,)
        Bands.
    flux, error : `numpy.ndarray`, shape (n,)
        Brightness and its standard deviation, divided by the mean of the sine in that band.
    amplitude : `float`
        Half of the range of the sine.
    """

    phase: Array
    band: npt.NDArray[np.str_]
    flux: Array
    error: Array
    amplitude: float


def fold(curve: LightCurve, period: float) -> FoldedLightCurve:
    """Fold a light curve with a period.

    Parameters
    ----------
    curve : `LightCurve`
        Observations.
    period : `float`
        Days.
    """
    parameters = _fit(curve, _designs(curve, np.array([1 / period])))[0][0]
    *means, sine, cosine = parameters
    mean = curve.design() @ np.array(means)
    turned = np.arctan2(sine, cosine) / (2 * np.pi)
    phase = ((curve.mjd - curve.mjd.mean()) / period - turned) % 1.0
    amplitude = float(np.hypot(sine, cosine) / np.mean(means))
    return FoldedLightCurve(phase, curve.band, curve.flux / mean, curve.error / mean, amplitude)
