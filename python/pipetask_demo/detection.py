"""Finds stars: peaks of the image after smoothing with the shape of a star."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .background import robust_sigma
from .image import Flags, Pixels
from .photometry import fwhm_to_sigma
from .wcs import Points

__all__ = ["find_peaks", "significance", "smooth", "values_at"]


def smooth(image: Pixels, fwhm: float) -> Pixels:
    """Convolve with a Gaussian of unit sum.

    Parameters
    ----------
    image : `numpy.ndarray`, shape (ny, nx)
        Outside of it is nothing, i.e. zero.
    fwhm : `float`
        Full width at half maximum in pixels.

    Returns
    -------
    smoothed : `numpy.ndarray`, shape (ny, nx)
        Same unit as ``image``.
    """
    sigma = fwhm_to_sigma(fwhm)
    half = int(np.ceil(4 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).astype(image.dtype)
    padded = np.pad(image, half)
    rows = sum(weight * padded[i : i + image.shape[0]] for i, weight in enumerate(kernel))
    columns = sum(weight * rows[:, i : i + image.shape[1]] for i, weight in enumerate(kernel))
    return np.asarray(columns, dtype=image.dtype)


def significance(image: Pixels, good: Flags, fwhm: float) -> Pixels:
    """Return signal divided by noise, for a star in each pixel.

    The noise is measured in the smoothed image, and not propagated, so that
    it is right for resampled images too, whose pixels are correlated.

    Parameters
    ----------
    image : `numpy.ndarray`, shape (ny, nx)
        Image without background.
    good : `numpy.ndarray` [`bool`], shape (ny, nx)
        Pixels to use; others count as empty.
    fwhm : `float`
        Width of a star in pixels.

    Returns
    -------
    significance : `numpy.ndarray`, shape (ny, nx)
        Zero where pixels are not good, and everywhere if none is.
    """
    smoothed = smooth(np.where(good, image, 0), fwhm)
    sigma = robust_sigma(smoothed[good])
    if not sigma > 0:
        return np.zeros_like(image)
    return np.where(good, smoothed / sigma, 0).astype(image.dtype)


def find_peaks(values: Pixels, threshold: float, radius: int = 2) -> Points:
    """Find pixels above a threshold that are the largest of their neighbourhood.

    Parameters
    ----------
    values : `numpy.ndarray`, shape (ny, nx)
        For instance the `significance`.
    threshold : `float`
        Smallest value of a peak.
    radius : `int`, optional
        The neighbourhood is a square with this distance to its sides.

    Returns
    -------
    peaks : `numpy.ndarray`, shape (n, 2)
        Positions (x, y), the largest peak first.
    """
    side = 2 * radius + 1
    padded = np.pad(values, radius, constant_values=-np.inf)
    largest = sliding_window_view(padded, side, axis=0).max(axis=-1)
    largest = sliding_window_view(largest, side, axis=1).max(axis=-1)
    y, x = np.nonzero((values >= threshold) & (values == largest))
    order = np.argsort(-values[y, x], kind="stable")
    return np.column_stack([x, y])[order].astype(np.float64)


def values_at(image: Pixels, peaks: Points) -> Pixels:
    """Return the values of an image at peaks, shape (n, 2), as `find_peaks` returns them."""
    column, row = peaks.T.astype(int)
    return image[row, column]
