"""Look at a graph: the example of the user guide."""

from pipetask import EnumeratedGraph, GraphFile

with GraphFile.of("repo/graph.qg") as file:
    for quantum in EnumeratedGraph(file.structure, file):
        print(quantum.id, quantum.label, quantum.data_id, set(quantum.prerequisites))
