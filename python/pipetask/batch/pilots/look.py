"""What a person wants to know of the pilots of a run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import PipetaskError
from ..run_directory import RunDirectory
from ..status import ENDED, NodeState
from .marks import Terms
from .members import About, Member, Members
from .places import PilotNode, PilotRound, last_round

__all__ = ["KnownPilot", "PilotLook", "has_pilots", "look_at_pilots"]

_MISSED = 4
"""Signs of life after which a pilot is shown as one that may be dead."""


@dataclass(frozen=True)
class KnownPilot:
    """A pilot, as it has described itself last."""

    member: Member
    about: About
    node: str | None
    """The node that it runs."""

    is_silent: bool = False
    """Whether it has missed several signs of life, and may be dead: others have not waited long enough to say so."""

    @property
    def state(self) -> str:
        """What it does, in a word."""
        if self.member.has_left:
            return "left"
        if self.is_silent:
            return "silent"
        return "waits" if self.node is None else "runs"

    def json(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`."""
        return {
            "id": self.member.id,
            "state": self.state,
            "node": self.node,
            "ended": self.member.ended,
            **self.about.__dict__,
        }


@dataclass(frozen=True)
class PilotLook:
    """What was seen at one moment; a pilot that was killed is there until another one has noticed that."""

    round: PilotRound
    pilots: list[KnownPilot]
    ready: dict[str, Terms]
    """Nodes that may be taken, by name."""

    over: bool = False
    """Whether it is known that no pilot is left."""

    @property
    def there(self) -> list[KnownPilot]:
        """Those that have not left."""
        if self.over:
            return []
        return [pilot for pilot in self.pilots if not pilot.member.has_left]

    def laid_over(self, states: Mapping[str, NodeState]) -> dict[str, NodeState]:
        """Return states of nodes with those that may be taken, or are, unless they have ended."""
        found = dict.fromkeys(self.ready, NodeState.IDLE)
        found |= {pilot.node: NodeState.RUNNING for pilot in self.there if pilot.node is not None}
        return {**states, **{name: each for name, each in found.items() if states.get(name) not in ENDED}}

    def sentence(self, node: str) -> str:
        """Return what a node waits for that has not ended."""
        for pilot in self.there:
            if pilot.node == node:
                name = pilot.about.job or pilot.member.id
                return f"A pilot ({name} on {pilot.about.host}) runs its node {node}, and has not come to it."
        if node not in self.ready:
            return f"Its node {node} waits for others; then a pilot can take it."
        if (needs := self._is_too_much(self.ready[node])) is not None:
            return f"Its node {node} needs a pilot with more {needs}, and there is none."
        return f"Its node {node} is ready, and no pilot has taken it yet."

    def notes(self, directory: RunDirectory) -> Iterator[str]:
        """Yield in one line each what a person should know."""
        there = Counter(pilot.state for pilot in self.there)
        if there:
            silent = f", {there['silent']} may be dead" if there["silent"] else ""
            yield f"Pilots: {there['runs']} run a node, {there['waits']} wait{silent}."
        lacking: dict[str, list[str]] = {}
        for name, terms in self.ready.items():
            if (needs := self._is_too_much(terms)) is not None:
                lacking.setdefault(needs, []).append(name)
        for needs, names in lacking.items():
            who = f"{names[0]} needs" if len(names) == 1 else f"{len(names)} nodes (such as {names[0]}) need"
            how = (
                f"restart {directory.path}" if self.over else f"pilots {directory.path} --add 1 {_how(needs)}"
            )
            yield f"{who} a pilot with more {needs}: pipetask {how}"

    def _is_too_much(self, terms: Terms) -> str | None:
        """Return what a node needs that no pilot has."""
        there = [pilot.about for pilot in self.there]
        if terms.memory and not any(about.memory is None or about.memory > terms.memory for about in there):
            return f"memory than {terms.memory} MB"
        if terms.seconds and not any(
            about.seconds is None or about.seconds > terms.seconds for about in there
        ):
            return f"walltime than {terms.seconds / 60:.0f} minutes"
        return None


def _how(needs: str) -> str:
    return "--memory …" if needs.startswith("memory") else "--walltime …"


def look_at_pilots(directory: RunDirectory, *, over: bool = False) -> PilotLook:
    """Look at the pilots of the last round of a run.

    Parameters
    ----------
    directory
        The run.
    over
        Whether it is known that no pilot is left.

    Raises
    ------
    PipetaskError
        If the run has no pilots.
    """
    round = last_round(directory.path)
    nodes, marks = round.nodes(), round.marks
    members = Members(round.folder, round.settings.stale)
    members.look()
    ended = marks.over()
    since = time.time() - _MISSED * round.settings.beat
    pilots = [_known(members, member, nodes, ended, since) for member in members]
    ready: dict[str, Terms] = {}
    for number, generation in sorted(marks.offers()):
        terms = marks.terms_of_offer(number, generation) if generation else Terms()
        if terms is not None and number not in ended and not marks.is_claimed(number, generation):
            ready[nodes[number].name] = terms
    return PilotLook(round, sorted(pilots, key=lambda pilot: pilot.about.began), ready, over)


def _known(
    members: Members, member: Member, nodes: dict[int, PilotNode], over: set[int], since: float
) -> KnownPilot:
    about = members.about(member) or About("?", 0, None, None, 0.0)
    claim = member.claim
    runs = claim is not None and claim[0] not in over
    name = nodes[claim[0]].name if claim is not None and runs else None
    sign = members.last_sign(member)
    return KnownPilot(member, about, name, sign is not None and sign < since)


def has_pilots(directory: RunDirectory) -> bool:
    """Return whether the nodes of a run are taken by pilots."""
    try:
        last_round(directory.path)
    except PipetaskError:
        return False
    return True
