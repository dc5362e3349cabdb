"""Whether the pool has slots for what jobs ask for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...errors import PipetaskError
from .bindings import condor, says_condor
from .configuration import JobSettings

__all__ = ["Slot", "check_requests", "largest_slots"]


@dataclass(frozen=True)
class Slot:
    """What a machine offers to one job."""

    name: str
    cpus: int
    memory: int
    """Megabytes."""


def largest_slots() -> list[Slot]:
    """Return what the machines of the pool offer; empty where there are none at the moment."""
    module = condor()
    with says_condor("the collector does not answer"):
        ads = module.Collector().query(
            module.AdType.Startd,
            constraint='SlotType =!= "Dynamic"',
            projection=["Name", "TotalSlotCpus", "TotalSlotMemory", "Cpus", "Memory"],
        )
    return [
        Slot(
            str(ad.get("Name", "?")),
            int(ad.get("TotalSlotCpus", ad.get("Cpus", 0))),
            int(ad.get("TotalSlotMemory", ad.get("Memory", 0))),
        )
        for ad in ads
    ]


def check_requests(requests: Iterable[tuple[str, JobSettings]], slots: list[Slot]) -> None:
    """Refuse jobs that no machine of the pool could ever run.

    Parameters
    ----------
    requests
        What jobs are called, and what they ask for.
    slots
        What the pool offers.

    Raises
    ------
    PipetaskError
        With the label and the largest slot.
    """
    for name, settings in requests:
        if settings.universe == "local" or not slots:
            continue
        if any(s.cpus >= settings.request_cpus and s.memory >= settings.request_memory for s in slots):
            continue
        largest = max(slots, key=lambda slot: (slot.memory, slot.cpus))
        raise PipetaskError(
            f"Jobs of {name} ask for {settings.request_memory} MB and {settings.request_cpus} CPUs, and the largest "
            f"slot of the pool, {largest.name}, has {largest.memory} MB and {largest.cpus}: lower request_memory or "
            "request_cpus (--condor), or write the run with --no-submit."
        )
