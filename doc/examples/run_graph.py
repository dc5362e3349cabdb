"""Execute a graph from Python: the example of the user guide."""

from pathlib import Path

from rich.console import Console

from pipetask import (
    ExecutionOptions,
    MultiprocessExecutor,
    OutputOptions,
    PreUpdateOptions,
    QuantumGraphExecutor,
    QuantumOptions,
    RunOptions,
    TableProgress,
)
from pipetask.testing import MockPipeline

if __name__ == "__main__":
    failing = {"characterize": {"fail_condition": "exposure=3 AND detector=1"}}
    graph = MockPipeline(exposures=4, detectors=3, configs=failing).make(Path("repo"))

    options = RunOptions(
        collections=OutputOptions(output="u/out", inputs=("input_chain",)),
        pre_update=PreUpdateOptions(register_dataset_types=True),
        execution=ExecutionOptions(quantum=QuantumOptions(timeout=600)),
    )
    executor = QuantumGraphExecutor(MultiprocessExecutor(2), "repo", options, [TableProgress(Console())])
    summary = executor.execute(graph)

    print(summary.status, {status.value: number for status, number in summary.total.items()})
    for outcome in summary.failed:
        why = outcome.error.type_name if outcome.error else outcome.reason
        print(summary.graph.describe(outcome.id), outcome.status.value, why)
