"""The grid of patches on which the images of all visits are added."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from astropy.wcs import WCS

from .camera import PIXEL_SCALE
from .image import Flags
from .survey import FIELD
from .wcs import Points, tangent_wcs

__all__ = ["TRACT", "Patch", "PatchGrid"]

TRACT = 0
"""The only tract, the ``tract`` dimension value."""


@dataclass(frozen=True)
class Patch:
    """A rectangle of pixels of the tract.

    Parameters
    ----------
    id : `int`
        The ``patch`` dimension value.
    x, y : `int`
        First column and row that belong to this patch alone, in tract pixels.
    size : `int`
        Columns and rows that belong to this patch alone.
    border : `int`
        Pixels on each side that it shares with its neighbours, so that a star
        on the seam is complete in one of them.
    """

    id: int
    x: int
    y: int
    size: int
    border: int

    @property
    def origin(self) -> tuple[int, int]:
        """Position (x, y) of its first pixel in the tract, border included."""
        return self.x - self.border, self.y - self.border

    @property
    def width(self) -> int:
        """Columns, and rows, with the border."""
        return self.size + 2 * self.border

    def owns(self, pixels: Points) -> Flags:
        """Return which positions in tract pixels, shape (n, 2), belong to this patch alone."""
        offset = pixels - (self.x - 0.5, self.y - 0.5)
        return np.asarray(((offset >= 0) & (offset < self.size)).all(axis=1))

    def corners(self) -> Points:
        """Return the outer corners in tract pixels, counter-clockwise, shape (4, 2)."""
        x, y = self.origin
        low, high = -0.5, self.width - 0.5
        return np.array([[x + low, y + low], [x + high, y + low], [x + high, y + high], [x + low, y + high]])


@dataclass(frozen=True)
class PatchGrid:
    """A tract: one gnomonic projection, cut into square patches.

    Parameters
    ----------
    ra, dec : `float`
        Centre in degrees.
    columns, rows : `int`
        Numbers of patches.
    size, border : `int`
        Size of the patches in pixels, see `Patch`.
    scale : `float`
        Size of a pixel in arcseconds.
    """

    ra: float = FIELD[0]
    dec: float = FIELD[1]
    columns: int = 2
    rows: int = 2
    size: int = 280
    border: int = 12
    scale: float = PIXEL_SCALE

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PatchGrid:
        """Return the grid whose `to_dict` is given."""
        return cls(**values)

    def to_dict(self) -> dict[str, int | float]:
        """Return the parameters, in a form that can be stored as text."""
        return asdict(self)

    def digest(self) -> bytes:
        """Return what identifies the grid in the ``skymap`` dimension record."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).digest()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the tract in pixels, without the outermost borders."""
        return self.rows * self.size, self.columns * self.size

    def wcs(self) -> WCS:
        """Return the projection of the tract: north up, east to the left."""
        rows, columns = self.shape
        matrix = np.diag([-self.scale, self.scale]) / 3600
        return tangent_wcs((self.ra, self.dec), ((columns - 1) / 2, (rows - 1) / 2), matrix)

    def patch_wcs(self, patch: Patch) -> WCS:
        """Return the same projection for pixels counted from the first one of a patch."""
        wcs = self.wcs()
        wcs.wcs.crpix = wcs.wcs.crpix - np.array(patch.origin)
        wcs.wcs.set()
        return wcs

    def patch(self, patch_id: int) -> Patch:
        """Return a patch.

        Raises
        ------
        LookupError
            Raised if there is no such patch.
        """
        if not 0 <= patch_id < self.columns * self.rows:
            raise LookupError(f"No patch {patch_id} in a grid of {self.columns} x {self.rows}.")
        row, column = divmod(patch_id, self.columns)
        return Patch(patch_id, column * self.size, row * self.size, self.size, self.border)

    def patches(self) -> tuple[Patch, ...]:
        """Return all patches."""
        return tuple(self.patch(index) for index in range(self.columns * self.rows))

    def corners(self) -> Points:
        """Return the outermost corners in pixels, counter-clockwise, shape (4, 2)."""
        rows, columns = self.shape
        low, right, top = -self.border - 0.5, columns + self.border - 0.5, rows + self.border - 0.5
        return np.array([[low, low], [right, low], [right, top], [low, top]])
