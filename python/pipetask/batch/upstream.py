"""What a node has to know of the nodes that it waits for: which of their quanta have not ended well.

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
"""Seconds in which a shared file system shows what another machine has written: NFS may cache a folder for so long."""

_TICK = 2.0


def failed_upstream(
    directory: RunDirectory, index: NodeIndex, node: IndexedNode, quanta: Iterable[IndexedQuantum]
) -> dict[int, int]:
    """Return what is missing of all that some quanta of a node need from other nodes.

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
        By the id of a quantum that has not ended well: the id of the one that went wrong first, which may be itself.

    Notes
    -----
    Where a job has not said that it is over, it was killed, or its last words cannot be seen yet: they are waited
    for, `PATIENCE` seconds in all.
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
    """Return those of some quanta of a node that have not ended well, each with its root."""
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
