"""Fits the background: the light of the sky, which is in every pixel."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .image import Flags, Pixels

__all__ = ["MAD_TO_SIGMA", "fit_background", "robust_sigma"]

MAD_TO_SIGMA = 1.4826
"""Standard deviation of a normal distribution divided by its median absolute deviation."""


def robust_sigma(values: npt.NDArray[np.floating]) -> float:
    """Return a standard deviation that ignores outliers such as stars.

    Returns
    -------
    sigma : `float`
        Scaled median absolute deviation; NaN if there are no values.
    """
    if values.size == 0:
        return float("nan")
    return MAD_TO_SIGMA * float(np.median(np.abs(values - np.median(values))))


def fit_background(image: Pixels, good: Flags, block: int) -> Pixels:
    """Fit a plane to the medians of square blocks.

    Medians because stars are in a minority of the pixels, a plane because the
    sky of a small detector has no other structure.

    Parameters
    ----------
    image : `numpy.ndarray`, shape (ny, nx)
        Stars on top of the sky.
    good : `numpy.ndarray` [`bool`], shape (ny, nx)
        Pixels to use.
    block : `int`
        Side of a block in pixels; incomplete blocks at the ends are left out.

    Returns
    -------
    background : `numpy.ndarray`, shape (ny, nx)
        The sky, in the unit of ``image``; NaN if less than three blocks
        have good pixels.
    """
    ny, nx = image.shape[0] // block, image.shape[1] // block
    pixels = np.where(good, image, np.nan)[: ny * block, : nx * block]
    blocks = pixels.reshape(ny, block, nx, block).swapaxes(1, 2).reshape(ny * nx, block * block)
    used = np.isfinite(blocks).any(axis=1)
    if used.sum() < 3:
        return np.full_like(image, np.nan)
    middle = (block - 1) / 2
    y, x = np.indices((ny, nx)) * block + middle
    design = np.column_stack([np.ones(ny * nx), x.ravel(), y.ravel()])[used]
    plane = np.linalg.lstsq(design, np.nanmedian(blocks[used], axis=1), rcond=None)[0]
    rows, columns = np.ogrid[: image.shape[0], : image.shape[1]]
    return np.asarray(plane[0] + plane[1] * columns + plane[2] * rows, dtype=image.dtype)
