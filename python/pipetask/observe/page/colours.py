"""Colours that colour-blind people can tell apart; failures have one of their own, and a shape."""

from __future__ import annotations

__all__ = ["FAILED", "REGISTERED", "RUNNING", "label_colour", "rgb"]

_LABELS = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#56b4e9",
    "#cc79a7",
    "#b8a800",
    "#882255",
    "#44aa99",
    "#aa8866",
    "#6655bb",
    "#7faf3f",
    "#888888",
)
"""After Okabe and Ito, and Tol; none is near the colour of failures."""

FAILED = "#d7301f"
RUNNING = "#9a9a9a"
"""Also for attempts that were cut off."""

REGISTERED = "#7a6fb0"
"""Transactions, which have a row of their own."""


def label_colour(task: int) -> str:
    """Return the colour of a label, by its index."""
    return _LABELS[task % len(_LABELS)]


def rgb(colour: str) -> tuple[int, int, int]:
    """Return red, green and blue."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
