"""The text of a DAG: generators yield its lines, one place touches the disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..bundling import Node
from ..graph_parts import Part
from ..joins import Edges, edges_of
from ..names import FINAL, FIRST, node_name
from .layout import CONFIG, NODE_STATUS, submit_file
from .quoting import vars_text

__all__ = ["NO_JOB", "DagText", "retried"]

NO_JOB = "no_job"
"""Name of the submit description of nodes that only join others."""

_JOIN = "join"

_REMOVED = 4
"""What DAGMan gives scripts for ``$DAG_STATUS`` when it has been removed from the queue."""

_NOT_SUBMITTED = -1001
"""What DAGMan gives scripts for ``$RETURN`` when a job never got into the queue."""

_INTERVAL = 120
"""Seconds, at least, between two times that DAGMan writes its account of all nodes: 15 MB where there are 80,000."""


@dataclass(frozen=True)
class DagText:
    """What a DAG is made of."""

    nodes: Iterable[Node]
    """All of them; gone through several times."""

    kinds: Mapping[tuple[str, ...], str]
    """Name of the submit description, by labels."""

    attributes: Mapping[str, str]
    """Attributes of the DAGMan job, as ClassAd expressions."""

    first: bool
    """Whether there is a node before all others."""

    goes_on: bool = True
    """Whether a node runs when those that it waits for have ended, however they did: its job finds out what can run."""

    comment: str = ""
    parts: Sequence[Part] = ()
    """Nodes whose jobs do not see the run directory, and get a part of it."""

    def lines(self) -> Iterator[str]:
        """Yield the lines."""
        yield f"# {self.comment.encode('unicode_escape').decode()}"
        yield f"CONFIG {CONFIG}"
        yield f"NODE_STATUS_FILE {NODE_STATUS} {_INTERVAL}"
        for name, expression in self.attributes.items():
            yield f"SET_JOB_ATTR {name} = {expression}"
        yield from self._jobs()
        yield 'VARS ALL_NODES node="$(JOB)"'
        yield from self._parts()
        if self.goes_on:
            yield f"SCRIPT POST ALL_NODES /usr/bin/test {_goes_on()}"
        yield from self._edges()
        yield f"FINAL {FINAL} {submit_file(FINAL)}"

    def _jobs(self) -> Iterator[str]:
        if self.first:
            yield f"JOB {FIRST} {submit_file(FIRST)}"
        for node in self.nodes:
            yield f"JOB {node_name(node)} {submit_file(self.kinds[node.labels])}"

    def _parts(self) -> Iterator[str]:
        for part in self.parts:
            for node in part.nodes:
                yield f"VARS {node_name(node)} part={vars_text(part.name)}"

    def _edges(self) -> Iterator[str]:
        names = [node_name(node) for node in self.nodes]
        if self.first:
            roots = [names[node.number] for node in self.nodes if not node.needs]
            yield from _lines([FIRST], roots)
        joins = 0
        for edges in edges_of(self.nodes):
            parents, children = _named(edges, names)
            if edges.many_to_many:
                joins += 1
                yield f"JOB {_JOIN}-{joins} {submit_file(NO_JOB)} NOOP"
                yield from _lines(parents, [f"{_JOIN}-{joins}"])
                yield from _lines([f"{_JOIN}-{joins}"], children)
            else:
                yield from _lines(parents, children)


def _goes_on() -> str:
    """Return when a node that has ended counts as one that has succeeded, so that others may begin.

    Without the registry made ready, none makes sense; while the DAG is being removed, DAGMan would begin another
    besides the final node, which it takes for a fault of its own; and from a job that never was there will be no word.
    """
    stays = f"$DAG_STATUS != {_REMOVED}"
    return f"{stays} -a $JOB != {FIRST} -a $RETURN != {_NOT_SUBMITTED} -o {stays} -a $RETURN = 0"


def retried(done: Iterable[str], memory: Mapping[str, int]) -> Iterator[str]:
    """Yield the lines of a rescue DAG: what is done, and what has to ask for more memory than it did at first."""
    for name in done:
        yield f"DONE {name}"
    for name, megabytes in memory.items():
        yield f"VARS {name} memory={vars_text(str(megabytes))}"


def _named(edges: Edges, names: list[str]) -> tuple[list[str], list[str]]:
    return [names[number] for number in edges.parents], [names[number] for number in edges.children]


def _lines(parents: list[str], children: list[str], *, most: int = 100) -> Iterator[str]:
    """Yield edges from all of some to all of others, where one of the two is a single node, in lines of some length."""
    for first in range(0, len(parents), most):
        for second in range(0, len(children), most):
            yield (
                f"PARENT {' '.join(parents[first : first + most])} "
                f"CHILD {' '.join(children[second : second + most])}"
            )
