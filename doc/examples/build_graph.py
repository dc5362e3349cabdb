"""Build a graph from a pipeline and execute it: the example of the user guide."""

from pipetask import (
    GraphBuildOptions,
    InProcessExecutor,
    OutputOptions,
    PipelineOptions,
    PreUpdateOptions,
    QuantumGraphExecutor,
    RunOptions,
    build_graph,
    build_pipeline,
)

source = build_pipeline(PipelineOptions(pipeline="pipeline.yaml"))
outputs = OutputOptions(inputs=("input_chain",), output="u/me/out")
graph = build_graph("repo", source, GraphBuildOptions(data_query="exposure = 1"), outputs)
print(dict(graph.header.n_task_quanta))

options = RunOptions(collections=outputs, pre_update=PreUpdateOptions(register_dataset_types=True))
summary = QuantumGraphExecutor(InProcessExecutor(), "repo", options).execute(graph)
print(summary.status, {status.value: number for status, number in summary.total.items()})
