"""The timeline as a picture of fixed size, for browsers without JavaScript."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ...outcome import Transaction
from ..facts.attempts import Attempts
from .colours import FAILED, REGISTERED, RUNNING, label_colour, rgb

__all__ = ["png", "timeline_picture"]

WIDTH = 1200
HEIGHT = 480
"""Most rows of pixels; lanes share rows if there are more of them."""

TALLEST = 16
"""Rows of pixels of a lane."""

_MOST_COLOURS = 250
"""Colours of labels; a palette has 256."""

_GAP = 3
"""Rows of pixels between the lanes and the transactions."""

Pixels = npt.NDArray[np.uint8]


def timeline_picture(
    attempts: Attempts, begin: float, end: float, n_tasks: int, transactions: Sequence[Transaction] = ()
) -> tuple[str, int]:
    """Return a data URI of a picture with a row for each lane, and the height of the picture.

    Parameters
    ----------
    attempts
        The attempts.
    begin, end
        Of the run.
    n_tasks
        Number of labels.
    transactions
        Have a row below the lanes.
    """
    lanes = max(1, len(attempts.lanes))
    each = max(1, min(TALLEST, HEIGHT // lanes))
    shared = -(-lanes // HEIGHT)  # lanes that share a row of pixels
    rows = paint(attempts, begin, end, n_tasks, attempts.lane // shared, -(-lanes // shared))
    pixels = np.repeat(rows, each, axis=0)
    if each > 4:
        pixels[each - 1 :: each] = 0
    shown = min(n_tasks, _MOST_COLOURS)
    if transactions:
        registered = np.repeat(_registered(transactions, begin, end, shown + 3), TALLEST // 2, axis=0)
        pixels = np.concatenate((pixels, np.zeros((_GAP, WIDTH), dtype=np.uint8), registered))
    colours = [rgb(label_colour(task)) for task in range(shown)]
    colours += [rgb(FAILED), rgb(RUNNING), rgb(REGISTERED), (16, 16, 16)]
    pixels[(pixels == shown + 1) & _stripes(pixels.shape)] = len(colours)
    data = base64.b64encode(png(pixels, [(255, 255, 255), *colours])).decode()
    return f"data:image/png;base64,{data}", len(pixels)


def _stripes(shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Return where failures are dark: their colour alone is not enough for everybody."""
    y, x = np.indices(shape)
    return (x + y) % 6 < 2


def _registered(transactions: Sequence[Transaction], begin: float, end: float, colour: int) -> Pixels:
    """Return a row of pixels with the transactions; those that failed have the colour of failures."""
    row = np.zeros((1, WIDTH), dtype=np.uint8)
    scale = WIDTH / max(end - begin, 1e-9)
    for each in sorted(transactions, key=lambda each: not each.succeeded):
        first = min(WIDTH - 1, int((each.start - begin) * scale))
        row[0, first : max(first + 1, round((each.end - begin) * scale))] = colour - 2 * (not each.succeeded)
    return row


def paint(
    attempts: Attempts, begin: float, end: float, n_tasks: int, row: npt.NDArray[np.int64], height: int
) -> Pixels:
    """Return numbers of colours by row and column; 0 is nothing.  Failures win a pixel, then what took longer.

    Parameters
    ----------
    attempts, begin, end, n_tasks
        As for `timeline_picture`.
    row
        The row of each attempt.
    height
        Number of rows.
    """
    canvas = np.zeros((height, WIDTH), dtype=np.uint8)
    if not len(attempts):
        return canvas
    scale = WIDTH / max(end - begin, 1e-9)
    first = np.clip((attempts.start - begin) * scale, 0, WIDTH - 1).astype(np.int64)
    last = np.clip(np.ceil((attempts.end - begin) * scale) - 1, first, WIDTH - 1).astype(np.int64)
    shown = min(n_tasks, _MOST_COLOURS)
    colour = 1 + attempts.task % max(1, shown)
    colour[attempts.is_cut_off] = shown + 2
    colour[attempts.is_failure] = shown + 1
    order = np.lexsort((attempts.seconds, attempts.is_failure))
    widths = (last - first + 1)[order]
    which = np.repeat(order, widths)
    offsets = np.arange(len(which)) - np.repeat(np.cumsum(widths) - widths, widths)
    canvas[row[which], first[which] + offsets] = colour[which]
    return canvas


def png(pixels: Pixels, palette: Sequence[tuple[int, int, int]]) -> bytes:
    """Return a picture as PNG; colour 0 is transparent.

    Parameters
    ----------
    pixels
        Numbers of colours, by row and column.
    palette
        Red, green and blue of each colour.
    """
    height, width = pixels.shape
    lines = np.zeros((height, width + 1), dtype=np.uint8)  # in front of each line is its filter: none
    lines[:, 1:] = pixels
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", bytes(value for colour in palette for value in colour)),
        (b"tRNS", b"\0"),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
