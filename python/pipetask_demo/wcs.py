"""World coordinates: gnomonic (``TAN``) projections, and their FITS keywords."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from .image import Header

__all__ = [
    "Points",
    "pixel_to_sky",
    "rotation_matrix",
    "sky_to_pixel",
    "tangent_wcs",
    "wcs_from_header",
    "wcs_to_header",
]

Points = npt.NDArray[np.float64]
"""Positions, shape (n, 2): x and y in pixels from zero, or right ascension and declination in degrees."""


def tangent_wcs(center: tuple[float, float], pixel: tuple[float, float], matrix: Points) -> WCS:
    """Make a gnomonic projection.

    Parameters
    ----------
    center : `tuple` [`float`, `float`]
        Right ascension and declination of the tangent point, ICRS degrees.
    pixel : `tuple` [`float`, `float`]
        Position of the tangent point in pixels; the centre of the first
        pixel is (0, 0).
    matrix : `numpy.ndarray`, shape (2, 2)
        Degrees on the tangent plane (east, north) for each pixel in (x, y).

    Returns
    -------
    wcs : `astropy.wcs.WCS`
        The projection.
    """
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.crval = list(center)
    wcs.wcs.crpix = [pixel[0] + 1, pixel[1] + 1]
    wcs.wcs.cd = matrix
    wcs.wcs.set()
    return wcs


def rotation_matrix(angle: float) -> Points:
    """Return the matrix, shape (2, 2), that turns by ``angle`` degrees from x to y."""
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return np.array([[cosine, -sine], [sine, cosine]])


def sky_to_pixel(wcs: WCS, sky: Points) -> Points:
    """Project positions in degrees, shape (n, 2), to pixels, shape (n, 2)."""
    # The projection of no points at all is refused by `astropy`.
    return np.asarray(wcs.wcs_world2pix(sky, 0)) if len(sky) else np.empty((0, 2))


def pixel_to_sky(wcs: WCS, pixels: Points) -> Points:
    """Return right ascension and declination in degrees of pixels, both of shape (n, 2)."""
    return np.asarray(wcs.wcs_pix2world(pixels, 0)) if len(pixels) else np.empty((0, 2))


def wcs_to_header(wcs: WCS) -> Header:
    """Return the FITS keywords of a projection made by `tangent_wcs`."""
    header: Header = {"RADESYS": "ICRS"}
    for axis in (1, 2):
        header[f"CTYPE{axis}"] = str(wcs.wcs.ctype[axis - 1])
        header[f"CUNIT{axis}"] = "deg"
        header[f"CRVAL{axis}"] = float(wcs.wcs.crval[axis - 1])
        header[f"CRPIX{axis}"] = float(wcs.wcs.crpix[axis - 1])
        for other in (1, 2):
            header[f"CD{axis}_{other}"] = float(wcs.wcs.cd[axis - 1, other - 1])
    return header


def wcs_from_header(header: Mapping[str, Any]) -> WCS:
    """Return the projection that `wcs_to_header` described.

    Raises
    ------
    KeyError
        Raised if a keyword of the projection is missing.
    """
    return tangent_wcs(
        (header["CRVAL1"], header["CRVAL2"]),
        (header["CRPIX1"] - 1, header["CRPIX2"] - 1),
        np.array([[header["CD1_1"], header["CD1_2"]], [header["CD2_1"], header["CD2_2"]]]),
    )
