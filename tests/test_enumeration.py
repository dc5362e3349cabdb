"""The stream of quanta: topological, lazy, deterministic, and what is begun is finished first."""

from __future__ import annotations

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipetask.errors import PipetaskError
from pipetask.graph.enumeration import EnumeratedGraph
from pipetask.graph.structure import GraphStructure
from pipetask.testing import enumerated


@st.composite
def random_graphs(draw: st.DrawFn) -> tuple[dict[str, int], list[tuple[int, int]]]:
    """Draw numbers of quanta by label, and edges from lower to higher positions."""
    counts = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    size = sum(counts)
    pairs = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1))
    edges = {(min(pair), max(pair)) for pair in draw(st.lists(pairs, max_size=40)) if pair[0] != pair[1]}
    return {f"task{number}": count for number, count in enumerate(counts)}, sorted(edges)


@given(random_graphs())
@settings(max_examples=300, deadline=None)
def test_every_quantum_comes_once_and_after_its_prerequisites(drawn: tuple[dict, list]) -> None:
    counts, edges = drawn
    graph = enumerated(counts, edges)
    seen: set[int] = set()
    for number, quantum in enumerate(graph):
        assert quantum.id == number
        assert quantum.prerequisites <= seen, "a prerequisite must have been seen"
        seen.add(quantum.id)
    assert len(seen) == sum(counts.values())
    streamed = {(p, q.id) for q in graph for p in q.prerequisites}
    assert streamed == {(graph.id(a), graph.id(b)) for a, b in edges}


@given(random_graphs())
@settings(max_examples=100, deadline=None)
def test_order_is_one_of_networkx_topological_sorts(drawn: tuple[dict, list]) -> None:
    counts, edges = drawn
    xgraph = networkx.DiGraph(edges)
    xgraph.add_nodes_from(range(sum(counts.values())))
    order = [quantum.position for quantum in enumerated(counts, edges)]
    place = {node: number for number, node in enumerate(order)}
    assert all(place[a] < place[b] for a, b in xgraph.edges)
    assert sorted(order) == sorted(networkx.topological_sort(xgraph))


@given(random_graphs(), st.data())
@settings(max_examples=100, deadline=None)
def test_excluded_quanta_keep_their_ids_and_nobody_waits_for_them(
    drawn: tuple[dict, list], data: st.DataObject
) -> None:
    counts, edges = drawn
    whole = enumerated(counts, edges)
    ids = {quantum.position: quantum.id for quantum in whole}
    exclude = frozenset(data.draw(st.sets(st.sampled_from(sorted(ids)))))
    rest = EnumeratedGraph(whole.structure, whole.source, exclude)
    streamed = list(rest)
    assert {quantum.position: quantum.id for quantum in streamed} == {
        p: i for p, i in ids.items() if p not in exclude
    }
    left_out = {ids[position] for position in exclude}
    assert all(not quantum.prerequisites & left_out for quantum in streamed)


def test_a_chain_is_finished_before_the_next_is_begun() -> None:
    # isr 0-3, characterize 4-7, gather 8-9: detectors 0 and 1 belong to exposure 8, 2 and 3 to 9.
    edges = [(0, 4), (1, 5), (2, 6), (3, 7), (4, 8), (5, 8), (6, 9), (7, 9)]
    order = [quantum.position for quantum in enumerated({"isr": 4, "characterize": 4, "gather": 2}, edges)]
    assert order == [0, 4, 1, 5, 8, 2, 6, 3, 7, 9]


def test_enumeration_is_lazy_and_repeatable() -> None:
    graph = enumerated({"a": 5})
    stream = iter(graph)
    assert [next(stream).id, next(stream).id] == [0, 1]
    assert [quantum.id for quantum in graph] == list(range(5))
    assert [quantum.id for quantum in stream] == [2, 3, 4]


@pytest.mark.parametrize("edges", [[(0, 1), (1, 0)], [(0, 1), (1, 2), (2, 1), (2, 3)]])
def test_a_cycle_is_an_error(edges: list[tuple[int, int]]) -> None:
    graph = enumerated({"a": 4}, edges)
    with pytest.raises(PipetaskError, match="cycle"):
        list(graph)


def test_lookups() -> None:
    structure = GraphStructure.from_edges({"a": 2, "b": 3}, [(0, 2)])
    assert [structure.label(position) for position in range(5)] == ["a", "a", "b", "b", "b"]
    assert structure.positions("b") == range(2, 5)
    assert structure.quantum_id(3).int == 3
    assert structure.data_id(4) == {"number": 4}


def test_an_empty_graph_has_no_quanta() -> None:
    assert list(enumerated({})) == []


def test_what_the_enumeration_has_not_reached_has_no_id() -> None:
    graph = enumerated({"a": 3})
    with pytest.raises(LookupError, match="has not reached position 0"):
        graph.id(0)
    stream = iter(graph)
    first = next(stream)
    assert graph.position(first.id) == first.position
    with pytest.raises(LookupError, match="has not reached id 1"):
        graph.describe(1)
    list(stream)
    assert sorted(map(graph.id, range(3))) == [0, 1, 2]
