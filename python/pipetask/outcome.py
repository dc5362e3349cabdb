"""What became of one quantum."""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import uuid

__all__ = ["QuantumError", "QuantumOutcome", "Status", "StoredOutputs"]


class Status(enum.Enum):
    """How a quantum ended."""

    SUCCEEDED = "succeeded"
    SKIPPED = "skipped"
    """Its outputs were there already."""
    NO_WORK = "no-work"
    """The task found nothing to do; dependents go on without its outputs."""
    FAILED = "failed"
    """The task raised."""
    BLOCKED = "blocked"
    """Something upstream did not succeed, so it was never started."""
    TIMED_OUT = "timed-out"
    KILLED = "killed"
    """The process that ran it died: a signal, or an exit in the middle of the task."""
    CANCELLED = "cancelled"
    """Interrupted, or never started because the run was stopped."""
    PLANNED = "planned"
    """A dry run would execute it."""
    WRITTEN = "written"
    """Written for delayed execution."""
    SUBMITTED = "submitted"
    """Handed to a batch system."""

    number: int
    """Its place in this list."""

    unblocks: bool
    """Whether dependents may run."""

    is_failure: bool
    """Whether the quantum itself went wrong (not: was blocked or cancelled)."""

    # There is one of each, and they are counted for every quantum; that of `enum.Enum` hashes their names each time.
    __hash__ = object.__hash__


for _number, _status in enumerate(Status):  # plain attributes: these are asked for every quantum
    _status.number = _number
    _status.unblocks = _status.name in {"SUCCEEDED", "SKIPPED", "NO_WORK", "PLANNED", "WRITTEN", "SUBMITTED"}
    _status.is_failure = _status.name in {"FAILED", "TIMED_OUT", "KILLED"}


@dataclass(frozen=True, slots=True)
class QuantumError:
    """An exception as text, so that it survives any process boundary."""

    type_name: str
    """Full name of the exception class."""

    message: str

    traceback: str
    """The formatted traceback, causes included, of the process that raised."""

    exit_code: int | None = None
    """The exit code that the exception's class asks for: 20 for a repeatable error, 21 for an invalid quantum."""


@dataclass(frozen=True, slots=True)
class StoredOutputs:
    """What a quantum left in the datastore, for the registry's writer."""

    datasets: list[tuple[str, uuid.UUID, tuple[Any, ...]]]
    """Dataset type name, dataset ID and full data ID values of each dataset that is stored."""

    records: dict[str, Any]
    """Datastore records by datastore name, as `lsst.daf.butler.Datastore.export_records` returns them."""

    absent: list[tuple[str, uuid.UUID, tuple[Any, ...]]]
    """Predicted outputs that are not stored and that an earlier attempt may have registered."""


@dataclass(slots=True)  # not frozen: that would triple the time to make one
class QuantumOutcome:
    """What became of one quantum: exactly one is made for each quantum an executor takes."""

    id: int
    """Position of the quantum in the enumeration of its graph."""

    status: Status

    start: float | None = None
    """When it started, in seconds since 1970-01-01 UTC; `None` if it never did."""

    end: float | None = None
    host: str | None = None
    pid: int | None = None

    peak_memory: int | None = None
    """Largest resident size of its process while it ran, in bytes."""

    error: QuantumError | None = None
    signal: int | None = None
    """The signal that ended the process, for `Status.KILLED` and `Status.TIMED_OUT`."""

    exit_code: int | None = None
    """The exit code of the process, where it ended by itself in the middle of the quantum."""

    blocked_by: int | None = None
    """For `Status.BLOCKED`: the id of the quantum upstream that went wrong first."""

    caveats: int = 0
    """`lsst.pipe.base.QuantumSuccessCaveats` of a success, as an integer."""

    reason: str | None = None
    """One line for a person, where the status alone does not say why."""

    log: str | None = None
    """Where the log is, if it is not the log dataset in the butler."""

    outputs: StoredOutputs | None = None

    def to_wire(self) -> tuple[Any, ...]:
        """Return the outcome as a tuple of plain values, which pickles five times as fast."""
        id, status, *rest = _as_tuple(self)
        return id, status.number, *rest

    @staticmethod
    def from_wire(values: tuple[Any, ...]) -> QuantumOutcome:
        """Return the outcome that `to_wire` was called on."""
        id, number, *rest = values
        return QuantumOutcome(id, _STATUSES[number], *rest)

    @property
    def duration(self) -> float | None:
        """Seconds from start to end, `None` if it never started."""
        return None if self.start is None or self.end is None else self.end - self.start

    def without_outputs(self) -> QuantumOutcome:
        """Return a copy that no longer holds the datastore records."""
        return self if self.outputs is None else replace(self, outputs=None)


_as_tuple = attrgetter(*(field.name for field in fields(QuantumOutcome)))
_STATUSES = tuple(Status)
