"""Say what would run, and write nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator, Iterable
from contextlib import nullcontext
from pathlib import Path

from ..graph.enumeration import EnumeratedGraph, QuantumData
from ..options.declaration import check_group, refuse_group
from ..options.models import DryRunOptions
from ..outcome import QuantumOutcome, Status
from .base import ExecutionContext, QuantumExecutor, Traits

__all__ = ["DryRunExecutor"]


class DryRunExecutor(QuantumExecutor):
    """Lists quanta in the order in which they would start, and those that would be skipped, with the reason.

    Parameters
    ----------
    plan
        File to write the plan to, one JSON object a line; `None`: readable lines on standard output.
    """

    traits = Traits(executes=False, resources=True)
    options_group = DryRunOptions

    def __init__(self, plan: str | None = None):
        refuse_group(plan, "plan")
        self._plan = plan

    @classmethod
    def from_options(cls, options: DryRunOptions) -> DryRunExecutor:
        """Make an instance for the command line."""
        check_group(options, DryRunOptions)
        return cls(options.plan)

    def execute(
        self, quanta: Iterable[QuantumData], context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        """List a stream of quanta."""
        write = _json if self._plan else _readable
        next_id = 0
        with Path(self._plan).open("w") if self._plan else nullcontext(sys.stdout) as out:
            for quantum in quanta:
                # The stream leaves out quanta that are done or not selected.
                for id in range(next_id, quantum.id):
                    if context.graph.position(id) in context.done:
                        print(write(context.graph, id, None), file=out)
                again = quantum.position in context.registered_before
                print(write(context.graph, quantum.id, sorted(quantum.prerequisites), again=again), file=out)
                next_id = quantum.id + 1
                yield QuantumOutcome(quantum.id, Status.PLANNED)
            for id in range(next_id, len(context.graph.structure)):
                if context.graph.position(id) in context.done:
                    print(write(context.graph, id, None), file=out)


_DONE = "done already: its metadata is in the output run"
_AGAIN = "an earlier attempt left outputs, which --clobber-outputs replaces"


def _readable(
    graph: EnumeratedGraph, id: int, prerequisites: list[int] | None, *, again: bool = False
) -> str:
    if prerequisites is None:
        return f"{id}  skip {graph.describe(id)}: {_DONE}"
    after = f", after {', '.join(map(str, prerequisites))}" if prerequisites else ""
    return f"{id}  run {graph.describe(id)}{after}" + (f" ({_AGAIN})" if again else "")


def _json(graph: EnumeratedGraph, id: int, prerequisites: list[int] | None, *, again: bool = False) -> str:
    row = {
        "id": id,
        "label": graph.label(id),
        "dataId": graph.data_id(id),
        "quantumId": str(graph.quantum_id(id)),
    }
    if prerequisites is None:
        return json.dumps(row | {"action": "skip", "reason": _DONE})
    note = {"note": _AGAIN} if again else {}
    return json.dumps(row | {"action": "run", "prerequisites": prerequisites} | note)
