"""Run one quantum, or a bundle of them: the worker side that every execution model shares."""

from __future__ import annotations

from .base import Interruption, Runner, RunnerSpec, Ticket

__all__ = ["Interruption", "Runner", "RunnerSpec", "Ticket"]
