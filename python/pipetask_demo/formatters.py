"""How the butler stores the pixels: FITS files, written by `astropy.io.fits`."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from lsst.daf.butler import FormatterV2

from .image import DemoImage, Header, RawImage

__all__ = ["ImageFormatter", "RawFormatter", "raw_to_bytes"]

_PLANES = ("IMAGE", "VARIANCE", "MASK")

# These describe the array layout; `astropy` adds them on writing.
_STRUCTURAL = frozenset({"SIMPLE", "BITPIX", "EXTEND", "BSCALE", "BZERO", "XTENSION", "EXTNAME"})


def _is_structural(keyword: str) -> bool:
    return keyword in _STRUCTURAL or keyword.startswith(("NAXIS", "PCOUNT", "GCOUNT"))


def _to_header(fits_header: Any) -> Header:
    return {keyword: value for keyword, value in fits_header.items() if not _is_structural(keyword)}


def _to_native(data: npt.NDArray[Any], dtype: type[np.generic]) -> npt.NDArray[Any]:
    # FITS is big-endian; arithmetic on swapped arrays is slow.
    return np.ascontiguousarray(data, dtype=dtype)


def _serialize(hdus: list[Any]) -> bytes:
    buffer = io.BytesIO()
    fits.HDUList(hdus).writeto(buffer, output_verify="exception")
    return buffer.getvalue()


def raw_to_bytes(raw: RawImage) -> bytes:
    """Return the file that the camera writes: one primary array of unsigned integers."""
    return _serialize([fits.PrimaryHDU(raw.counts, fits.Header(raw.header))])


class RawFormatter(FormatterV2):
    """Reads and writes `RawImage`, see `raw_to_bytes`."""

    default_extension = ".fits"
    can_read_from_stream = True

    def read_from_stream(
        self, stream: BinaryIO, component: str | None = None, expected_size: int = -1
    ) -> Any:
        """Read the whole file; the storage class has no components."""
        with fits.open(stream, memmap=False) as hdus:
            counts = _to_native(hdus[0].data, np.uint16)
            return RawImage(counts, _to_header(hdus[0].header))

    def to_bytes(self, in_memory_dataset: Any) -> bytes:
        """Return the content of the file."""
        return raw_to_bytes(in_memory_dataset)


class ImageFormatter(FormatterV2):
    """Reads and writes `DemoImage`: the planes are three image extensions."""

    default_extension = ".fits"
    can_read_from_stream = True

    def read_from_stream(
        self, stream: BinaryIO, component: str | None = None, expected_size: int = -1
    ) -> Any:
        """Read the whole file; the storage class has no components."""
        with fits.open(stream, memmap=False) as hdus:
            return DemoImage(
                image=_to_native(hdus["IMAGE"].data, np.float32),
                variance=_to_native(hdus["VARIANCE"].data, np.float32),
                mask=_to_native(hdus["MASK"].data, np.uint8),
                header=_to_header(hdus["IMAGE"].header),
            )

    def to_bytes(self, in_memory_dataset: Any) -> bytes:
        """Return the content of the file."""
        header = fits.Header(in_memory_dataset.header)
        planes = (in_memory_dataset.image, in_memory_dataset.variance, in_memory_dataset.mask)
        hdus: list[Any] = [fits.PrimaryHDU()]
        # The header goes with the image, where viewers look for coordinates.
        hdus += [
            fits.ImageHDU(plane, header if name == "IMAGE" else None, name=name)
            for name, plane in zip(_PLANES, planes, strict=True)
        ]
        return _serialize(hdus)
