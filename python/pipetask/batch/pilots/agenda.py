"""What a pilot does next: it takes nodes that are ready, passes on what becomes ready, and takes over from the dead."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from .deaths import HowEnded, after_death, untold
from .marks import Claim, NodeMarks, Terms
from .members import Member, Members, Membership
from .places import PilotNode, PilotRound

__all__ = ["Abilities", "Agenda"]

_MISSES = 2
"""Nodes that others have taken before this pilot lists again what is ready."""

_SPREAD = 4
"""Pilots take one of the next so many nodes for each pilot, so that they seldom want the same."""

_CLEARLY = 1.1
"""How many times the walltime in which a node has not ended has to be left for another attempt."""


@dataclass(frozen=True)
class Abilities:
    """What a pilot has to offer."""

    memory: int | None = None
    """Megabytes; `None` if that is not known."""

    end: float | None = None
    """When its walltime ends, by its own clock; `None` if that is not known."""

    clock: Callable[[], float] = time.monotonic

    def left(self) -> float | None:
        """Return the seconds that are left of the walltime."""
        return None if self.end is None else self.end - self.clock()


class Agenda:
    """Decides what one pilot does; every step is some operations on files, as many as the node has neighbours.

    Parameters
    ----------
    round
        What there is to run.
    me
        The pilot.
    members
        What it knows of all pilots.
    abilities
        What it has to offer.
    seed
        Of the order in which it takes what is ready.
    how_ended
        Tells how the job of a dead pilot was ended.
    """

    def __init__(
        self,
        round: PilotRound,
        me: Membership,
        members: Members,
        abilities: Abilities | None = None,
        seed: object = None,
        how_ended: HowEnded = untold,
    ):
        self._me, self._members, self._abilities = me, members, abilities or Abilities()
        self._marks: NodeMarks = round.marks
        self._how_ended = how_ended
        self._retries = round.settings.retries
        self._nodes: Mapping[int, PilotNode] = round.nodes()
        self._dependents = _turned_round(self._nodes)
        self._over: set[int] = set()
        self._queue: list[tuple[int, int]] = []
        self._terms: dict[tuple[int, int], Terms] = {}
        self._longest: dict[str, float] = {}
        self._random = random.Random(str(seed))
        self.short_of_time = False
        """Whether, at the last look, there was something for which this pilot has too little walltime left."""

    def node(self, claim: Claim) -> PilotNode:
        """Return the node that was taken."""
        return self._nodes[claim.node]

    def time_left(self) -> float | None:
        """Return the seconds that are left of the pilot's walltime."""
        return self._abilities.left()

    # Taking.

    def take(self) -> Claim | None:
        """Take a node; return `None` if there is none for this pilot now."""
        misses = 0
        while True:
            if not self._queue or misses >= _MISSES:
                self._queue, misses = self._list(), 0
                if not self._queue:
                    break
            offer = self._queue.pop()
            terms = self._terms_of(offer)
            if not self._marks.is_offered(*offer):
                misses += 1
            elif terms is not None and self._suits(offer[0], terms):
                if (claim := self._claim(*offer, terms)) is not None:
                    return claim
                misses += 1
        if (claim := self._take_over()) is None:
            self._me.wait()
        return claim

    def _list(self) -> list[tuple[int, int]]:
        """Return what is ready and suits, the next one last; those that come early in the graph come first."""
        self.short_of_time = False
        offers = [offer for offer in sorted(self._marks.offers()) if self._is_for_me(offer)]
        window = _SPREAD * max(1, len(self._members.living()))
        blocks = [offers[start : start + window] for start in range(0, len(offers), window)]
        for block in blocks:
            self._random.shuffle(block)
        return [offer for block in reversed(blocks) for offer in block]

    def _is_for_me(self, offer: tuple[int, int]) -> bool:
        terms = self._terms_of(offer)
        return terms is not None and self._suits(offer[0], terms)

    def _terms_of(self, offer: tuple[int, int]) -> Terms | None:
        if not offer[1]:
            return Terms()
        if offer not in self._terms:
            found = self._marks.terms_of_offer(*offer)
            if found is None:
                return None
            self._terms[offer] = found
        return self._terms[offer]

    def _suits(self, node: int, terms: Terms) -> bool:
        has, left = self._abilities, self._abilities.left()
        if has.memory is not None and has.memory <= terms.memory:
            return False
        expected = max(_CLEARLY * terms.seconds, self._longest.get(self._nodes[node].kind, 0.0))
        if left is not None and left <= expected:
            self.short_of_time = True
            return False
        return True

    def _claim(self, node: int, generation: int, terms: Terms) -> Claim | None:
        # Said before, so that a pilot that finds this one dead knows what it may have taken.
        self._me.take(node, generation)
        claim = Claim(node, generation, terms)
        taken = self._marks.claim(claim, self._me.id)
        self._marks.withdraw(node, generation)
        if taken and generation and self._marks.is_over(node):
            self._pass_on(node)  # its last pilot ended it, and died before it could do this
            return None
        return claim if taken else None

    def _take_over(self) -> Claim | None:
        """Take what a dead pilot ran; of several who try, one can."""
        self._members.look()
        for member in self._members.dead():
            if member.id == self._me.id:  # this process was stopped for a while
                continue
            claim = self._inherited(member)
            self._members.bury(member)
            if claim is not None:
                return claim
        return None

    def _inherited(self, member: Member) -> Claim | None:
        if member.claim is None:
            return None
        node, generation = member.claim
        found = self._marks.claim_of(node, generation)
        if found is None or found[0] not in (member.id, "") or self._marks.is_claimed(node, generation + 1):
            return None
        terms = after_death(found[1], self._members.about(member), self._how_ended)
        claim = self._claim(node, generation + 1, terms)
        if claim is not None and not self._suits(node, terms):
            self.give_back(claim, terms)  # it is for a larger pilot
            return None
        return claim

    # Having taken.

    def holds(self, claim: Claim) -> bool:
        """Return whether a claim has not been taken over."""
        return not self._marks.is_claimed(claim.node, claim.generation + 1)

    def is_hopeless(self, claim: Claim) -> bool:
        """Return whether a node has failed so often that it is given up."""
        return claim.terms.failures > self._retries

    def end(self, claim: Claim, code: int, seconds: float | None = None) -> bool:
        """Note that a node has ended, and let what needs it be taken; return whether the claim was still held.

        Parameters
        ----------
        claim
            The node.
        code
            What it has ended with.
        seconds
            How long it has taken, if it ran to its end.
        """
        if seconds is not None:
            kind = self._nodes[claim.node].kind
            self._longest[kind] = max(seconds, self._longest.get(kind, 0.0))
        if not self.holds(claim):
            return False
        self._marks.end(claim.node, code)
        self._pass_on(claim.node)
        self._me.ended += 1
        return True

    def give_back(self, claim: Claim, terms: Terms) -> bool:
        """Let another pilot take a node, on certain terms; return whether the claim was still held."""
        if not self.holds(claim):
            return False
        self._marks.offer(claim.node, claim.generation + 1, terms)
        return True

    def _pass_on(self, node: int) -> None:
        self._over.add(node)
        for each in self._dependents.get(node, ()):
            if self._is_ready(each):
                self._marks.offer(each, 0, Terms())

    def _is_ready(self, node: int) -> bool:
        """Return whether all that a node needs is over; what comes late in the graph is looked at first."""
        for need in reversed(self._nodes[node].needs):
            if need not in self._over:
                if not self._marks.is_over(need):
                    return False
                self._over.add(need)
        return True

    # Having nothing.

    def all_over(self) -> bool:
        """Return whether all nodes of the round have ended."""
        return self._marks.over() >= self._nodes.keys()

    def can_still_come(self) -> bool:
        """Return whether there may be something for this pilot later.

        Two looks at all pilots, with one at what is ready in between: if no pilot runs anything, and none has taken
        anything meanwhile, then nothing becomes ready any more.
        """
        self._members.look()
        before = self._others()
        if any(member.claim is not None for member in before):
            return True
        if any(map(self._is_for_me, self._marks.offers())):
            return True
        self._members.look()
        if self._others() != before:
            return True
        return self._find_forgotten()

    def _others(self) -> set[Member]:
        """Return what the others do, signs of life aside."""
        return {replace(member, sequence=0) for member in self._members.living() if member.id != self._me.id}

    def _find_forgotten(self) -> bool:
        """Offer nodes that are ready and that no pilot has offered; return whether there are any.

        Where a file system shows late what others have written, the last two of those that a node needs may each
        have missed that the other one was over.
        """
        over = self._over = self._marks.over()
        taken, offered = self._marks.claims(), {node for node, _ in self._marks.offers()}
        found = False
        for node in self._nodes.values():
            known = node.number in over or node.number in taken or node.number in offered
            if not known and over.issuperset(node.needs):
                self._marks.offer(node.number, 0, Terms())
                found = True
        return found


def _turned_round(nodes: Mapping[int, PilotNode]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for number, need in _pairs(nodes):
        found.setdefault(need, []).append(number)
    return found


def _pairs(nodes: Mapping[int, PilotNode]) -> Iterator[tuple[int, int]]:
    return ((node.number, need) for node in nodes.values() for need in node.needs)
