"""Systems that plain runs on stand-ins are submitted with."""

from __future__ import annotations

import json
import os

from pipetask import PbsOptions, PbsSystem, PjmOptions, PjmSystem

__all__ = ["SETTINGS", "pbs", "pjm", "torque"]

SETTINGS = "PIPETASK_TEST_SETTINGS"
"""Environment variable with settings, as a list in JSON."""


def _settings(*fixed: str) -> tuple[str, ...]:
    return ("memory=400MB", "error_retries=0", *fixed, *json.loads(os.environ.get(SETTINGS, "[]")))


def pbs() -> PbsSystem:
    """Return one for PBS Professional."""
    return PbsSystem(PbsOptions(pbs=_settings()))


def torque() -> PbsSystem:
    """Return one for Torque."""
    return PbsSystem(PbsOptions(pbs=_settings("pbs.flavour=torque")))


def pjm() -> PjmSystem:
    """Return one for PJM."""
    return PjmSystem(PjmOptions(pjm=_settings("slots=4")))
