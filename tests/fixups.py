"""Graph fixups that LSST's command and ours both use; each finds this module on PYTHONPATH."""

from __future__ import annotations

import uuid
from typing import Any

from lsst.pipe.base.exec_fixup_data_id import ExecFixupDataId
from lsst.pipe.base.execution_graph_fixup import ExecutionGraphFixup

not_a_factory = "a string"


def last_exposure_first() -> ExecutionGraphFixup:
    """Let each exposure wait for the one after it, against the order in which they would run."""
    return ExecFixupDataId("isr", "exposure", reverse=True)


def needs_an_argument(argument: object) -> ExecutionGraphFixup:
    raise AssertionError("it is called without an argument")


def explodes() -> ExecutionGraphFixup:
    raise ValueError("no fuse")


class OldKind(ExecutionGraphFixup):
    """The same as `last_exposure_first`, with the hook that came first."""

    def fixupQuanta(self, graph: Any) -> Any:
        quanta = sorted(
            (node for node in graph.graph if node.taskDef.label == "isr"),
            key=lambda node: -node.quantum.dataId["exposure"],
        )
        for node in quanta:
            for other in quanta:
                if node.quantum.dataId["exposure"] > other.quantum.dataId["exposure"]:
                    graph.graph.add_edge(node, other)
        return graph


class Nothing(ExecutionGraphFixup):
    """Has no hook at all."""


class Circle(ExecutionGraphFixup):
    """Lets two quanta wait for each other."""

    def fixup_graph(self, xgraph: Any, quanta_by_task: Any) -> None:
        first, second, *_ = quanta_by_task["isr"].values()
        xgraph.add_edges_from([(first, second), (second, first)])


class RemovesOrdering(ExecutionGraphFixup):
    def fixup_graph(self, xgraph: Any, quanta_by_task: Any) -> None:
        xgraph.remove_edge(*next(iter(xgraph.edges)))


class RemovesQuantum(ExecutionGraphFixup):
    def fixup_graph(self, xgraph: Any, quanta_by_task: Any) -> None:
        xgraph.remove_node(next(iter(quanta_by_task["gather"].values())))


class Foreign(ExecutionGraphFixup):
    def fixup_graph(self, xgraph: Any, quanta_by_task: Any) -> None:
        xgraph.add_edge(uuid.UUID(int=7), next(iter(quanta_by_task["isr"].values())))


class Wrong(ExecutionGraphFixup):
    def fixup_graph(self, xgraph: Any, quanta_by_task: Any) -> None:
        raise LookupError("no\nsuch visit")


class LooksAround(ExecutionGraphFixup):
    """Adds nothing, and fails if what pipe_base promises is not there."""

    def fixup_graph(self, xgraph: Any, quanta_by_task: Any) -> None:
        assert {id for quanta in quanta_by_task.values() for id in quanta.values()} == set(xgraph)
        for label, quanta in quanta_by_task.items():
            for data_id, id in quanta.items():
                node = xgraph.nodes[id]
                assert (node["task_label"], node["data_id"]) == (label, data_id)
                assert node["pipeline_node"].label == label
                assert data_id.hasFull()
