"""Test an execution model: the example of the user guide."""

from collections import Counter

import pytest

from example_executor import ReverseLabelExecutor
from pipetask import ExecutionContext, QuantumExecutor, Status
from pipetask.testing import CallSpec, enumerated
from pipetask.testing.conformance import ModelConformance


class TestConformance(ModelConformance):
    """Everything that a model has to do."""

    @pytest.fixture
    def model(self) -> QuantumExecutor:
        """Return an instance for one test."""
        return ReverseLabelExecutor()


def test_a_failure_blocks_what_needs_it() -> None:
    """A quantum that fails blocks its dependent, and nothing else."""
    # Two quanta of task a, positions 0 and 1; two of task b, positions 2 and 3, one behind each.
    graph = enumerated({"a": 2, "b": 2}, [(0, 2), (1, 3)])

    def work(id: int) -> None:
        if graph.label(id) == "a" and graph.position(id) == 0:
            raise ValueError("bad data")

    context = ExecutionContext(graph, CallSpec(work))
    outcomes = list(ReverseLabelExecutor().execute(graph, context))
    context.stop.close()

    statuses = Counter(outcome.status for outcome in outcomes)
    assert statuses == {Status.FAILED: 1, Status.BLOCKED: 1, Status.SUCCEEDED: 2}
