"""Simulates raw images and calibration images.

The signal of a pixel, in electrons, is ``Poisson((stars + sky) * response)``
plus the bias pattern plus read noise; divided by the gain, on top of a
pedestal that drifts from one exposure to the next, and rounded, it is what the
digitizer delivers.  Every random number comes from a generator seeded by what
is simulated, so that each image is the same no matter which others are made.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from .camera import BANDS, OVERSCAN, PIXEL_SCALE, SIZE, Detector
from .image import DemoImage, Header, RawImage
from .stars import AB_ZERO_POINT, StarField, njy_to_magnitude
from .survey import EXPOSURE_TIME, Visit, epoch_of
from .wcs import Points, sky_to_pixel, wcs_to_header

__all__ = ["master_bias", "master_flat", "reference_stars", "simulate_exposure"]

ZERO_POINTS = {"r": 30.0, "i": 29.8}
"""AB magnitude that gives one electron in an exposure without clouds."""

MOFFAT_BETA = 3.5
STAMP = 16
"""Half of the side of the box into which a star is drawn, in pixels."""

PEDESTAL = 1000.0
DEAD_RESPONSE = 0.02

Array = npt.NDArray[np.float64]


def _generator(*what: object) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(what).encode()))


def _bias_pattern(detector: Detector, epoch: int) -> Array:
    """Return the structure of the bias in electrons, shape (ny, nx)."""
    rng = _generator("bias", detector.id, epoch)
    columns = rng.normal(0, 8, SIZE)
    ramp = np.linspace(0, rng.uniform(15, 30), SIZE)[:, np.newaxis]
    amplifiers = np.where(np.arange(SIZE) < SIZE // 2, 0.0, rng.uniform(20, 40))
    return columns + ramp + amplifiers


def _response(detector: Detector, band: str, epoch: int) -> Array:
    """Return the sensitivity relative to the optical axis, shape (ny, nx)."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float64)
    radius = np.hypot(x + detector.corner[0], y + detector.corner[1]) / (SIZE * np.sqrt(2))
    pixels = _generator("pixels", detector.id, band).normal(1, 0.01, (SIZE, SIZE))
    response = (1 - 0.2 * radius**2) * pixels
    dust = _generator("dust", detector.id, epoch)
    for centre_x, centre_y, size in dust.uniform((20, 20, 12), (280, 280, 25), (4, 3)):
        ring = np.hypot(x - centre_x, y - centre_y) / size
        response *= np.where((ring > 0.4) & (ring < 1), 0.93, 1.0)
    response[:, 60 + 35 * detector.id] = DEAD_RESPONSE
    return np.asarray(response)


def _moffat(x: Array, y: Array, fwhm: float) -> Array:
    """Return a star of unit flux (Moffat 1969, A&A 3, 455) around (0, 0)."""
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / MOFFAT_BETA) - 1))
    norm = (MOFFAT_BETA - 1) / (np.pi * alpha**2)
    return np.asarray(norm * (1 + (x**2 + y**2) / alpha**2) ** -MOFFAT_BETA)


def _draw_stars(pixels: Points, electrons: Array, fwhm: float) -> Array:
    """Return the light of stars in electrons, shape (ny, nx)."""
    # A border as wide as two boxes: no star that reaches the detector is cut at the canvas.
    canvas = np.zeros((SIZE + 4 * STAMP, SIZE + 4 * STAMP))
    box = np.arange(-STAMP, STAMP + 1)
    for (x, y), flux in zip(pixels, electrons, strict=True):
        column, row = round(x), round(y)
        if -STAMP <= column < SIZE + STAMP and -STAMP <= row < SIZE + STAMP:
            star = flux * _moffat(box + column - x, (box + row - y)[:, np.newaxis], fwhm)
            top, left = row + STAMP, column + STAMP
            canvas[top : top + len(box), left : left + len(box)] += star
    return canvas[2 * STAMP : -2 * STAMP, 2 * STAMP : -2 * STAMP]


