"""Build a graph from a pipeline and execute it: the example of the user guide."""

from pipetask import QuantumGraphExecutor, RunOptions
from pipetask.executors.in_process import InProcessExecutor
from pipetask.graph_building import build_graph
from pipetask.options.collections import OutputOptions
from pipetask.options.execution import PreUpdateOptions
from pipetask.options.graph import GraphBuildOptions
from pipetask.options.pipeline import PipelineOptions
from pipetask.pipeline.build import build_pipeline

source = build_pipeline(PipelineOptions(pipeline="pipeline.yaml"))
outputs = OutputOptions(inputs=("input_chain",), output="u/me/out")
graph = build_graph("repo", source, GraphBuildOptions(data_query="exposure = 1"), outputs)
print(dict(graph.header.n_task_quanta))

options = RunOptions(collections=outputs, pre_update=PreUpdateOptions(register_dataset_types=True))
summary = QuantumGraphExecutor(InProcessExecutor(), "repo", options).execute(graph)
print(summary.status, {status.value: number for status, number in summary.total.items()})
