"""Measures many stars at once, each in a small box of pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .background import robust_sigma
from .image import DemoImage
from .wcs import Points

__all__ = ["Measurements", "aperture_noise", "aperture_weights", "fwhm_to_sigma", "measure"]

Array = npt.NDArray[np.float64]

WINDOW_FWHM = 3.5
"""Width of the Gaussian window in which positions are measured, in pixels."""

ITERATIONS = 8


def fwhm_to_sigma(fwhm: float) -> float:
    """Return the standard deviation of a Gaussian of that full width at half maximum."""
    return fwhm / 2.3548200450309493


@dataclass(frozen=True, eq=False)
class Measurements:
    """Properties of n stars.

    Parameters
    ----------
    position : `numpy.ndarray`, shape (n, 2)
        Centre (x, y) in pixels.
    flux, flux_error : `numpy.ndarray`, shape (n,)
        Light in the aperture and its standard deviation, in the image's unit.
    fwhm : `numpy.ndarray`, shape (n,)
        Full width at half maximum of a Gaussian of the same second moment,
        in pixels.
    complete : `numpy.ndarray` [`bool`], shape (n,)
        Whether every pixel of the aperture is good.
    """

    position: Points
    flux: Array
    flux_error: Array
    fwhm: Array
    complete: npt.NDArray[np.bool_]


def aperture_weights(dx: Array, dy: Array, radius: float) -> Array:
    """Return which fraction of each pixel is inside of a circle.

    A pixel on the circle counts by the distance of its centre from the circle,
    which is exact where the circle is straight and parallel to a side.

    Parameters
    ----------
    dx, dy : `numpy.ndarray`
        Distances of pixels from the centre, broadcast together.
    radius : `float`
        Radius of the circle in pixels.
    """
    return np.asarray(np.clip(radius + 0.5 - np.hypot(dx, dy), 0, 1))


class _Boxes:
    """Square cut-outs around the pixels nearest to n positions.

    Parameters
    ----------
    image : `DemoImage`
        Image without background.
    pixels : `numpy.ndarray`, shape (n, 2)
        Positions (x, y).
    half : `int`
        Distance from the centre to the sides.
    """

    def __init__(self, image: DemoImage, pixels: Points, half: int):
        span = np.arange(-half, half + 1)
        centre = np.rint(pixels).astype(int)
        ny, nx = image.image.shape
        self.x = (centre[:, 0, np.newaxis] + span)[:, np.newaxis, :]
        self.y = (centre[:, 1, np.newaxis] + span)[:, :, np.newaxis]
        inside = (self.x >= 0) & (self.x < nx) & (self.y >= 0) & (self.y < ny)
        index = np.clip(self.y, 0, ny - 1), np.clip(self.x, 0, nx - 1)
        self.good = inside & image.good[index]
        self.image = np.where(self.good, image.image[index], 0).astype(np.float64)
        self.variance = np.where(self.good, image.variance[index], 0).astype(np.float64)


def _centre(boxes: _Boxes, start: Points) -> tuple[Points, Array]:
    """Iterate the centre of light in a Gaussian window.

    The step is twice the offset, because the window attenuates it by half for
    a star of the window's width (Bertin and Arnouts 1996, A&AS 117, 393, in
    the form of its software's later windowed positions).

    Returns
    -------
    position : `numpy.ndarray`, shape (n, 2)
        Centres in pixels.
    moment : `numpy.ndarray`, shape (n,)
        Mean square distance from the centre for each axis, in the window.
    """
    position = start.astype(np.float64)
    sigma = fwhm_to_sigma(WINDOW_FWHM)
    for _ in range(ITERATIONS):
        dx = boxes.x - position[:, 0, np.newaxis, np.newaxis]
        dy = boxes.y - position[:, 1, np.newaxis, np.newaxis]
        light = boxes.image * np.exp(-0.5 * (dx**2 + dy**2) / sigma**2)
        total = np.maximum(light.sum(axis=(1, 2)), 1e-9)
        shift = np.column_stack([(light * dx).sum(axis=(1, 2)), (light * dy).sum(axis=(1, 2))])
        position += np.clip(2 * shift / total[:, np.newaxis], -0.5, 0.5)
    moment = (light * (dx**2 + dy**2)).sum(axis=(1, 2)) / total / 2
    return position, moment


def _unwindowed_fwhm(moment: Array) -> Array:
    """Return the width of a Gaussian whose second moment in the window is given, in pixels.

    In the window ``1 / moment = 1 / star**2 + 1 / window**2``; a moment as large
    as the window's says that there is no star, only a flat background.
    """
    window = fwhm_to_sigma(WINDOW_FWHM) ** 2
    inverse = 1 / np.clip(moment, 1e-3, None) - 1 / window
    return np.asarray(np.sqrt(1 / np.clip(inverse, 1e-3, None)) / fwhm_to_sigma(1.0))


def measure(image: DemoImage, peaks: Points, radius: float) -> Measurements:
    """Measure stars.

    Parameters
    ----------
    image : `DemoImage`
        Image without background.
    peaks : `numpy.ndarray`, shape (n, 2)
        About where the stars are, within a pixel or two.
    radius : `float`
        Radius of the aperture in pixels.

    Returns
    -------
    measurements : `Measurements`
        In the order of ``peaks``.
    """
    boxes = _Boxes(image, peaks, half=int(np.ceil(radius)) + 4)
    position, moment = _centre(boxes, peaks)
    dx = boxes.x - position[:, 0, np.newaxis, np.newaxis]
    dy = boxes.y - position[:, 1, np.newaxis, np.newaxis]
    weights = aperture_weights(dx, dy, radius)
    return Measurements(
        position=position,
        flux=(weights * boxes.image).sum(axis=(1, 2)),
        flux_error=np.sqrt((weights**2 * boxes.variance).sum(axis=(1, 2))),
        fwhm=_unwindowed_fwhm(moment),
        complete=(boxes.good | (weights == 0)).all(axis=(1, 2)),
    )


def aperture_noise(image: DemoImage, radius: float) -> float:
    """Measure the scatter of the light in apertures on a regular grid.

    It is the noise of faint stars: most apertures are on empty sky, and the
    others are ignored as outliers.

    Parameters
    ----------
    image : `DemoImage`
        Image without background.
    radius : `float`
        Radius of the apertures in pixels.

    Returns
    -------
    noise : `float`
        Standard deviation, in the unit of the image; NaN if nothing is good.
    """
    step = int(np.ceil(2 * radius)) + 1
    half = step // 2
    ny, nx = image.image.shape
    y, x = np.mgrid[half : ny - half : step, half : nx - half : step].reshape(2, -1)
    boxes = _Boxes(image, np.column_stack([x, y]).astype(np.float64), half)
    span = np.arange(-half, half + 1.0)
    weights = aperture_weights(span, span[:, np.newaxis], radius)
    complete = (boxes.good | (weights == 0)).all(axis=(1, 2))
    return robust_sigma((weights * boxes.image).sum(axis=(1, 2))[complete])
