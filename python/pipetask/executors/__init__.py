"""Execution models: how quanta get run."""

from __future__ import annotations

from .base import ExecutionContext, QuantumExecutor, StopLevel, StopRequest
from .modes import find_executor, mode_names

__all__ = [
    "ExecutionContext",
    "QuantumExecutor",
    "StopLevel",
    "StopRequest",
    "find_executor",
    "mode_names",
]
