"""The data of a page: columns of integers and some strings, compressed.

A blob is the length of a JSON text (four bytes, little-endian), that text, and the columns that it lists.  A column is
stored by planes: first the lowest byte of all its values, then the next.  So bytes that hardly vary are together, and
gzip makes them small.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Blob", "three_digits"]

UNKNOWN = 0xFFFFFFFF
"""Stands for what is not known."""


class Blob:
    """Collects columns."""

    def __init__(self) -> None:
        self._columns: list[dict[str, Any]] = []
        self._data: list[bytes] = []

    def add(self, name: str, values: npt.ArrayLike, *, delta: bool = False) -> None:
        """Add a column.

        Parameters
        ----------
        name
            Its name.
        values
            Integers from 0 to 2**32 - 1.
        delta
            Whether only differences are stored (modulo 2**32).
        """
        column = np.asarray(values).astype(np.uint32)
        width = 1 if column.max(initial=0) < 1 << 8 else 2 if column.max(initial=0) < 1 << 16 else 4
        if delta:
            width = 4
            column = np.diff(column, prepend=np.uint32(0))
        planes = column.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :width]
        self._columns.append({"name": name, "width": width, "size": len(column), "delta": delta})
        self._data.append(planes.T.tobytes())

    def encoded(self, facts: Mapping[str, Any]) -> str:
        """Return everything as text for a page.

        Parameters
        ----------
        facts
            Goes into the JSON text beside the columns.
        """
        text = json.dumps({**facts, "columns": self._columns}, separators=(",", ":")).encode()
        whole = b"".join((len(text).to_bytes(4, "little"), text, *self._data))
        return base64.b64encode(gzip.compress(whole, 6, mtime=0)).decode()


def three_digits(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return values with 10 significant bits (a part in a thousand), for which gzip needs half as much room.

    What is not known is `UNKNOWN`.
    """
    known = np.where(np.isfinite(values), np.clip(values, 0, UNKNOWN - 1), 1.0)
    mantissa, exponent = np.frexp(known)
    rounded = np.ldexp(np.round(mantissa * 1024), exponent - 10)
    return np.where(np.isfinite(values), np.minimum(rounded, UNKNOWN - 1), UNKNOWN)
