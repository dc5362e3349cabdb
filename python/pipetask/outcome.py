"""What became of one quantum."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import uuid

__all__ = [
    "INVALID_QUANTUM",
    "REPEATABLE_ERROR",
    "Kind",
    "QuantumError",
    "QuantumOutcome",
    "Status",
    "StoredOutputs",
]

REPEATABLE_ERROR = 20
"""Exit code that LSST's ``RepeatableQuantumError`` asks for: the quantum would fail again."""

INVALID_QUANTUM = 21
"""Exit code that LSST's ``InvalidQuantumError`` asks for: the pipeline or its configuration is wrong."""


class Kind(enum.Enum):
    """What a status means for a quantum, and for those that need it."""

    DONE = "done"
    HANDED_ON = "handed on"
    """To somebody else, or to later: nothing has gone wrong, and nothing has been done."""

    FAILED = "failed"
    """The quantum itself went wrong."""

    NOT_RUN = "not run"
    """Something else went wrong, or the run was stopped."""


class Status(enum.Enum):
    """How a quantum ended.

    This is the only place that says what a status means: a new one cannot be made without its kind, and without what
    LSST's ``Report`` calls it.
    """

    SUCCEEDED = "succeeded", Kind.DONE, "success"
    SKIPPED = "skipped", Kind.DONE, "success"
    """Its outputs were there already."""
    NO_WORK = "no-work", Kind.DONE, "success"
    """The task found nothing to do; dependents go on without its outputs."""
    FAILED = "failed", Kind.FAILED, "failure"
    """The task raised."""
    BLOCKED = "blocked", Kind.NOT_RUN, "skipped"
    """Something upstream did not succeed, so it was never started."""
    TIMED_OUT = "timed-out", Kind.FAILED, "timeout"
    KILLED = "killed", Kind.FAILED, "failure"
    """The process that ran it died: a signal, or an exit in the middle of the task."""
    CANCELLED = "cancelled", Kind.NOT_RUN, "skipped"
    """Interrupted, or never started because the run was stopped."""
    PLANNED = "planned", Kind.HANDED_ON, "skipped"
    """A dry run would execute it."""
    WRITTEN = "written", Kind.HANDED_ON, "skipped"
    """Written for batch runs."""
    SUBMITTED = "submitted", Kind.HANDED_ON, "skipped"
    """Handed to a batch system."""

    number: int
    """Its place in this list."""

    kind: Kind
    lsst: str
    """Value of `lsst.pipe.base.quantum_reports.ExecutionStatus` that comes closest."""

    unblocks: bool
    """Whether dependents may run."""

    is_failure: bool
    """Whether the quantum itself went wrong (not: was blocked or cancelled)."""

    def __new__(cls, word: str, kind: Kind, lsst: str) -> Status:  # noqa: D102
        status = object.__new__(cls)
        status._value_ = word
        status.number = len(cls.__members__)
        status.kind, status.lsst = kind, lsst
        # Plain attributes: these are asked for every quantum.
        status.unblocks = kind in (Kind.DONE, Kind.HANDED_ON)
        status.is_failure = kind is Kind.FAILED
        return status

    # There is one of each, and they are counted for every quantum; that of `enum.Enum` hashes their names each time.
    __hash__ = object.__hash__


def shortened(text: str, longest: int) -> str:
    """Return both ends of a text that is longer than so many characters, and one that is not as it is."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"


@dataclass(frozen=True, slots=True)
class QuantumError:
    """An exception as text, so that it survives any process boundary."""

    type_name: str
    """Full name of the exception class."""

    message: str

    traceback: str = field(repr=False)
    """The formatted traceback, causes included, of the process that raised."""

    exit_code: int | None = None
    """The exit code that the exception's class asks for, such as `REPEATABLE_ERROR` or `INVALID_QUANTUM`."""

    @property
    def size(self) -> int:
        """Number of characters of its texts."""
        return len(self.message) + len(self.traceback)

    def shortened(self, longest: int) -> QuantumError:
        """Return the same with both ends of texts that are longer than so many characters."""
        message, text = shortened(self.message, longest), shortened(self.traceback, longest)
        return replace(self, message=message, traceback=text)


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

    outputs: StoredOutputs | None = field(default=None, repr=False)

    out_of_memory: bool = False
    """Whether the kernel killed its process for want of memory, for `Status.KILLED`."""

    attempt: int = 1
    """Which attempt at the quantum in this run it was, from 1."""

    earlier: tuple[QuantumOutcome, ...] = ()
    """Outcomes of the attempts before it in this run, oldest first."""

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

    @property
    def text_size(self) -> int:
        """Number of characters of its error, and of those of earlier attempts."""
        own = self.error.size if self.error is not None else 0
        return own + sum(each.text_size for each in self.earlier)

    def with_short_texts(self, longest: int) -> QuantumOutcome:
        """Return a copy whose errors have only both ends of texts that are longer than so many characters."""
        error = self.error.shortened(longest) if self.error is not None else None
        earlier = tuple(each.with_short_texts(longest) for each in self.earlier)
        return replace(self, error=error, earlier=earlier)


_as_tuple = attrgetter(*(field.name for field in fields(QuantumOutcome)))
_STATUSES = tuple(Status)
