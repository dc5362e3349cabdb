"""What a page is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ...graph.enumeration import EnumeratedGraph
from ..facts.run import RunFacts
from ..failures import RunAlone
from ..summary import RunSummary

__all__ = ["Subject"]


@dataclass(frozen=True, repr=False)
class Subject:
    """A run, and what its page says besides the facts."""

    summary: RunSummary
    facts: RunFacts
    run_alone: RunAlone
    """Returns the command that runs only the quantum with a UUID; for those that failed."""

    command: Sequence[str] = ()
    """The command that ran."""

    requested_memory: Mapping[str, float] = field(default_factory=dict)
    """Bytes that were requested for a quantum, by label, where that is known."""

    options: Mapping[str, str] = field(default_factory=dict)
    """Options that do not have their default, as text by name."""

    refresh: float | None = None
    """Seconds after which a browser is to load the page again, because it will have been replaced."""

    @property
    def graph(self) -> EnumeratedGraph:
        """The quanta."""
        return self.summary.graph

    @cached_property
    def group_of(self) -> dict[int, int]:
        """The number of the group of errors, by the id of a quantum that has failed."""
        return {id: number for number, group in enumerate(self.facts.errors) for id in group.failed}

    def data_id(self, id: int) -> str:
        """Return the data ID of a quantum as text."""
        return self.data_id_at(self.graph.position(id))

    def data_id_at(self, position: int) -> str:
        """Return the data ID of the quantum at a position as text."""
        values = self.graph.structure.data_id(position)
        return ", ".join(f"{name} {value}" for name, value in values.items())
