"""How a quantum ended: its status, what it used, its error, and the outputs that are to be registered."""

from __future__ import annotations

import enum
import pickle
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import uuid

__all__ = [
    "INVALID_QUANTUM",
    "NOT_CLOBBERED",
    "REPEATABLE_ERROR",
    "Kind",
    "QuantumError",
    "QuantumOutcome",
    "Status",
    "StoredOutputs",
    "Transaction",
    "Unit",
    "Usage",
]

REPEATABLE_ERROR = 20
"""Exit code that LSST's ``RepeatableQuantumError`` asks for: the quantum would fail again."""

INVALID_QUANTUM = 21
"""Exit code that LSST's ``InvalidQuantumError`` asks for: the pipeline or its configuration is wrong."""


NOT_CLOBBERED = "outputs of an earlier attempt are registered: --clobber-outputs replaces them"
"""Reason of a quantum that was not run because of what it has left before."""


class Kind(enum.Enum):
    """What a status means for a quantum and for those that depend on it."""

    DONE = "done"
    HANDED_ON = "handed on"
    """Left to another process or another time: nothing has gone wrong, and nothing has been done."""

    FAILED = "failed"
    """The quantum itself went wrong."""

    NOT_RUN = "not run"
    """The quantum was not run to its end because something else went wrong, or because the run was stopped."""


class Status(enum.Enum):
    """How a quantum ended.

    This is the only place that says what a status means.  A member cannot be declared without its kind and the word
    that LSST's ``Report`` uses for it, and only what is done can be a success to LSST.
    """

    SUCCEEDED = "succeeded", Kind.DONE, "success"
    SKIPPED = "skipped", Kind.DONE, "success"
    """Its outputs existed already."""
    NO_WORK = "no-work", Kind.DONE, "success"
    """The task found nothing to do; dependents go on without its outputs."""
    FAILED = "failed", Kind.FAILED, "failure"
    """The task raised an exception."""
    BLOCKED = "blocked", Kind.NOT_RUN, "skipped"
    """Something upstream did not succeed, so it was never started."""
    TIMED_OUT = "timed-out", Kind.FAILED, "timeout"
    KILLED = "killed", Kind.FAILED, "failure", True
    """The process that ran it died: from a signal, or by exiting in the middle of the task."""
    CANCELLED = "cancelled", Kind.NOT_RUN, "skipped"
    """Interrupted, or never started because the run was stopped."""
    PLANNED = "planned", Kind.HANDED_ON, "skipped"
    """A dry run would execute it."""
    WRITTEN = "written", Kind.HANDED_ON, "skipped"
    """Written for a batch run."""
    SUBMITTED = "submitted", Kind.HANDED_ON, "skipped"
    """Handed to a batch system."""

    kind: Kind
    lsst: str
    """The value of `lsst.pipe.base.quantum_reports.ExecutionStatus` that comes closest."""

    transient: bool
    """Whether the cause may lie outside the quantum, so that another attempt may succeed although nothing changes."""

    unblocks: bool
    """Whether dependents may run."""

    is_failure: bool
    """Whether the quantum itself went wrong, rather than being blocked or cancelled."""

    is_final: bool
    """Whether the outcome stands when the job that ran the quantum is started again."""

    def __new__(cls, word: str, kind: Kind, lsst: str, transient: bool = False) -> Status:  # noqa: D102
        if (lsst == "success") is not (kind is Kind.DONE):
            raise ValueError(
                f"{word}: to LSST exactly what is done is a success, so {lsst!r} cannot be right"
            )
        status = object.__new__(cls)
        status._value_ = word
        status.kind, status.lsst, status.transient = kind, lsst, transient
        # Plain attributes, not properties: they are read for every quantum.
        status.unblocks = kind in (Kind.DONE, Kind.HANDED_ON)
        status.is_failure = kind is Kind.FAILED
        status.is_final = status.unblocks or (status.is_failure and not transient)
        return status

    @classmethod
    def from_word(cls, word: str) -> Status:
        """Return the status with this word; raise `ValueError` if there is none."""
        if word not in _STATUSES:
            raise ValueError(f"no status is called {word!r}")
        return _STATUSES[word]

    # Statuses are counted for every quantum, and `enum.Enum` hashes the member's name each time.
    __hash__ = object.__hash__


