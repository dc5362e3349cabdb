"""Colour pictures of the sky as PNG files."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .background import robust_sigma
from .image import Flags

__all__ = ["Rgb", "draw_ring", "stretch", "write_png"]

Array = npt.NDArray[np.float64]
Rgb = npt.NDArray[np.uint8]
"""Red, green and blue, shape (rows, columns, 3)."""

SOFTENING = 4.0
"""Where the brightness scale turns from linear to logarithmic, in units of the noise."""

RANGE = 300.0
"""Brightness that is white, in the same units."""


def stretch(blue: Array, red: Array, seen: Flags) -> Rgb:
    """Make a colour picture of two images.

    The same function of the total intensity scales both, so that the colour of
    a star does not depend on its brightness (Lupton et al. 2004, PASP 116, 133).

    Parameters
    ----------
    blue, red : `numpy.ndarray`, shape (rows, columns)
        Images in the bluer and the redder band, in the same unit.
    seen : `numpy.ndarray` [`bool`], shape (rows, columns)
        Pixels with data in both; others are dark grey.

    Returns
    -------
    rgb : `numpy.ndarray` [`numpy.uint8`], shape (rows, columns, 3)
        The picture, with rows from bottom to top as in the images.
    """
    green = (blue + red) / 2
    sigma = robust_sigma(green[seen]) or 1.0
    intensity = np.maximum(green / sigma, 1e-3)
    brightness = np.arcsinh((intensity + 1.5) / SOFTENING) / np.arcsinh(RANGE / SOFTENING)
    colours = np.stack([red, green, blue], axis=-1) / sigma
    # Noise has no colour: faint pixels are pulled towards grey.
    weight = (intensity / (intensity + SOFTENING))[..., np.newaxis]
    colours = weight * colours / intensity[..., np.newaxis] + (1 - weight)
    picture = np.clip(colours * brightness[..., np.newaxis], 0, 1)
    picture[~seen] = 0.1
    return np.asarray(np.rint(255 * picture), dtype=np.uint8)


def draw_ring(picture: Rgb, x: float, y: float, radius: float = 12.0) -> None:
    """Draw a yellow ring around a position in pixels, in place."""
    rows, columns = np.ogrid[: picture.shape[0], : picture.shape[1]]
    distance = np.hypot(columns - x, rows - y)
    picture[np.abs(distance - radius) < 0.8] = (255, 220, 60)


def write_png(picture: Rgb, path: Path) -> None:
    """Write a picture, with its first row at the bottom.

    Parameters
    ----------
    picture : `numpy.ndarray` [`numpy.uint8`], shape (rows, columns, 3)
        Red, green and blue.
    path : `pathlib.Path`
        File to write, in the PNG format (ISO/IEC 15948), 8 bits for each
        colour, without filters.
    """
    rows, columns, _ = picture.shape
    # Each line begins with the number of its filter, zero for none.
    lines = np.zeros((rows, 1 + 3 * columns), np.uint8)
    lines[:, 1:] = picture[::-1].reshape(rows, -1)
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
