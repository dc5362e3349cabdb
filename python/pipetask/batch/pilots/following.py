"""What a round of pilots has left, and what pilots of another round have to have."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from .deaths import HowEnded, after_death, untold
from .marks import Terms
from .members import read_about
from .places import PilotRound

__all__ = ["Rest", "rest_of"]


@dataclass(frozen=True)
class Rest:
    """Nodes of a round that have not ended."""

    terms: Mapping[int, Terms] = field(default_factory=dict)
    """What is known of each, by number."""

    needs: Mapping[int, Collection[int]] = field(default_factory=dict)
    """What each needs, by number."""

    @property
    def memory(self) -> int:
        """More memory than this in megabytes is needed; 0 if none has run out of it."""
        return max((each.memory for each in self.terms.values()), default=0)

    @property
    def seconds(self) -> float:
        """More walltime than this is needed; 0 if none has had too little."""
        return max((each.seconds for each in self.terms.values()), default=0.0)

    @property
    def is_stuck(self) -> bool:
        """Whether nothing of it can run with pilots of the same kind."""
        first = [
            terms for node, terms in self.terms.items() if self.terms.keys().isdisjoint(self.needs[node])
        ]
        return bool(first) and all(terms.memory or terms.seconds for terms in first)


def rest_of(round: PilotRound, how_ended: HowEnded = untold) -> Rest:
    """Return what a round has left when its pilots have ended.

    Parameters
    ----------
    round
        The round.
    how_ended
        Tells how the job of a pilot was ended.
    """
    marks, nodes = round.marks, round.nodes()
    over, claims = marks.over(), marks.claims()
    offers: dict[int, int] = {}
    for node, generation in marks.offers():
        offers[node] = max(generation, offers.get(node, 0))
    terms: dict[int, Terms] = {}
    for number in nodes.keys() - over:
        known: Terms | None = None
        if offers.get(number, -1) > claims.get(number, -1):
            known = marks.terms_of_offer(number, offers[number]) if offers[number] else None
        elif number in claims:  # its pilot was killed
            found = marks.claim_of(number, claims[number])
            if found is not None:
                known = after_death(found[1], read_about(round.folder, found[0]), how_ended)
        terms[number] = known or Terms()
    return Rest(terms, {number: nodes[number].needs for number in terms})
