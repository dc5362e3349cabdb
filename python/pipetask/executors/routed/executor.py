"""The execution model that divides a graph among others."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from queue import Queue

from ...errors import UsageError, one_line
from ...graph.enumeration import QuantumData
from ...outcome import QuantumOutcome
from ..base import ExecutionContext, QuantumExecutor, Traits
from ..ledger import Ledger
from ..resources import Resources, chosen_labels
from .part import Part, PartEnd
from .switchboard import Switchboard

__all__ = ["Route", "RoutedExecutor"]

QUEUE = 256
"""Outcomes that wait to be taken; if there are more, the models wait, as they would alone."""


@dataclass(frozen=True)
class Route:
    """Where quanta of some labels run."""

    pattern: str
    """A label, the name of a subset of the pipeline, or a pattern of labels."""

    name: str
    """Name of the model, for messages."""

    model: QuantumExecutor


class RoutedExecutor(QuantumExecutor):
    """Runs a graph on several execution models at once, each label on one of them.

    Parameters
    ----------
    routes
        Where some labels run; later ones override earlier ones.  Or a mapping of labels, subsets or patterns to models.
    default
        Where all others run.
    default_name
        Name of that model, for messages.

    Raises
    ------
    UsageError
        If a model cannot run a part of a graph.
    """

    traits = Traits()

    def __init__(
        self,
        routes: Sequence[Route] | Mapping[str, QuantumExecutor],
        default: QuantumExecutor,
        default_name: str | None = None,
    ):
        if isinstance(routes, Mapping):
            routes = [Route(pattern, _name_of(model), model) for pattern, model in routes.items()]
        self._routes = tuple(routes)
        self._default = Route("*", default_name or _name_of(default), default)
        models = self._models()
        for route in models:
            if not route.model.traits.parts:
                raise UsageError(
                    f"--route {route.pattern}={route.name}: this execution model cannot run a part of a graph; use "
                    "multiprocess, or an engine such as dask."
                )
        traits = [route.model.traits for route in models]
        self.traits = replace(
            self.traits,
            retries=all(each.retries for each in traits),
            resources=all(each.resources for each in traits),
            implicit_threads=any(each.implicit_threads for each in traits),
        )

    def check(self, context: ExecutionContext) -> None:
        """Refuse labels that the graph does not have, and what one of the models refuses."""
        parts = self._parts(context, strict=True)
        _check_shared(parts, context.resources)
        for part in parts:
            part.model.check(part.context(context))

    def prepare(self) -> None:
        """Let all models prepare."""
        for route in self._models():
            route.model.prepare()

    def preload(self, task_names: Callable[[], Sequence[str]]) -> None:
        """Let all models import the tasks."""
        for route in self._models():
            route.model.preload(task_names)

    def execute(
        self, quanta: Iterable[QuantumData], context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        """Execute a stream of quanta."""
        parts = self._parts(context)
        numbers = {label: number for number, part in enumerate(parts) for label in part.labels}
        owners = [numbers[label] for label in context.graph.structure.labels]
        switchboard = Switchboard(quanta, context.graph, owners, len(parts))
        if shared := _shared_limits(parts, context.resources):
            ledger = Ledger(list(shared), [inbox.wake for inbox in switchboard.inboxes])
            for part, account in zip(parts, ledger.accounts, strict=True):
                part.account = account
        context.activity.report_with(
            lambda: [each for part in parts for each in part.running()],
            lambda: [line for part in parts for line in part.details()],
            lambda: [each for part in parts for each in part.shares()],
        )

        def pass_on() -> None:
            stop = context.stop
            for part in parts:
                if part.stop is not None:
                    part.stop.ask(stop.reason or "", stop.level, stop.signal)

        context.stop.on_ask = pass_on  # perhaps in a signal handler: nothing is locked on the way
        try:
            yield from _outcomes(parts, switchboard, context)
        finally:
            del context.stop.on_ask
            switchboard.close()

    def settle(self) -> None:
        """Wait for all models."""
        for route in self._models():
            route.model.settle()

    def _models(self) -> list[Route]:
        """Return the routes, one for each model."""
        return list({id(route.model): route for route in (self._default, *self._routes)}.values())

    def _parts(self, context: ExecutionContext, *, strict: bool = False) -> list[Part]:
        """Return the models that have something to do, each with its labels."""
        labels = context.graph.structure.labels
        chosen = dict.fromkeys(labels, self._default)
        for route in self._routes:
            try:
                found = chosen_labels(
                    route.pattern, labels, context.subsets(), f"--route {route.pattern}={route.name}"
                )
            except UsageError:
                if strict:
                    raise
                continue
            chosen.update(dict.fromkeys(found, route))
        by_model: dict[int, tuple[Route, list[str]]] = {}
        for label, route in chosen.items():
            by_model.setdefault(id(route.model), (route, []))[1].append(label)
        return [Part(route.name, route.model, found) for route, found in by_model.values()]


def _shared_limits(parts: Sequence[Part], resources: Resources | None) -> dict[str, list[Part]]:
    """Return the limits that several models draw on, with these models."""
    if resources is None:
        return {}
    needs = resources.needs
    users = {
        name: [part for part in parts if any(needs[label].get(name) for label in part.labels)]
        for name in resources.limits
    }
    return {name: found for name, found in users.items() if len(found) > 1}


def _check_shared(parts: Sequence[Part], resources: Resources | None) -> None:
    """Refuse a limit if one of several models that draw on it would not look at what others use."""
    for name, users in _shared_limits(parts, resources).items():
        for part in users:
            if not part.model.traits.shared_limits:
                names = " and ".join(each.name for each in users)
                raise UsageError(
                    f"--limit {name}: {part.name} does not look at what other execution models use of it, and labels "
                    f"that need {name!r} run on {names}: route them to the same one."
                )


def _outcomes(
    parts: Sequence[Part], switchboard: Switchboard, context: ExecutionContext
) -> Generator[QuantumOutcome, None, None]:
    """Run all parts; yield what comes from any of them until the last one has ended."""
    queue: Queue[QuantumOutcome | PartEnd] = Queue(QUEUE)
    n_running = 0
    errors: list[BaseException] = []
    try:
        for number, part in enumerate(parts):
            part.start(number, switchboard, context, queue)
            n_running += 1
        while n_running:
            match queue.get():
                case PartEnd(error=error):
                    n_running -= 1
                    if error is not None:  # what it has not done would be waited for
                        errors.append(error)
                        context.stop.ask(one_line(error))
                case outcome:
                    yield outcome
    finally:
        _end(parts, n_running, queue)
    if errors:
        raise errors[0]


def _end(parts: Sequence[Part], n_running: int, queue: Queue[QuantumOutcome | PartEnd]) -> None:
    """End the parts that still run, because nothing more is wanted of them."""
    if n_running:
        for part in parts:
            part.abandon()
    while n_running:
        n_running -= isinstance(queue.get(), PartEnd)
    for part in parts:
        part.ended()


def _name_of(model: QuantumExecutor) -> str:
    return type(model).__name__
