"""Packing quanta into nodes, whatever batch system runs them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipetask.batch.bundling import BundlingOptions, NodeGraph, bundle, fuse, read_timings
from pipetask.batch.joins import DENSE, edges_of
from pipetask.errors import UsageError
from pipetask.graph.enumeration import EnumeratedGraph
from pipetask.graph.structure import GraphStructure
from pipetask.testing import enumerated

from test_enumeration import random_graphs  # isort: skip

pytestmark = pytest.mark.usefixtures("speaks_of_flags")

OPTIONS = st.one_of(
    st.just(BundlingOptions()),
    st.builds(BundlingOptions, size=st.integers(1, 12)),
    st.just(BundlingOptions(by=("number",))),
    st.builds(
        BundlingOptions,
        seconds=st.floats(0.1, 20),
        timings=st.just({"task0": 1.0, "task1": 3.0}),
    ),
)


def packed(graph: EnumeratedGraph, options: BundlingOptions | None = None) -> NodeGraph:
    return bundle(graph, graph, options or BundlingOptions())


@settings(max_examples=200, deadline=None)
@given(drawn=random_graphs(), options=OPTIONS)
def test_nodes_hold_each_quantum_once_and_wait_for_all_that_theirs_need(
    drawn: tuple[dict, list], options: BundlingOptions
) -> None:
    graph = enumerated(*drawn)
    nodes = packed(graph, options).nodes
    homes = {id: node.number for node in nodes for id in node.ids}
    assert sorted(homes) == [quantum.id for quantum in graph]
    assert sum(len(node.ids) for node in nodes) == len(homes)
    for quantum in graph:
        home = homes[quantum.id]
        others = {homes[before] for before in quantum.prerequisites} - {home}
        assert others <= set(nodes[home].needs)
    for node in nodes:
        assert list(node.ids) == sorted(node.ids)
        assert all(before < node.number for before in node.needs), "so the graph of nodes has no cycle"
        assert all(nodes[before].level < node.level for before in node.needs)


@settings(max_examples=200, deadline=None)
@given(drawn=random_graphs(), options=OPTIONS, dense=st.sampled_from([0, 1.5, DENSE]))
def test_the_edges_that_are_written_make_no_cycle_and_lose_no_order(
    drawn: tuple[dict, list], options: BundlingOptions, dense: float
) -> None:
    graph = enumerated(*drawn)
    nodes = packed(graph, options).nodes
    dag = networkx.DiGraph()
    dag.add_nodes_from(node.number for node in nodes)
    for number, edges in enumerate(edges_of(nodes, dense)):
        dag.add_edges_from((parent, ("join", number)) for parent in edges.parents)
        dag.add_edges_from((("join", number), child) for child in edges.children)
    assert networkx.is_directed_acyclic_graph(dag)
    for node in nodes:
        assert set(node.needs) <= networkx.ancestors(dag, node.number)


def test_a_dense_graph_is_written_in_lines_proportional_to_its_nodes() -> None:
    size = 100
    # Each b needs all but one of the a, another one each time: no two need the same.
    edges = [(i, size + j) for i in range(size) for j in range(size) if i != j]
    nodes = packed(enumerated({"a": size, "b": size}, edges), BundlingOptions(size=1)).nodes
    assert sum(edges.ends for edges in edges_of(nodes, math.inf)) > DENSE * len(nodes)
    assert sum(edges.ends for edges in edges_of(nodes)) <= DENSE * len(nodes)


def test_what_only_continues_something_joins_it() -> None:
    # a → b → c, where c needs a as well; and d gathers two such chains.
    edges = [(0, 2), (1, 3), (0, 4), (2, 4), (1, 5), (3, 5), (4, 6), (5, 6)]
    nodes = packed(enumerated({"a": 2, "b": 2, "c": 2, "d": 1}, edges), BundlingOptions(size=3)).nodes
    assert [node.labels for node in nodes] == [("a", "b", "c"), ("a", "b", "c"), ("d",)]
    assert nodes[2].needs == (0, 1)


def test_a_quantum_that_many_wait_for_is_not_the_beginning_of_a_chain() -> None:
    groups, levels = fuse([0, 1, 1, 1], [(), (0,), (0,), (0,)])
    assert groups == [0, 1, 2, 3]
    assert levels == [0, 1, 1, 1]


def test_the_size_says_how_many_quanta_a_node_has() -> None:
    graph = enumerated({"a": 10})
    assert [len(node.ids) for node in packed(graph, BundlingOptions(size=4)).nodes] == [4, 4, 2]


@pytest.mark.parametrize(
    ("quanta", "line"),
    [
        (1, "1 quanta in 1 nodes, one each"),
        (100, "100 quanta in 10 nodes, ~10 each"),
        (82_000, "82,000 quanta in 1,640 nodes, ~50 each"),
    ],
)
def test_without_options_nodes_grow_with_the_graph_up_to_a_limit(quanta: int, line: str) -> None:
    assert packed(enumerated({"a": quanta})).explain() == line


def test_nodes_are_filled_with_the_work_that_is_expected() -> None:
    options = BundlingOptions(seconds=10, timings={"a": 5.0, "b": 20.0})
    nodes = packed(enumerated({"a": 5, "b": 2}), options).nodes
    assert sorted((node.labels, len(node.ids)) for node in nodes) == [
        (("a",), 1),
        (("a",), 2),
        (("a",), 2),
        (("b",), 1),
        (("b",), 1),
    ]


def visits(count: int, detectors: int) -> EnumeratedGraph:
    """Return a graph of two tasks on detectors of visits, one that gathers visits, and one that gathers all."""
    pairs = [(visit, detector) for visit in range(count) for detector in range(detectors)]
    size = len(pairs)
    edges = [(i, size + i) for i in range(size)]
    edges += [(size + i, 2 * size + visit) for i, (visit, _) in enumerate(pairs)]
    edges += [(2 * size + visit, 2 * size + count) for visit in range(count)]
    import numpy as np

    structure = GraphStructure(
        ["isr", "characterize", "gather", "coadd"],
        [("exposure", "detector"), ("visit", "detector"), ("visit",), ("tract",)],
        [size, size, count, 1],
        bytes(16 * (2 * size + count + 1)),
        [*pairs, *pairs, *((visit,) for visit in range(count)), (0,)],
        np.array(edges, dtype=np.int32),
    )
    return EnumeratedGraph(structure, None)  # type: ignore[arg-type]  # its content is never read


def test_a_dimension_keeps_together_all_that_shares_it() -> None:
    nodes = packed(visits(3, 4), BundlingOptions(by=("visit",))).nodes
    assert [(node.labels, len(node.ids), node.needs) for node in nodes] == [
        (("isr", "characterize", "gather"), 9, ()),
        (("isr", "characterize", "gather"), 9, ()),
        (("isr", "characterize", "gather"), 9, ()),
        (("coadd",), 1, (0, 1, 2)),
    ]


def test_a_dimension_that_no_task_has_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"--bundle-by patch: no task of the graph has that dimension; there are"
    ):
        packed(visits(1, 1), BundlingOptions(by=("patch",)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "at least one quantum"),
        ({"seconds": 1.0}, "--bundle-seconds needs --timings"),
        ({"seconds": 1.0, "size": 2, "timings": {"a": 1.0}}, "exclude each other"),
    ],
)
def test_options_without_meaning_are_refused(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        BundlingOptions(**options)


def test_timings_are_read_from_a_summary(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    reports = [{"taskLabel": "a"}, {"taskLabel": "b"}, {"taskLabel": "a"}, {"taskLabel": "b"}]
    quanta = [{"start": 0, "end": 2}, {"start": 1, "end": 2}, {"start": 0, "end": 4}, {}]
    path.write_text(json.dumps({"quantaReports": reports, "quanta": quanta}))
    assert read_timings(str(path)) == {"a": 3.0, "b": 1.0}


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"quantaReports": [], "quanta": []}'])
def test_what_is_no_summary_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "x").write_text(content)
    with pytest.raises(UsageError, match="--timings"):
        read_timings(str(tmp_path / "x"))
