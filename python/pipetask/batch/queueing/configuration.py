"""Settings of queueing systems: what all of them have."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from ...errors import UsageError
from ...settings.layers import Shape, megabytes
from ..layered import LayeredConfiguration

__all__ = ["JobSettings", "QueueConfiguration", "RunSettings", "clock", "minutes", "queue_shape"]

_UNITS = {"s": 1 / 60, "min": 1, "m": 1, "h": 60, "d": 24 * 60}


def minutes(duration: object) -> int:
    """Return a walltime in minutes, rounded up.

    Raises
    ------
    ValueError
        If it has no unit, and is not written with colons.
    """
    text = str(duration).strip()
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)", text):
        return -int(-float(found[1]) * _UNITS[found[2]] // 1)
    if found := re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+)(?::(\d+))?", text):
        # As sbatch reads it: with days, hours come first; without, two numbers are minutes and seconds.
        days, first, second, third = (int(part or 0) for part in found.groups())
        if found[1] is None and found[4] is None:
            return first + (second > 0)
        return days * 24 * 60 + first * 60 + second + (third > 0)
    raise ValueError(f"{duration!r} is not a walltime such as 90min, 2h, 1d or '1:30:00'")


def clock(minutes: int) -> str:
    """Return a walltime as hours, minutes and seconds."""
    return f"{minutes // 60:02}:{minutes % 60:02}:00"


def queue_shape(
    name: str, submits: str, *, largest: tuple[str, ...] = (), least: Mapping[str, float] | None = None
) -> Shape:
    """Return what the settings of a queueing system look like.

    Parameters
    ----------
    name
        Of the system; its file, its option, and its section for the run as a whole are named after it.
    submits
        The command that submits; also the name of the setting with more of its options.
    largest
        More settings of which a job that runs several tasks takes the largest.
    least
        More settings with a smallest number.
    """
    return Shape(
        shipped=f"{name}.yaml",
        option=f"--{name}",
        whole=name,
        largest=("cpus", "memory", "memory_limit", "time", "time_limit", "gpus", "retries", *largest),
        free=("environment", submits),
        measures={"memory": megabytes, "memory_limit": megabytes, "time": minutes, "time_limit": minutes},
        least={
            "cpus": 1, "memory_factor": 1, "time_factor": 1, "columns": 1, "patience": 1, **(least or {}),
        },
        verbatim=("time", "time_limit"),
    )  # fmt: skip


@dataclass(frozen=True)
class JobSettings:
    """What holds for the jobs of one kind on any queueing system; the shipped files say what each means."""

    time: int
    """Minutes."""

    time_factor: float
    time_limit: int
    memory: int
    """Megabytes."""

    memory_factor: float
    memory_limit: int
    cpus: int
    gpus: int
    retries: int
    error_retries: int
    python: str
    container: str
    pass_environment: tuple[str, ...]
    environment: Mapping[str, str]

    def more_memory(self, megabytes: int) -> int:
        """Return the memory to ask for after a request was too small."""
        return max(megabytes, min(self.memory_limit, int(megabytes * self.memory_factor)))

    def more_time(self, minutes: int) -> int:
        """Return the walltime to ask for after a request was too small."""
        return max(minutes, min(self.time_limit, int(minutes * self.time_factor)))


@dataclass(frozen=True)
class RunSettings:
    """What holds for the run as a whole."""

    name: str
    columns: int
    max_submit: int
    max_array: int
    rounds: int
    patience: int
    pilots: int


Settings = TypeVar("Settings", bound=JobSettings)


@dataclass(frozen=True)
class QueueConfiguration(LayeredConfiguration[Settings]):
    """All settings of a run, checked."""

    submits: ClassVar[str]
    """The command that submits; also the name of the setting with more of its options."""

    own_options: ClassVar[Mapping[str, str]] = {}
    """Options of the command that submits, with the settings of their own that they have."""

    taken_options: ClassVar[Collection[str]] = ()
    """Options of the command that submits that a run needs itself."""

    run_settings: ClassVar[type[RunSettings]] = RunSettings

    option_form: ClassVar[str] = r"[a-z][a-z0-9-]*"
    """What options of the command that submits look like, without dashes before."""

    @property
    def run(self) -> RunSettings:
        """Settings of the run as a whole."""
        return self.run_settings(**self.layers.whole)

    def check(self) -> None:
        """Refuse options that the run needs itself, and containers that are no words."""
        content = self.layers.content
        for settings in (content["jobs"], *content["labels"].values(), *content["nodes"].values()):
            self._check(settings)

    def _check(self, settings: Mapping[str, Any]) -> None:
        free = self.submits
        for name, value in settings.get(free, {}).items():
            if (own := self.own_options.get(str(name))) is not None:
                raise UsageError(f"{free}.{name} is set by a setting of its own: use {own}.")
            if not re.fullmatch(self.option_form, str(name)) or name in self.taken_options:
                raise UsageError(
                    f"{free}.{name} cannot be set: the run needs that option itself, or there is none."
                )
            if "\n" in str(value) or "\0" in str(value):
                raise UsageError(f"{free}.{name} cannot be {value!r}: an option is one line.")
        try:
            shlex.split(settings.get("container", ""))
        except ValueError as error:
            raise UsageError(f"container cannot be {settings['container']!r}: {error}.") from error
