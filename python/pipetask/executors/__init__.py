"""Execution models: how quanta get run."""

from __future__ import annotations

from .base import ExecutionContext, QuantumExecutor, Traits
from .modes import find_executor, mode_names
from .stop import StopLevel, StopRequest

__all__ = [
    "ExecutionContext",
    "QuantumExecutor",
    "StopLevel",
    "StopRequest",
    "Traits",
    "find_executor",
    "mode_names",
]
