"""Settings for PJM: the shipped ``config/pjm.yaml``, a site's file over it, and single values over both."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import UsageError
from ..queueing.configuration import JobSettings, QueueConfiguration, queue_shape

__all__ = ["PjmConfiguration", "PjmJobSettings"]

_OURS = {
    "L": "resource_group, machines, time, memory or resources",
    "rsc-list": "resource_group, machines, time, memory or resources",
    "g": "group",
    "gname": "group",
    "X": "pass_environment",
    "x": "environment",
}
_TAKEN = {
    "N", "S", "bulk", "e", "err", "help", "i", "interact", "j", "name", "o", "out", "s", "spath", "sparam", "step", "w",
    "z",
}  # fmt: skip


@dataclass(frozen=True)
class PjmJobSettings(JobSettings):
    """What holds for the jobs of one kind; ``config/pjm.yaml`` says what each means."""

    resource_unit: str
    resource_group: str
    group: str
    machines: int
    slots: int
    launcher: str
    ask_memory: bool
    resources: str
    pjsub: Mapping[str, str]

    def slots_for(self, memory: int) -> int:
        """Return how many nodes that need so much memory run at a time where those of the settings fit."""
        return max(1, min(self.slots, self.memory * self.slots // memory))


@dataclass(frozen=True)
class PjmConfiguration(QueueConfiguration[PjmJobSettings]):
    """All settings of a run, in the form of ``config/pjm.yaml``, checked."""

    shape = queue_shape("pjm", "pjsub", largest=("machines",), least={"machines": 1, "slots": 1})
    job_settings = PjmJobSettings
    submits = "pjsub"
    own_options = _OURS
    taken_options = frozenset(_TAKEN)
    option_form = r"[A-Za-z][a-z0-9-]*"

    def _check(self, settings: Mapping[str, Any]) -> None:
        super()._check(settings)
        try:
            shlex.split(settings.get("launcher", ""))
        except ValueError as error:
            raise UsageError(f"launcher cannot be {settings['launcher']!r}: {error}.") from error
