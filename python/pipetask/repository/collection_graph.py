"""The collections of a repository and the chains that contain them, at one moment."""

from __future__ import annotations

import networkx as nx
from lsst.daf.butler import Butler, CollectionType

from ..errors import PipetaskError, did_you_mean

__all__ = ["check_is_chain", "collection_graph", "type_of"]


def collection_graph(butler: Butler) -> nx.DiGraph:
    """Read all collections, in one query.

    Parameters
    ----------
    butler
        The repository.

    Returns
    -------
    graph
        Its nodes are names of collections, with a ``type``; edges lead from each chain to its children.
    """
    graph = nx.DiGraph()
    found = butler.collections.query_info("*")
    for info in found:
        graph.add_node(info.name, type=info.type)
    for info in found:
        graph.add_edges_from((info.name, child) for child in info.children)
    return graph


def type_of(graph: nx.DiGraph, name: str) -> CollectionType:
    """Return the type of a collection in a graph."""
    return graph.nodes[name]["type"]


def check_is_chain(graph: nx.DiGraph, name: str) -> None:
    """Check that a name is that of a CHAINED collection.

    Raises
    ------
    PipetaskError
        If there is no such collection, or if it is of another type.
    """
    if name not in graph:
        hint = did_you_mean(name, graph, "check the name.")
        raise PipetaskError(f"There is no collection {name!r}{hint}")
    if (kind := type_of(graph, name)) is not CollectionType.CHAINED:
        raise PipetaskError(
            f"Collection {name!r} is of type {kind.name}: name a CHAINED collection (butler remove-runs and "
            "remove-collections remove others)."
        )
