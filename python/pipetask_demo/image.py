"""Images in memory, which the tasks pass to each other."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Bits", "DemoImage", "Flags", "Header", "MaskBit", "Pixels", "RawImage"]


Header = dict[str, Any]
"""FITS keywords (upper case, at most eight characters) and their values: text, numbers, truth values."""

Pixels = npt.NDArray[np.float32]
Bits = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]


class MaskBit(enum.IntFlag):
    """Why a pixel must not be used."""

    BAD = 1
    """The detector does not respond to light here."""
    SATURATED = 2
    """The digitizer was at the end of its range."""
    NO_DATA = 4
    """Nothing was observed here."""


@dataclass(frozen=True, eq=False)
class RawImage:
    """What the camera writes for one detector of one exposure.

    Parameters
    ----------
    counts : `numpy.ndarray` [`numpy.uint16`], shape (ny, nx + overscan)
        Digitized signal, in ADU.
    header : `dict`
        Description of detector and exposure.
    """

    counts: npt.NDArray[np.uint16]
    header: Header


@dataclass(frozen=True, eq=False)
class DemoImage:
    """Calibrated pixels with their noise, and flags for the bad ones.

    Parameters
    ----------
    image : `numpy.ndarray` [`numpy.float32`], shape (ny, nx)
        Signal: electrons, or nJy after photometric calibration.
    variance : `numpy.ndarray` [`numpy.float32`], shape (ny, nx)
        Square of the standard deviation of ``image``.
    mask : `numpy.ndarray` [`numpy.uint8`], shape (ny, nx)
        Union of `MaskBit` flags; zero for a good pixel.
    header : `dict`
        Description, with the keywords of the world coordinate system if any.

    Raises
    ------
    ValueError
        Raised if the three planes differ in shape.
    """

    image: Pixels
    variance: Pixels
    mask: Bits
    header: Header

    def __post_init__(self) -> None:
        if not self.image.shape == self.variance.shape == self.mask.shape:
            raise ValueError(
                f"Planes differ in shape: image {self.image.shape}, variance {self.variance.shape}, "
                f"mask {self.mask.shape}."
            )

    @property
    def good(self) -> Flags:
        """True where the pixel can be used, shape (ny, nx)."""
        return np.equal(self.mask, 0)
