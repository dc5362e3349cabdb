"""Find out which quanta that a node needs from other nodes have not succeeded.

A batch system knows nodes, and starts one when those that it waits for have *ended*.  Which of its quanta can run is
decided here, by what became of each of the quanta that they need.  So a quantum that fails stops those that need it,
and not those that need its neighbours in a bundle.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterable

from .index import IndexedNode, IndexedQuantum, NodeIndex
from .ledger import Ledger
from .run_directory import RunDirectory

__all__ = ["failed_upstream"]

PATIENCE = 60.0
"""Seconds until a shared file system shows what another machine has written; NFS may cache a folder this long."""

_TICK = 2.0


def failed_upstream(
    directory: RunDirectory, index: NodeIndex, node: IndexedNode, quanta: Iterable[IndexedQuantum]
) -> dict[int, int]:
    """Return the quanta of other nodes that some quanta of a node need and that have not succeeded.

    Parameters
    ----------
    directory
        The run.
    index
        Its index.
    node
        The node.
    quanta
        The quanta of the node that are to run.

    Returns
    -------
    roots
        For each of these, by id, the id of the quantum that failed first, which may be itself.

    Notes
    -----
    A job without an end record was killed, or its last writes are not visible yet; wait up to `PATIENCE` seconds for
    them.
    """
    needed = {before for quantum in quanta for before in quantum.needs}
    deadline = time.monotonic() + PATIENCE
    roots: dict[int, int] = {}
    for number in node.needs:
        wanted = needed & {quantum.id for quantum in index.node(str(number)).quanta}
        roots |= _missing(directory, number, wanted, deadline)
    return roots


def _missing(
    directory: RunDirectory, number: int, wanted: Collection[int], deadline: float
) -> dict[int, int]:
    """Return those of some quanta of a node that have not succeeded, each with its root."""
    ledger = Ledger(directory)
    waits = False
    while True:
        record = ledger.node(number)
        roots = record.roots(wanted)
        if not roots or record.exit_code is not None or time.monotonic() > deadline:
            return roots
        if not waits:
            print(f"waiting for what node {number} has written, {PATIENCE:.0f} s at most", file=sys.stderr)
        waits = True
        time.sleep(_TICK)
