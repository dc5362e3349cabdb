"""DAGMan's own account of the nodes of a DAG: the file that it writes for ``NODE_STATUS_FILE``, now and then."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

from ..status import NodeState
from .bindings import condor, says_condor

__all__ = ["NodeStatusFile"]

_BEGIN = "[\n"
"""Of each of the ClassAds that the file is made of."""


class _Status(IntEnum):
    """Numbers of DAGMan's node states that event logs do not tell."""

    ERROR = 6
    FUTILE = 7


_STATES = {_Status.ERROR: NodeState.FAILED, _Status.FUTILE: NodeState.BLOCKED}


class NodeStatusFile:
    """The file, and what was last found in it.

    Parameters
    ----------
    path
        The file, which need not exist yet.
    """

    def __init__(self, path: Path):
        self._path = path
        self._version: tuple[int, int] | None = None
        self._states: dict[str, NodeState] = {}

    def states(self) -> dict[str, NodeState]:
        """Return the nodes that will not run, because they have failed or what they wait for has.

        Raises
        ------
        PipetaskError
            If the file cannot be read.
        """
        # DAGMan gives it its name when it is whole, so that another version is another file.
        found = self._path.stat() if self._path.exists() else None
        version = (found.st_ino, found.st_mtime_ns) if found is not None else None
        if version != self._version:
            self._version = version
            self._states = dict(self._read()) if version is not None else {}
        return self._states

    def _read(self) -> Iterator[tuple[str, NodeState]]:
        with says_condor(f"{self._path} cannot be read"):
            classad = condor().classad.ClassAd
            # One by one: the time in which the bindings parse many together grows with the square of their number.
            texts = self._path.read_text().removeprefix(_BEGIN).split(f"\n{_BEGIN}")
            dag, *nodes = (_BEGIN + text for text in texts)
            counts = classad(dag)
            if not counts["NodesFutile"] and not counts["NodesFailed"]:
                return
            for node in map(classad, nodes):
                if (state := _STATES.get(node.get("NodeStatus"))) is not None:
                    yield node["Node"], state
