"""Say what the batch system knows of the job that a quantum waits for."""

from __future__ import annotations

from collections.abc import Iterator

from ..batch.pilots.look import has_pilots, look_at_pilots
from ..batch.status import NodeState, RunPhase
from .book import BatchBook, KnownQuantum

__all__ = ["of_job"]

_BEFORE = (NodeState.WAITING, NodeState.IDLE, NodeState.RUNNING)
"""States of nodes in which a pilot may come to them."""


def of_job(book: BatchBook, known: KnownQuantum) -> Iterator[str]:
    """Yield sentences about the job of a quantum that has not ended, in a run that is not over.

    Parameters
    ----------
    book
        The run.
    known
        The quantum.
    """
    node, seen = known.node, book.snapshot
    if node is None:
        return
    if seen is None:
        yield f"Its node is {node}; {book.system} cannot be asked here about its job."
        return
    if seen.phase is RunPhase.WRITTEN:
        yield f"The run has not been submitted: pipetask restart {book.directory.path} does that."
        return
    where = f" on {known.host}" if known.host else ""
    for hold in seen.holds:
        if hold.node == node:
            held = "held for a while" if hold.passes else "held"
            yield f"Its job (node {node}) is {held} by {book.system}: {hold.reason}"
            return
    if node in seen.disconnected:
        yield f"Its job (node {node}) waits for a machine{where} that does not answer."
        return
    if seen.states.get(node, NodeState.WAITING) in _BEFORE and has_pilots(book.directory):
        yield look_at_pilots(book.directory).sentence(node)
        return
    yield _of_state(
        seen.states.get(node, NodeState.WAITING), node, where, book.system, seen.refused.get(node)
    )


def _of_state(state: NodeState, node: str, where: str, system: str, refused: str | None) -> str:
    match state:
        case NodeState.WAITING:
            return f"Its job (node {node}) is not in the queue yet: it comes after those of other nodes."
        case NodeState.IDLE:
            return f"Its job (node {node}) is in the queue of {system}, and has no machine yet."
        case NodeState.RUNNING:
            return f"Its job (node {node}) runs{where}, and has not come to it, or has just started it."
        case NodeState.HELD:
            return f"Its job (node {node}) is held by {system}."
        case NodeState.FAILED if refused:
            return f"Its job (node {node}) never got into the queue: {refused}"
        case NodeState.FAILED | NodeState.DONE:
            return f"Its job (node {node}) has ended without having run it; it is run again by a restart."
        case NodeState.BLOCKED:
            return f"Its job (node {node}) will not run, because one that it needs has failed."
        case NodeState.CANCELLED:
            return f"Its job (node {node}) was cancelled; it is run again by a restart."
        case _:
            raise AssertionError(f"node state {state!r}?")