class Unit(enum.Enum):
    """The unit of a measure."""

    SECONDS = "s"
    BYTES = "byte"

    def text(self, value: float) -> str:
        """Return a value of this unit for people to read."""
        match self:
            case Unit.SECONDS:
                return f"{_three_digits(value)} s"
            case Unit.BYTES:
                prefix = ""
                for larger in ("Ki", "Mi", "Gi"):
                    if value >= 1000:
                        value, prefix = value / 1024, larger
                return f"{_three_digits(value)} {prefix}B"
        raise AssertionError(f"{self} has no text")


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"


def _measure(label: str, unit: Unit, *, peak: bool = False) -> Any:
    """Return a field of `Usage`: a value that is `None` where it is not known.

    A report has the largest value of a task's quanta for a peak, and for any other measure their mean.
    """
    return field(default=None, metadata={"label": label, "unit": unit, "peak": peak})


@dataclass(frozen=True, slots=True)
class Usage:
    """What one attempt at a quantum used; `None` where that is not known.

    The summary file, the report and the records of batch runs take whatever fields there are.  So a new measure is a
    field here, and something in `pipetask.runner.meter` that fills it.
    """

    wall_seconds: float | None = _measure("time", Unit.SECONDS)
    """Elapsed time from start to end, in seconds."""

    cpu_seconds: float | None = _measure("CPU", Unit.SECONDS)
    """Processor time of the process in seconds, in user and system mode, and of the child processes that it has waited
    for."""

    peak_memory: int | None = _measure("memory", Unit.BYTES, peak=True)
    """Largest resident size of the process, in bytes."""

    bytes_read: int | None = _measure("read", Unit.BYTES)
    """Bytes that the process has read by system calls, from the page cache or from disk (``rchar`` in
    :manpage:`proc_pid_io(5)`), and those of the child processes that it has waited for."""

    bytes_written: int | None = _measure("written", Unit.BYTES)
    """The same for what was written (``wchar``), in bytes."""


LONGEST_SHOWN = 200
"""Number of characters of a text that ``repr`` shows."""


def _shown(value: object) -> str:
    return repr(shortened(value, LONGEST_SHOWN) if isinstance(value, str) else value)


def shortened(text: str, longest: int) -> str:
    """Return a text as it is, or only its two ends if it has more characters than that."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half} characters left out …]\n{text[-half:]}"


@dataclass(frozen=True, slots=True, repr=False)
class QuantumError:
    """An exception as text, which can be sent to any process."""

    type_name: str
    """Full name of the exception class."""

    message: str

    traceback: str
    """The formatted traceback of the process that raised, including causes."""

    exit_code: int | None = None
    """The exit code that the exception's class asks for, such as `REPEATABLE_ERROR` or `INVALID_QUANTUM`."""

    def __repr__(self) -> str:
        return f"QuantumError({self.type_name!r}, {shortened(self.message, LONGEST_SHOWN)!r})"

    @property
    def size(self) -> int:
        """Number of characters in its texts."""
        return len(self.message) + len(self.traceback)

    def shortened(self, longest: int) -> QuantumError:
        """Return a copy that keeps only the two ends of texts that have more characters than that."""
        message, text = shortened(self.message, longest), shortened(self.traceback, longest)
        return replace(self, message=message, traceback=text)


@dataclass(frozen=True, slots=True, repr=False)
class StoredOutputs:
    """What a quantum has left in the datastore, for the registrar."""

    datasets: list[tuple[str, uuid.UUID, tuple[Any, ...]]]
    """Dataset type name, dataset ID and full data ID values of each dataset that is stored."""

    records: dict[str, Any]
    """Datastore records by datastore name, as `lsst.daf.butler.Datastore.export_records` returns them."""

    absent: list[tuple[str, uuid.UUID, tuple[Any, ...]]]
    """Predicted outputs that are not stored, and that an earlier attempt may have registered."""

    def __repr__(self) -> str:
        return f"<StoredOutputs: {len(self.datasets)} datasets, {len(self.absent)} absent>"


@dataclass(frozen=True, slots=True)
class Transaction:
    """Outputs of several quanta that were registered together."""

    start: float
    """When it began, in seconds since 1970-01-01 UTC."""

    end: float
    quanta: int
    """Number of quanta."""

    datasets: int
    """Number of their datasets."""

    succeeded: bool = True


