"""Execute quantum graphs: the directed graphs of quanta into which data pipelines are compiled.

Importing this package is cheap; the heavy parts (the butler, the tasks) are imported by the modules that need
them.  Start with `pipetask.run.graph_executor.QuantumGraphExecutor`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .graph.enumeration import QuantumData
    from .options.execution import RunOptions
    from .outcome import QuantumOutcome, Status
    from .run.graph_executor import QuantumGraphExecutor

__all__ = ["QuantumData", "QuantumGraphExecutor", "QuantumOutcome", "RunOptions", "Status"]

_HOMES = {
    "QuantumData": "graph.enumeration",
    "QuantumGraphExecutor": "run.graph_executor",
    "QuantumOutcome": "outcome",
    "RunOptions": "options.execution",
    "Status": "outcome",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'pipetask' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
