"""A round: the arrays that are submitted together.  A run has one, unless something has to run again."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..names import FINAL
from .arrays import Demand, JobArray
from .configuration import QueueConfiguration
from .dialect import Dialect, Written
from .layout import Layout, RunRecord
from .limits import Limits

__all__ = ["Round", "array_file", "is_final", "read_rounds", "settings_of", "write_round"]


@dataclass(frozen=True)
class Round:
    """Arrays that are submitted together, the last of them with the final node."""

    number: int
    """From 1."""

    starts: bool
    """Whether a person started it, and no job: budgets count from here."""

    arrays: Sequence[JobArray]
    limits: Limits
    left_out: int = 0
    """Nodes for which there is no room now; the final job submits them."""

    causes: Mapping[str, str] = field(default_factory=dict)
    """Why nodes run again, by name; see `pipetask.batch.rounds.Cause`."""

    done: Sequence[str] = ()
    """Names of nodes that were done before."""

    since: int = 0
    """Quanta that have failed in attempts which began later stay failed, in nanoseconds since 1970-01-01 UTC."""

    @property
    def nodes(self) -> int:
        """Number of nodes, the first and the final one left out."""
        return sum(len(array.nodes) for array in self.arrays if array.labels)

    def places(self) -> Iterator[tuple[str, int, int]]:
        """Yield each node with the numbers of its array and of its element."""
        for array in self.arrays:
            for task, node in enumerate(array.nodes):
                yield node, array.number, task


def array_file(layout: Layout, round: int, array: int, suffix: str) -> Path:
    """Return a file of an array: its script, or the names of its nodes."""
    return layout.round(round) / f"array-{array}.{suffix}"


def settings_of(configuration: QueueConfiguration[Any], array: JobArray) -> Any:
    """Return what holds for the jobs of an array."""
    return configuration.for_labels(array.labels) if array.labels else configuration.for_node(array.nodes[0])


def write_round(
    system: Dialect[Any],
    layout: Layout,
    run_directory: Path,
    configuration: QueueConfiguration[Any],
    record: RunRecord,
    new: Round,
) -> None:
    """Write the scripts of a round; one of that number that was not submitted is replaced.

    Parameters
    ----------
    system
        Writes scripts.
    layout
        Where to write.
    run_directory
        Where the run directory will be.
    configuration
        The settings.
    record
        The run.
    new
        The round.
    """
    target = layout.round(new.number)
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        draft.mkdir(parents=True)
        for array in new.arrays:
            settings = settings_of(configuration, array)
            written = Written(
                array, new.number, settings, configuration.run, run_directory, record, new.since
            )
            name = f"array-{array.number}"
            (draft / f"{name}.nodes").write_text("".join(f"{node}\n" for node in array.nodes))
            text = system.script(written)
            (draft / f"{name}.sh").write_text(text, encoding="utf-8", errors="surrogateescape")
            (draft / f"{name}.json").write_text(json.dumps(system.options(written), indent=1) + "\n")
        (draft / "round.json").write_text(json.dumps(asdict(new)) + "\n")
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def read_rounds(layout: Layout) -> list[Round]:
    """Read all rounds of a run, oldest first."""
    return [_round(json.loads(path.read_text())) for path in sorted(layout.folder.glob("round-*/round.json"))]


def _round(content: dict[str, Any]) -> Round:
    arrays = [_array(each) for each in content.pop("arrays")]
    return Round(arrays=arrays, limits=Limits(**content.pop("limits")), **content)


def _array(content: dict[str, Any]) -> JobArray:
    content |= {name: tuple(content[name]) for name in ("labels", "nodes", "needs")}
    return JobArray(demand=Demand(**content.pop("demand")), **content)


def is_final(array: JobArray) -> bool:
    """Return whether an array is the final node."""
    return array.nodes == (FINAL,)
