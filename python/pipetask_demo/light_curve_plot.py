"""Draws the light curve of a periodic star, folded with its period, as an SVG file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .period import FoldedLightCurve

__all__ = ["draw_light_curve"]

Array = npt.NDArray[np.float64]

WIDTH, HEIGHT = 720, 440
LEFT, RIGHT, TOP, BOTTOM = 78, 20, 48, 60
"""Margins in pixels."""

CYCLES = 2
"""Number of periods side by side: the eye follows the curve across the seam."""

COLOURS = {"r": "#0b6e99", "i": "#c8452e"}
SYMBOL = 4.5
STEPS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Possible distances between labels of the vertical axis."""

STYLE = (
    "text{font-family:'Helvetica Neue',Arial,sans-serif;font-size:14px;fill:#222}"
    ".title{font-size:15px;font-weight:600}.axis{stroke:#222;fill:none}.grid{stroke:#e4e4e4}"
)


@dataclass(frozen=True)
class _Frame:
    """Where values are on the page."""

    low: float
    high: float

    def x(self, phase: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * phase / CYCLES

    def y(self, flux: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (flux - self.low) / (self.high - self.low)


def draw_light_curve(curve: FoldedLightCurve, title: str, path: Path) -> None:
    """Write a picture of a folded light curve.

    Parameters
    ----------
    curve : `FoldedLightCurve`
        Observations and the best sine.
    title : `str`
        What is above it.
    path : `pathlib.Path`
        File to write, in the format SVG.
    """
    frame = _frame(curve)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 28, title, 'class="title"'),
        *_axes(frame),
        *_sine(frame, curve.amplitude),
        *_observations(frame, curve),
        *_legend(curve),
        "</svg>",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _frame(curve: FoldedLightCurve) -> _Frame:
    low = min(float((curve.flux - curve.error).min()), 1 - curve.amplitude)
    high = max(float((curve.flux + curve.error).max()), 1 + curve.amplitude)
    margin = 0.08 * (high - low)
    return _Frame(low - margin, high + margin)


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, more: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {more}/>'


def _axes(frame: _Frame) -> Iterator[str]:
    """Draw grid, frame, and labels of both axes."""
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for phase in np.arange(0, CYCLES + 0.01, 0.5):
        x = frame.x(float(phase))
        yield _line(x, TOP, x, bottom, 'class="grid"')
        yield _text(x, bottom + 20, f"{phase:.1f}", 'text-anchor="middle"')
    step = next((each for each in STEPS if (frame.high - frame.low) / each <= 7), STEPS[-1])
    for flux in np.arange(np.ceil(frame.low / step) * step, frame.high, step):
        y = frame.y(float(flux))
        yield _line(LEFT, y, right, y, 'class="grid"')
        yield _text(LEFT - 8, y + 5, f"{flux:.2f}", 'text-anchor="end"')
    yield f'<rect x="{LEFT}" y="{TOP}" width="{right - LEFT}" height="{bottom - TOP}" class="axis"/>'
    yield _text((LEFT + right) / 2, HEIGHT - 16, "phase (periods)", 'text-anchor="middle"')
    middle = (TOP + bottom) / 2
    turned = f'text-anchor="middle" transform="rotate(-90 22 {middle:.1f})"'
    yield _text(22, middle, "light, divided by its mean", turned)


def _sine(frame: _Frame, amplitude: float) -> Iterator[str]:
    phases = np.linspace(0, CYCLES, 60 * CYCLES + 1)
    values = 1 + amplitude * np.cos(2 * np.pi * phases)
    points = " ".join(f"{frame.x(p):.1f},{frame.y(v):.1f}" for p, v in zip(phases, values, strict=True))
    yield f'<polyline points="{points}" fill="none" stroke="#888" stroke-width="1.5" stroke-dasharray="6 4"/>'


def _observations(frame: _Frame, curve: FoldedLightCurve) -> Iterator[str]:
    """Draw a dot with an error bar for each observation, once in each cycle."""
    for phase, band, flux, error in zip(curve.phase, curve.band, curve.flux, curve.error, strict=True):
        colour = COLOURS.get(str(band), "#555")
        for cycle in range(CYCLES):
            x, y = frame.x(phase + cycle), frame.y(flux)
            bar = f'stroke="{colour}" stroke-width="1.5"'
            yield _line(x, frame.y(flux - error), x, frame.y(flux + error), bar)
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{SYMBOL}" fill="{colour}"/>'


def _legend(curve: FoldedLightCurve) -> Iterator[str]:
    x = WIDTH - RIGHT - 6.0
    for band in sorted({str(band) for band in curve.band}):
        yield _text(x, 28, f"{band} band", 'text-anchor="end"')
        yield f'<circle cx="{x - 56:.1f}" cy="23.5" r="{SYMBOL}" fill="{COLOURS.get(band, "#555")}"/>'
        x -= 84
