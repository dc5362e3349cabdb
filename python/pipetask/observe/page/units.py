"""Numbers for people to read."""

from __future__ import annotations

import math
import time

from ...outcome import Unit

__all__ = ["duration", "moment", "number", "percent", "size", "ticks"]


def duration(seconds: float) -> str:
    """Return such as ``0.25 s``, ``42 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``."""
    if not math.isfinite(seconds):
        return ""
    if seconds < 0.001:
        return "0 s" if seconds <= 0 else "< 1 ms"
    if seconds < 100:
        return f"{seconds:.3g} s"
    for most, small, large, unit, factor in _UNITS:
        if seconds < most:
            first, second = divmod(round(seconds / unit), factor)
            return f"{first} {large} {second} {small}" if second else f"{first} {large}"
    raise AssertionError("the largest unit takes all")


_UNITS = (
    (3570, "s", "min", 1, 60),
    (172_700, "min", "h", 60, 60),
    (math.inf, "h", "d", 3600, 24),
)
"""Up to how many seconds; a small and a large unit; seconds of the small one, and how many make a large one."""


def size(value: float) -> str:
    """Return such as ``1.2 GiB``."""
    return Unit.BYTES.text(value) if math.isfinite(value) else ""


def number(value: int) -> str:
    """Return an integer with separators."""
    return f"{value:,}"


def percent(part: float, whole: float) -> str:
    """Return such as ``12.3 %``."""
    return f"{100 * part / whole:.3g} %" if whole else ""


def moment(seconds: float) -> str:
    """Return a moment, in UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def ticks(span: float, most: int = 8) -> list[float]:
    """Return round numbers from 0 up to a span, for an axis of seconds."""
    steps = [f * 10**e for e in range(-4, 2) for f in (1, 2, 5) if f * 10**e < 60]
    steps += [60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200]
    steps += [86400 * f * 10**e for e in range(4) for f in (1, 2, 5)]
    step = next((step for step in steps if span / step <= most), steps[-1])
    return [i * step for i in range(min(int(span / step), 1000) + 1)]