def _illumination(visit: Visit, detector: Detector, stars: StarField) -> Array:
    """Return the light that reaches a detector in electrons, shape (ny, nx)."""
    if visit.is_closed(detector):
        return np.zeros((SIZE, SIZE))
    pixels = sky_to_pixel(detector.wcs(*visit.pointing()), stars.sky)
    scale = visit.transparency * 10 ** (0.4 * (ZERO_POINTS[visit.band] - AB_ZERO_POINT))
    light = _draw_stars(pixels, scale * stars.fluxes(visit.band, visit.middle), visit.seeing / PIXEL_SCALE)
    # Scattered moonlight: the sky is a little brighter towards one side.
    gradient = np.linspace(0.96, 1.04, SIZE)
    return light + visit.sky * gradient


def _exposure_header(visit: Visit, detector: Detector) -> Header:
    header: Header = {
        "VISIT": visit.id,
        "FILTER": visit.filter,
        "BAND": visit.band,
        "MJD": visit.middle,
        "EXPTIME": EXPOSURE_TIME,
    }
    return header | detector.header() | wcs_to_header(detector.wcs(visit.boresight, visit.rotation))


def simulate_exposure(visit: Visit, detector: Detector, stars: StarField) -> RawImage:
    """Simulate one detector of one exposure.

    Parameters
    ----------
    visit : `Visit`
        Conditions of the exposure.
    detector : `Detector`
        What is exposed.
    stars : `StarField`
        What is observed.

    Returns
    -------
    raw : `RawImage`
        Counts in ADU with the overscan to the right; the header has the
        nominal pointing, which is off by some pixels.
    """
    rng = _generator("exposure", visit.id, detector.id)
    epoch = epoch_of(visit)
    light = _illumination(visit, detector, stars) * _response(detector, visit.band, epoch)
    electrons = np.zeros((SIZE, SIZE + OVERSCAN))
    electrons[:, :SIZE] = rng.poisson(light) + _bias_pattern(detector, epoch)
    electrons += rng.normal(0, detector.read_noise, electrons.shape)
    counts = electrons / detector.gain + PEDESTAL + rng.normal(0, 10)
    counts = np.clip(np.rint(counts), 0, np.iinfo(np.uint16).max)
    return RawImage(counts.astype(np.uint16), _exposure_header(visit, detector))


def master_bias(detector: Detector, epoch: int) -> DemoImage:
    """Return the mean of many bias exposures, in electrons above the pedestal."""
    noise = detector.read_noise / np.sqrt(30)
    image = _bias_pattern(detector, epoch)
    image = image + _generator("master bias", detector.id, epoch).normal(0, noise, image.shape)
    header = detector.header() | {"OBSTYPE": "bias", "EPOCH": epoch}
    return _master(image, noise, header)


def master_flat(detector: Detector, band: str, epoch: int) -> DemoImage:
    """Return the mean of many flat exposures: the relative response to light."""
    noise = 0.001
    image = _response(detector, band, epoch)
    image = image + _generator("master flat", detector.id, band, epoch).normal(0, noise, image.shape)
    header = detector.header() | {"OBSTYPE": "flat", "EPOCH": epoch, "BAND": band}
    return _master(image, noise, header)


def _master(image: Array, noise: float, header: Header) -> DemoImage:
    variance = np.full(image.shape, noise**2, np.float32)
    return DemoImage(image.astype(np.float32), variance, np.zeros(image.shape, np.uint8), header)


def reference_stars(stars: StarField) -> dict[str, Array]:
    """Return the catalogue of another survey: bright stars, with its own small errors.

    Parameters
    ----------
    stars : `StarField`
        What it observed, at an unknown time: the variable star is in it like
        any other.

    Returns
    -------
    columns : `dict` [`str`, `numpy.ndarray`]
        ``ra`` and ``dec`` in degrees, and for each band the AB magnitude.
    """
    rng = _generator("reference stars")
    bright = stars.magnitudes["i"] < 21.0
    sky = stars.sky[bright] + rng.normal(0, 0.02 / 3600, (bright.sum(), 2))
    columns = {"ra": sky[:, 0], "dec": sky[:, 1]}
    for band in BANDS:
        magnitudes = njy_to_magnitude(stars.fluxes(band, 60000.0))[bright]
        columns[band] = magnitudes + rng.normal(0, 0.005, len(magnitudes))
    return columns
