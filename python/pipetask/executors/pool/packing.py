"""Bundles that respect what quanta need."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext

from ...graph.enumeration import QuantumData
from ..base import ExecutionContext
from ..frontier import Frontier
from ..ledger import Account
from ..resources import Inventory, Resources, Share
from .bundling import NOTHING, Assigned, BundlePolicy, Bundler

__all__ = ["PackedBundler", "Plan", "bundler_for"]

WINDOW = 4096
"""Ready quanta among which those are looked for that fit."""

PATIENCE = 2
"""A quantum that does not fit is passed over so many times for each worker; then room is kept for it."""


class Plan:
    """What quanta need, as vectors: one number for each resource of which there is a limited amount.

    Parameters
    ----------
    labels
        The labels of the graph.
    resources
        What is needed, by label.
    available
        How much there is, by name.
    """

    def __init__(self, labels: Sequence[str], resources: Resources, available: Mapping[str, int]):
        self.names = tuple(available)
        self.limits = tuple(available.values())
        vectors = [tuple(resources.needs[label].get(name, 0) for name in self.names) for label in labels]
        self.needs = list(dict.fromkeys(vectors))
        """The needs of each kind of quantum, all different."""

        self.kinds = [self.needs.index(vector) for vector in vectors]
        """The kind of each label, by its index."""


class PackedBundler(Bundler):
    """Puts bundles together of which all that run at the same time fit side by side.

    A bundle has quanta of one kind, that is, with the same needs, and its worker needs that as long as it has any of
    them.  Ready quanta start lowest id first.  Where one does not fit, later ones that do may pass it, but only so many
    times: then its needs are set aside, and nothing starts that would take them.

    Parameters
    ----------
    frontier
        Where quanta come from.
    policy
        When a bundle is full.
    plan
        What quanta need.
    held
        Returns what each worker has.
    account
        What other execution models use of the same limits.
    """

    def __init__(
        self,
        frontier: Frontier,
        policy: BundlePolicy,
        plan: Plan,
        held: Callable[[], Iterable[Assigned]],
        account: Account | None = None,
    ):
        super().__init__(frontier, policy)
        self._plan = plan
        self._held = held
        self._account = account
        self._queues: list[list[tuple[int, QuantumData]]] = [[] for _ in plan.needs]
        """Ready quanta by kind, each a heap; to the frontier, they are handed out."""

        self._passed = [0] * len(plan.needs)
        """How many bundles with later quanta were started before the first quantum of each kind."""

    def ready(self, processes: int, most: int) -> int:
        """Return how many workers could begin something now, at most ``most``."""
        self._read()
        used, count = self._settled(), 0
        for kind in self._in_order():
            for _ in self._queues[kind]:
                if count == most or not self._may_start(kind, used, processes):
                    break
                used, count = _sum(used, self._vector(kind)), count + 1
        return count

    def may_share(self, processes: int, assigned: Assigned) -> bool:
        """Return whether one more worker could run what another one has and has not begun."""
        kind = self._kind_of(assigned)
        return kind is not None and self._may_start(kind, self._settled(), processes)

    def admit(self, processes: int, assigned: Assigned) -> bool:
        """Return whether a worker may be given this now, which then counts as given."""
        with self._alone():
            kind, used = self._kind_of(assigned), self._settled()
            if kind is None or not self._may_start(kind, used, processes):
                return False
            self._settle(_sum(used, self._vector(kind)))
        return True

    def next(
        self, processes: int, *, idle: bool, behind: Assigned = NOTHING
    ) -> tuple[list[QuantumData], float]:
        """Take a bundle, as `Bundler.next` does, of one kind of quanta that fits."""
        self._read()
        with self._alone():
            used = self._settled()
            bundle = self._take(processes, idle=idle, behind=behind)
            if bundle[0] and idle:
                self._settle(_sum(used, self._vector(self._plan.kinds[bundle[0][0].task_index])))
        return bundle

    def _take(self, processes: int, *, idle: bool, behind: Assigned) -> tuple[list[QuantumData], float]:
        kind = self._choose(processes) if idle else self._kind_of(behind)
        if not idle and self._kept_for(processes) is not None:
            kind = None  # more of the same needs no more than is in use, but this must not go on for ever
        if kind is None or not self._queues[kind]:
            return [], 0.0
        before = self._queues[kind][0][0]
        bundle = self._bundle(self._queues[kind], processes, idle=idle)
        if bundle[0]:
            self._passed[kind] = 0
            for other, queue in enumerate(self._queues):
                if other != kind and queue and queue[0][0] < before:
                    self._passed[other] += 1
        return bundle

    def give_up(self) -> None:
        """Return to the frontier what was not begun."""
        for queue in self._queues:
            for _, quantum in queue:
                self._frontier.give_back(quantum)
            queue.clear()

    def shares(self) -> list[Share]:
        """Return how much of each resource is in use; may be called from any thread."""
        used = self._used()[1:]
        return [Share(*each) for each in zip(self._plan.names, used, self._plan.limits, strict=True)]

    def _read(self) -> None:
        count = sum(map(len, self._queues))
        while count < WINDOW and (quantum := self._frontier.take()) is not None:
            heapq.heappush(self._queues[self._plan.kinds[quantum.task_index]], (quantum.id, quantum))
            count += 1

    def _vector(self, kind: int) -> tuple[int, ...]:
        """Return what a worker needs that runs a kind of quanta: first of all, itself."""
        return (1, *self._plan.needs[kind])

    def _used(self) -> tuple[int, ...]:
        # Added up each time from what workers have, so that no event can be forgotten.
        used = (0,) * (1 + len(self._plan.names))
        for assigned in self._held():
            if (kind := self._kind_of(assigned)) is not None:
                used = _sum(used, self._vector(kind))
        return used

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let no other execution model start anything meanwhile."""
        with nullcontext() if self._account is None else self._account.locked():
            yield

    def _settled(self) -> tuple[int, ...]:
        """Return what is in use here, and let other execution models know."""
        used = self._used()
        self._settle(used)
        return used

    def _settle(self, used: tuple[int, ...]) -> None:
        if self._account is not None:
            self._account.set(dict(zip(self._plan.names, used[1:], strict=True)))

    def _kind_of(self, assigned: Assigned) -> int | None:
        """Return the kind of what a worker has; `None` if it has nothing."""
        try:
            return next((self._plan.kinds[quantum.task_index] for quantum in assigned.values()), None)
        except RuntimeError:  # it was changed just now: a display asks from another thread
            return None

    def _fits(self, kind: int, used: tuple[int, ...], processes: int) -> bool:
        limits = (processes, *self._plan.limits)
        if self._account is not None:
            used = _sum(used, (0, *map(self._account.elsewhere, self._plan.names)))
        return all(
            not wanted or taken + wanted <= limit
            for wanted, taken, limit in zip(self._vector(kind), used, limits, strict=True)
        )

    def _kept_for(self, processes: int) -> int | None:
        """Return the kind that was passed over too often, and for which room is kept."""
        tired = [kind for kind in self._in_order() if self._passed[kind] > PATIENCE * processes]
        return max(tired, key=lambda kind: self._passed[kind], default=None)

    def _may_start(self, kind: int, used: tuple[int, ...], processes: int) -> bool:
        kept = self._kept_for(processes)
        if kept is not None and kept != kind:
            used = _sum(used, self._vector(kept))
        return self._fits(kind, used, processes)

    def _choose(self, processes: int) -> int | None:
        used, kept = self._used(), self._kept_for(processes)
        if kept is not None and self._fits(kept, used, processes):
            return kept
        return next((k for k in self._in_order() if self._may_start(k, used, processes)), None)

    def _in_order(self) -> list[int]:
        """Return the kinds of which there are ready quanta, lowest id first."""
        kinds = [kind for kind, queue in enumerate(self._queues) if queue]
        return sorted(kinds, key=lambda kind: self._queues[kind][0][0])

    def _bundle(
        self, queue: list[tuple[int, QuantumData]], processes: int, *, idle: bool
    ) -> tuple[list[QuantumData], float]:
        share = min(max(1, len(queue) // processes), self._policy.most)
        quanta: list[QuantumData] = []
        seconds = 0.0
        while len(quanta) < share and queue:
            expected = self.expected(queue[0][1])
            if seconds + expected > self._policy.seconds and (quanta or not idle):
                break
            quanta.append(heapq.heappop(queue)[1])
            seconds += expected
        return quanta, seconds


def bundler_for(
    context: ExecutionContext,
    frontier: Frontier,
    policy: BundlePolicy,
    slots: int,
    held: Callable[[], Iterable[Assigned]],
    *,
    here: bool = True,
    inventory: Inventory = (),
) -> Bundler:
    """Return what puts bundles together for an execution model: with regard to resources only if any were declared.

    Parameters
    ----------
    context
        What the execution model was told.
    frontier, policy, held
        As for `PackedBundler`.
    slots
        Quanta of ordinary size that can run at the same time.
    here
        Whether quanta run on this machine.
    inventory
        What each worker has, where that is known.
    """
    if context.resources is None:
        return Bundler(frontier, policy)
    available = context.resources.available(slots, here=here, inventory=inventory)
    plan = Plan(context.graph.structure.labels, context.resources, available)
    return PackedBundler(frontier, policy, plan, held, context.account)


def _sum(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(one, other, strict=True))
