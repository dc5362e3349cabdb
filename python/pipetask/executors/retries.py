"""Which quanta are tried again after a failure, how often, and when."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any

from ..errors import UsageError
from ..options.retries import RetryOptions
from ..outcome import QuantumOutcome, Status
from ..settings.yaml_file import check_key, read_sections, sections

__all__ = ["NO_RETRIES", "RetryPolicy", "RetryRule", "all_attempts", "raised_memory_error"]

LONGEST_DELAY = 3600.0
"""Seconds beyond which the delay before another attempt does not grow."""

EVERY_LABEL = "*"
"""In a file, the section for all labels that have none of their own."""


@dataclass(frozen=True)
class RetryRule:
    """When quanta of one label are tried again."""

    retries: int | None = None
    """Other attempts after system failures: the process was killed, or, if `timeouts` says so, took too long; `None`:
    as many as the execution model makes by itself, which on one machine is none."""

    error_retries: int | None = None
    """Other attempts after the task has raised; `None`: as above."""

    exceptions: tuple[str, ...] = ()
    """Patterns of names of exceptions that another attempt may help against; all if empty."""

    timeouts: bool = False
    """Whether a timeout counts as a system failure."""

    delay: float = 0.0
    """Seconds before the second attempt; the delay doubles with each further one."""

    def numbers(self) -> dict[str, int]:
        """Return the numbers of other attempts that were asked for, by name."""
        numbers = {"retries": self.retries, "error_retries": self.error_retries}
        return {name: number for name, number in numbers.items() if number is not None}

    def delay_before_next(self, outcomes: Sequence[QuantumOutcome]) -> float | None:
        """Return the seconds to wait before another attempt, `None` if there is to be none.

        Parameters
        ----------
        outcomes
            Those of all attempts so far, oldest first; the last one decides whether another may help.
        """
        allowed = self._allowed(outcomes[-1])
        same_kind = sum(1 for outcome in outcomes if _raised(outcome) == _raised(outcomes[-1]))
        if same_kind > allowed:
            return None
        doublings = min(len(outcomes) - 1, 60)  # more would not fit into a float in the end
        return min(self.delay * 2.0**doublings, LONGEST_DELAY)

    def _allowed(self, outcome: QuantumOutcome) -> int:
        """Return how many more attempts a failure of this kind allows."""
        if outcome.status.transient:
            # The next attempt has no more memory than this one had.
            return 0 if outcome.out_of_memory else self.retries or 0
        if outcome.status is Status.TIMED_OUT:
            return (self.retries or 0) if self.timeouts else 0
        return (self.error_retries or 0) if _raised(outcome) and self._may_go_differently(outcome) else 0

    def _may_go_differently(self, outcome: QuantumOutcome) -> bool:
        error = outcome.error
        if error is None or error.exit_code is not None or raised_memory_error(outcome):
            return False
        names = (error.type_name, error.type_name.rpartition(".")[2])
        return not self.exceptions or any(fnmatchcase(n, p) for p in self.exceptions for n in names)


def _raised(outcome: QuantumOutcome) -> bool:
    return outcome.status is Status.FAILED


def raised_memory_error(outcome: QuantumOutcome) -> bool:
    """Return whether a quantum failed because it could not get the memory that it asked for."""
    return outcome.error is not None and outcome.error.type_name.rpartition(".")[2] == "MemoryError"


@dataclass(frozen=True)
class RetryPolicy:
    """Rules by label."""

    general: RetryRule = RetryRule()
    labels: Mapping[str, RetryRule] = field(default_factory=dict)

    @classmethod
    def from_options(cls, options: RetryOptions, labels: Collection[str]) -> RetryPolicy:
        """Make the policy that the options ask for.

        Parameters
        ----------
        options
            What holds for all labels, and a file with what holds for single ones.
        labels
            The labels of the graph.

        Raises
        ------
        UsageError
            If the file cannot be read, or if a label or a value in it means nothing.
        """
        general = RetryRule(
            options.retries,
            options.error_retries,
            options.retry_exceptions,
            options.retry_timeouts,
            options.retry_delay,
        )
        if options.retry_file is None:
            return cls(general)
        content = read_sections(options.retry_file)
        named = {}
        for label, values in sections(content, [EVERY_LABEL, *labels], f"{options.retry_file}: label"):
            named[label] = values
        general = _overlaid(general, named.pop(EVERY_LABEL, {}), options.retry_file)
        return cls(general, {label: _overlaid(general, v, options.retry_file) for label, v in named.items()})

    def rule(self, label: str) -> RetryRule:
        """Return the rule for quanta of a label."""
        return self.labels.get(label, self.general)

    def __bool__(self) -> bool:
        """Return whether anything is ever tried again."""
        return any(rule.retries or rule.error_retries for rule in (self.general, *self.labels.values()))


NO_RETRIES = RetryPolicy()
"""Every failure is final."""


def _overlaid(rule: RetryRule, values: Mapping[str, Any], path: str) -> RetryRule:
    known = {each.name for each in fields(RetryRule)}
    merged = {name: getattr(rule, name) for name in known}
    for key, value in values.items():
        check_key(key, known, f"{path}: setting")
        merged[key] = _checked(key, value, path)
    return RetryRule(**merged)


def _checked(key: str, value: Any, path: str) -> Any:
    match key, value:
        case (("retries" | "error_retries"), int()) if not isinstance(value, bool) and value >= 0:
            return value
        case "delay", int() | float() if not isinstance(value, bool) and 0 <= value <= LONGEST_DELAY:
            return float(value)
        case "timeouts", bool():
            return value
        case "exceptions", str():
            return (value,)
        case "exceptions", list() if all(isinstance(item, str) for item in value):
            return tuple(value)
        case _:
            raise UsageError(f"{path}: {key} cannot be {value!r}.")


def all_attempts(before: Sequence[QuantumOutcome], outcome: QuantumOutcome) -> tuple[QuantumOutcome, ...]:
    """Return all attempts at a quantum in one sequence, numbered, oldest first.

    Parameters
    ----------
    before
        Attempts that are known to have come before.
    outcome
        The outcome after them, which may itself know of attempts before it.
    """
    attempts = (*before, *outcome.earlier, outcome)
    outcome.earlier = ()
    for number, each in enumerate(attempts, start=1):
        each.attempt = number
    return attempts
