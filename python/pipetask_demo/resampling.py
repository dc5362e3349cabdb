"""Resamples an image by cubic interpolation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .astrometry import AffineMap
from .image import Bits, DemoImage, MaskBit, Pixels

__all__ = ["cubic_weights", "resample"]

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


def cubic_weights(fraction: Array) -> Array:
    """Return the weights of four neighbouring pixels.

    Parameters
    ----------
    fraction : `numpy.ndarray`, shape (n,)
        Position between the second and the third pixel, from 0 to 1.

    Returns
    -------
    weights : `numpy.ndarray`, shape (4, n)
        Weights of sum one (Keys 1981, IEEE Trans. ASSP 29, 1153, a=-1/2).
    """
    t = fraction
    return np.stack(
        [
            ((-0.5 * t + 1) * t - 0.5) * t,
            (1.5 * t - 2.5) * t * t + 1,
            ((-1.5 * t + 2) * t + 0.5) * t,
            (0.5 * t - 0.5) * t * t,
        ]
    )


def resample(source: DemoImage, shape: tuple[int, int], to_source: AffineMap) -> tuple[Pixels, Pixels, Bits]:
    """Interpolate an image at the pixels of another one.

    Parameters
    ----------
    source : `DemoImage`
        What to resample.
    shape : `tuple` [`int`, `int`]
        Rows and columns of the result.
    to_source : `AffineMap`
        Maps pixels (x, y) of the result to pixels of ``source``.

    Returns
    -------
    image, variance, mask : `numpy.ndarray`, with the given shape
        In the units of ``source``, for each pixel of the source.  A pixel is
        flagged by the union of the flags that went into it.  Outside of the
        source the mask is ``NO_DATA`` and the others are zero.
    """
    image, variance = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    mask = np.full(shape, MaskBit.NO_DATA, np.uint8)
    rows, columns = np.indices(shape)
    position = to_source(np.column_stack([columns.ravel(), rows.ravel()]))
    first = np.floor(position).astype(np.intp) - 1
    ny, nx = source.image.shape
    inside = ((first >= 0) & (first + 3 < (nx, ny))).all(axis=1)
    first, position = first[inside], position[inside]
    fraction = position - first - 1
    weights_x, weights_y = cubic_weights(fraction[:, 0]), cubic_weights(fraction[:, 1])
    sums = _interpolate(source, first[:, 0], first[:, 1], weights_x, weights_y)
    where = inside.reshape(shape)
    image[where], variance[where], mask[where] = sums
    return image, variance, mask


def _interpolate(
    source: DemoImage, x: Rows, y: Rows, weights_x: Array, weights_y: Array
) -> tuple[Pixels, Pixels, Bits]:
    """Return the weighted sums over the 4x4 pixels whose first ones are at (x, y)."""
    # Bad pixels must not spread infinities; what they touch is flagged anyway.
    planes = np.where(source.good, source.image, 0).ravel(), source.variance.ravel(), source.mask.ravel()
    image, variance = np.zeros(len(x), np.float32), np.zeros(len(x), np.float32)
    mask = np.zeros(len(x), np.uint8)
    start = y * source.image.shape[1] + x
    for row in range(4):
        for column in range(4):
            index = start + (row * source.image.shape[1] + column)
            weight = (weights_y[row] * weights_x[column]).astype(np.float32)
            image += weight * planes[0][index]
            variance += weight**2 * planes[1][index]
            mask |= planes[2][index]
    return image, variance, mask
