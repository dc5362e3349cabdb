"""A site of ctrl_bps_parsl for a Slurm on this machine; it is imported by bps, and by nothing here.

A worker of Parsl connects to the command, and only then begins to watch for the connection.  On one machine the
connection is often there first, is never seen, and the worker gives up after 30 seconds: "No viable address found".
So there are several addresses: one whose connection is seen is enough.
"""

from __future__ import annotations

from typing import Any

from lsst.ctrl.bps.parsl.sites import Slurm

__all__ = ["SlurmHere"]

_ADDRESSES = 16


class SlurmHere(Slurm):
    """The site for any Slurm, with several addresses of this machine."""

    def get_address(self) -> str:
        """Let the command listen on all addresses."""
        return "0.0.0.0"

    def make_executor(self, label: str, **options: Any) -> Any:
        """Return the executor of all sites for Slurm, whose workers try several addresses."""
        executor = super().make_executor(label, **options)
        executor.all_addresses = ",".join(f"127.0.0.{number}" for number in range(1, _ADDRESSES + 1))
        return executor
