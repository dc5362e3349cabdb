"""Whether the pool has slots for what jobs ask for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import PipetaskError
from .bindings import condor, says_condor
from .configuration import JobSettings

__all__ = ["Slot", "check_requests", "largest_slots", "named"]

_UNITS = {"cpus": "CPUs", "memory": "MB of memory", "disk": "MB of disk", "gpus": "GPUs"}
"""What can be asked for with ``request_...``, and how it is counted."""

_RESOURCES = {"cpus": "Cpus", "memory": "Memory", "disk": "Disk", "gpus": "GPUs"}
"""What HTCondor calls them; a partitionable slot has what it began with under ``TotalSlot...``."""


@dataclass(frozen=True)
class Slot:
    """What a machine offers to one job."""

    name: str
    cpus: int
    memory: int
    """Megabytes."""

    disk: int
    """Megabytes."""

    gpus: int = 0


def largest_slots() -> list[Slot]:
    """Return what the machines of the pool offer; empty where there are none at the moment."""
    module = condor()
    attributes = [f"{prefix}{name}" for name in _RESOURCES.values() for prefix in ("", "TotalSlot")]
    with says_condor("the collector does not answer"):
        ads = module.Collector().query(
            module.AdType.Startd, constraint='SlotType =!= "Dynamic"', projection=["Name", *attributes]
        )
    return [_slot(ad) for ad in ads]


def check_requests(
    requests: Iterable[tuple[str, JobSettings]],
    slots: list[Slot],
    otherwise: str = "or write the run with --no-submit",
) -> None:
    """Refuse jobs that no machine of the pool could ever run.

    Parameters
    ----------
    requests
        What jobs are called, and what they ask for.
    slots
        What the pool offers.
    otherwise
        What else to do than to lower a request, for the error.

    Raises
    ------
    PipetaskError
        With the label and the largest slot.
    """
    for name, settings in requests:
        wanted = {key: getattr(settings, f"request_{key}") for key in _UNITS}
        if settings.universe == "local" or not slots or any(_fits(wanted, slot) for slot in slots):
            continue
        # What no slot has by itself; if there is no such thing, it is all of them together that none has.
        lacking = [key for key in wanted if not any(_fits({key: wanted[key]}, slot) for slot in slots)]
        told = lacking or [key for key in wanted if wanted[key]]
        largest = max(slots, key=lambda slot: [getattr(slot, key) for key in told])
        raise PipetaskError(
            f"Jobs of {name} ask for {_listed(wanted, told)}{'' if lacking else ' together'}, and the largest slot "
            f"of the pool, {largest.name}, has {_listed(vars(largest), told)}: lower "
            f"{' or '.join(f'request_{key}' for key in told)} (--condor), {otherwise}."
        )


def named(labels: Sequence[str]) -> str:
    """Return what jobs of some tasks are called in a message."""
    return f"{'task' if len(labels) == 1 else 'tasks'} {', '.join(map(repr, labels))}"


def _slot(ad: Any) -> Slot:
    has = {key: int(ad.get(f"TotalSlot{name}", ad.get(name, 0))) for key, name in _RESOURCES.items()}
    return Slot(str(ad.get("Name", "?")), has["cpus"], has["memory"], has["disk"] // 1024, has["gpus"])


def _fits(wanted: dict[str, int], slot: Slot) -> bool:
    return all(getattr(slot, key) >= amount for key, amount in wanted.items())


def _listed(amounts: dict[str, Any], keys: list[str]) -> str:
    return ", ".join(f"{amounts[key]} {_UNITS[key]}" for key in keys)