@dataclass(slots=True, repr=False)  # not frozen: that would triple the time to make one
class QuantumOutcome:
    """How one quantum ended.  An execution model yields exactly one of these for each quantum that it takes."""

    id: int
    """Position of the quantum in the enumeration of its graph."""

    status: Status

    start: float | None = None
    """When it started, in seconds since 1970-01-01 UTC; `None` if it never started."""

    end: float | None = None
    """When it ended, in the same unit."""

    host: str | None = None
    pid: int | None = None

    usage: Usage | None = None
    """What it used; `None` if it never ran, or was not measured."""

    error: QuantumError | None = None
    signal: int | None = None
    """The signal that ended the process, for `Status.KILLED` and `Status.TIMED_OUT`."""

    exit_code: int | None = None
    """The exit code of the process, if it exited in the middle of the quantum."""

    blocked_by: int | None = None
    """For `Status.BLOCKED`: the id of the upstream quantum that went wrong first."""

    caveats: int = 0
    """`lsst.pipe.base.QuantumSuccessCaveats` of a success, as an integer."""

    reason: str | None = None
    """One line that says why, if the status alone does not."""

    log: str | None = None
    """Path of the log, if it is not the log dataset in the butler."""

    out_of_memory: bool = False
    """For `Status.KILLED`: whether the kernel killed the process because memory ran out."""

    attempt: int = 1
    """Which attempt at the quantum in this run this is, counted from 1."""

    earlier: tuple[QuantumOutcome, ...] = ()
    """Outcomes of earlier attempts in this run, oldest first."""

    outputs: StoredOutputs | None = None

    def __repr__(self) -> str:
        # Only what is known: most fields of most outcomes are not set.
        more = [each for each in fields(self)[2:] if each.name not in ("outputs", "earlier")]
        shown = [f"{f.name}={_shown(value)}" for f in more if (value := getattr(self, f.name)) != f.default]
        shown += [f"earlier=<{len(self.earlier)} attempts>"] if self.earlier else []
        return f"QuantumOutcome({', '.join([str(self.id), str(self.status), *shown])})"

    def to_wire(self) -> tuple[Any, ...]:
        """Return the outcome as a tuple of plain values, which pickles five times as fast.

        This is for a pipe between two processes of one program: fields go by position.  The status goes by its word,
        so that it cannot be taken for another one.  Outputs go as bytes, since a process that only passes them on
        should not have to import the classes of the butler.
        """
        id, status, start, end, host, pid, usage, *rest, outputs = _as_tuple(self)
        if outputs is not None and type(outputs) is not bytes:
            outputs = pickle.dumps(outputs, pickle.HIGHEST_PROTOCOL)
        return id, status._value_, start, end, host, pid, usage and _usage_as_tuple(usage), *rest, outputs

    @staticmethod
    def from_wire(values: tuple[Any, ...], *, unpack: bool = True) -> QuantumOutcome:
        """Return the outcome that `to_wire` was called on.

        Parameters
        ----------
        values
            The tuple.
        unpack
            Whether to unpack the outputs; otherwise the outcome is good for nothing but `to_wire`.
        """
        id, word, start, end, host, pid, usage, *rest, outputs = values
        status = _STATUSES[word]
        outcome = QuantumOutcome(id, status, start, end, host, pid, usage and Usage(*usage), *rest)
        outcome.outputs = pickle.loads(outputs) if unpack and outputs is not None else outputs
        return outcome

    @property
    def duration(self) -> float | None:
        """Seconds from start to end, `None` if it never started."""
        return None if self.start is None or self.end is None else self.end - self.start

    def without_outputs(self) -> QuantumOutcome:
        """Return a copy that no longer holds the datastore records."""
        return self if self.outputs is None else replace(self, outputs=None)

    @property
    def text_size(self) -> int:
        """Number of characters in its error and in those of earlier attempts."""
        own = self.error.size if self.error is not None else 0
        return own + sum(each.text_size for each in self.earlier)

    def with_short_texts(self, longest: int) -> QuantumOutcome:
        """Return a copy whose errors keep only the two ends of texts that have more characters than that."""
        error = self.error.shortened(longest) if self.error is not None else None
        earlier = tuple(each.with_short_texts(longest) for each in self.earlier)
        return replace(self, error=error, earlier=earlier)


_as_tuple = attrgetter(*(field.name for field in fields(QuantumOutcome)))  # outputs are the last
_usage_as_tuple = attrgetter(*(field.name for field in fields(Usage)))
_STATUSES = {status.value: status for status in Status}
