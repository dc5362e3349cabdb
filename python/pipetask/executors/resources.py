"""What quanta need, as execution models see it (see D50)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from ..errors import UsageError, did_you_mean
from ..options.resources import MEASURED, ResourceOptions
from .machine import number_of_gpus, usable_memory

__all__ = ["Inventory", "Resources", "Share", "chosen_labels", "in_words"]


Inventory = Sequence[Mapping[str, int]]
"""What each of several workers has, by name."""


@dataclass(frozen=True)
class Share:
    """How much of one resource is in use."""

    name: str
    used: int
    limit: int
    model: str = ""
    """The execution model, if there are several."""

    def __str__(self) -> str:
        model = f"{self.model} " if self.model else ""
        return f"{model}{self.name} {_number(self.name, self.used)}/{_number(self.name, self.limit)}"


@dataclass(frozen=True)
class Resources:
    """What a quantum of each label needs, and what all that run at the same time may need together.

    Execution models get one only if something was declared; otherwise they look at nothing of this.
    """

    needs: Mapping[str, Mapping[str, int]]
    """By label and name; all labels are there.  Memory is in bytes."""

    limits: Mapping[str, int]
    """By name, as the user has given them."""

    cores: int = 1
    """The number of cores of a quantum whose label says nothing: what a slot stands for."""

    @classmethod
    def from_options(
        cls,
        options: ResourceOptions,
        labels: Collection[str],
        subsets: Mapping[str, Collection[str]],
        cores: int = 1,
        memory: int = 0,
    ) -> Resources | None:
        """Return what the options declare; `None` if they declare nothing.

        Parameters
        ----------
        options
            The options.
        labels
            The labels of the graph.
        subsets
            Labels by name of a subset of the pipeline.
        cores, memory
            Cores, and bytes of memory, of a quantum whose label says nothing.

        Raises
        ------
        UsageError
            If a label or the name of a limit means nothing.
        """
        limits = options.parsed_limits()
        if not options.requests and not {"cpus", "memory"} & limits.keys():  # what each quantum needs anyway
            return None
        needs: dict[str, dict[str, int]] = {label: {"cpus": cores, "memory": memory} for label in labels}
        for text, (pattern, amounts) in zip(options.requests, options.parsed_requests(), strict=True):
            for name in amounts.keys() - {*MEASURED, *limits}:
                raise UsageError(
                    f"--resources {text}: no limit has the name {name!r}: add --limit {name}=N, or use one of "
                    f"{', '.join((*MEASURED, *limits))}."
                )
            for label in chosen_labels(pattern, labels, subsets, f"--resources {text}"):
                needs[label].update(amounts)
        return cls(needs, limits, cores)

    def of(self, labels: Collection[str]) -> Resources:
        """Return the needs of some labels only; the others then need nothing."""
        return replace(self, needs={label: n if label in labels else {} for label, n in self.needs.items()})

    def asked(self) -> set[str]:
        """Return the names of what quanta of any label need, apart from the CPUs that each of them has anyway."""
        needs = [each for label in self.needs.values() for each in label.items()]
        return {name for name, amount in needs if amount > (self.cores if name == "cpus" else 0)}

    def available(self, slots: int | None, *, here: bool = True, inventory: Inventory = ()) -> dict[str, int]:
        """Return how much there is of what is needed and limited, by name.

        Parameters
        ----------
        slots
            Quanta of ordinary size that can run at the same time; `None` if CPUs are not counted.
        here
            Whether quanta run on this machine, whose memory and GPUs are then limits, too.
        inventory
            What each worker has, where that is known.
        """
        found = dict(self.limits)
        for name in sorted({name for each in inventory for name in each}):
            found.setdefault(name, sum(each.get(name, 0) for each in inventory))
        if slots is not None:
            found.setdefault("cpus", slots * self.cores)
        if here:
            found.setdefault("memory", usable_memory())
            found.setdefault("gpus", number_of_gpus())
        needed = {name for needs in self.needs.values() for name, amount in needs.items() if amount}
        order = [*MEASURED, *(name for name in found if name not in MEASURED)]
        return {name: found[name] for name in order if name in found and name in needed}

    def check_each(self, inventory: Inventory) -> None:
        """Refuse labels whose quanta would wait for a worker that does not exist; what the user limits may come.

        Parameters
        ----------
        inventory
            What each worker has, where that is known.

        Raises
        ------
        UsageError
            With the first such label.
        """
        known = {name for each in inventory for name in each} - set(self.limits)
        for label, needs in self.needs.items():
            wanted = {name: amount for name, amount in needs.items() if name in known and amount}
            if not any(
                all(each.get(name, 0) >= wanted[name] for name in wanted) for each in inventory or ({},)
            ):
                what = " and ".join(in_words(*each) for each in wanted.items())
                limits = " ".join(f"--limit {name}=N" for name in wanted)
                raise UsageError(
                    f"A quantum of {label} needs {what}, and no worker of the engine has that: if one is to come, say "
                    f"{limits}."
                )

    def check(self, available: Mapping[str, int], slots_as: str) -> None:
        """Refuse labels whose quanta could never run.

        Parameters
        ----------
        available
            How much there is, by name.
        slots_as
            How the user has chosen the number of slots, for the message.

        Raises
        ------
        UsageError
            With the first such label.
        """
        for label, needs in self.needs.items():
            for name, limit in available.items():
                if needs.get(name, 0) > limit:
                    raise UsageError(
                        f"A quantum of {label} needs {in_words(name, needs[name])}, and {in_words(name, limit)} "
                        f"is all there is{_origin(name, self, slots_as)}."
                    )


def _origin(name: str, resources: Resources, slots_as: str) -> str:
    if name in resources.limits:
        return f" (--limit {name}={_number(name, resources.limits[name])})"
    match name:
        case "cpus":
            each = f" with {resources.cores} cores each" if resources.cores > 1 else ""
            return f" ({slots_as}{each})"
        case _:
            return f" on this machine: if that is wrong, say --limit {name}=N"


def in_words(name: str, amount: int) -> str:
    """Return an amount of something for a message."""
    match name:
        case "memory":
            return f"{_number(name, amount)} of memory"
        case "cpus" | "gpus":
            word = name[:-1].upper()
            return f"{amount} {word}" if amount == 1 else f"{amount} {word}s"
        case _:
            return f"{amount} of {name!r}"


def _number(name: str, amount: int) -> str:
    if name != "memory":
        return str(amount)
    for unit, size in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if amount >= size:
            return f"{amount / size:.4g}{unit}"
    return f"{amount}B"


def chosen_labels(
    pattern: str, labels: Collection[str], subsets: Mapping[str, Collection[str]], what: str
) -> Sequence[str]:
    """Return the labels of a graph that a label, the name of a subset, or a pattern stands for.

    Parameters
    ----------
    pattern
        What the user has given.
    labels
        The labels of the graph.
    subsets
        Labels by name of a subset of the pipeline.
    what
        The option with its value, for messages.

    Raises
    ------
    UsageError
        If there is no such label.
    """
    if pattern in labels:
        return [pattern]
    if pattern in subsets:
        return [label for label in labels if label in subsets[pattern]]
    if {"*", "?", "["} & set(pattern):
        found = [label for label in labels if fnmatchcase(label, pattern)]
        if found:
            return found
        raise UsageError(f"{what}: no label of this graph matches {pattern!r}.")
    raise UsageError(
        f"{what}: there is no label or subset {pattern!r}{did_you_mean(pattern, [*labels, *subsets])}"
    )
