"""An attempt at a quantum that has not ended."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Running"]


@dataclass(frozen=True)
class Running:
    """An attempt that has not ended."""

    id: int
    """Position of the quantum in the enumeration of its graph."""

    start: float
    """When it started, in seconds since 1970-01-01 UTC."""

    host: str | None = None
    pid: int | None = None
    attempt: int = 1
