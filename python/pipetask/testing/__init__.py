"""A test kit for authors of execution models and batch systems, and for benchmarks.

`MockPipeline` makes a small real repository with a graph.  `enumerated` makes a graph without content, and `CallSpec` a
runner that calls a function for each of its quanta: with these, a model is tested without a butler.
`pipetask.testing.conformance` has the tests that every execution model should pass.

`pipetask.testing.local_batch` is a small batch system, and `pipetask.testing.batch_conformance` has the tests that
every batch system should pass.
"""

from __future__ import annotations

from .functions import CallSpec, enumerated
from .mock_pipeline import MockPipeline

__all__ = ["CallSpec", "MockPipeline", "enumerated"]
