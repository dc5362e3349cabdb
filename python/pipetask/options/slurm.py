"""Settings for the batch system Slurm."""

from __future__ import annotations

from dataclasses import dataclass

from .declaration import option

__all__ = ["SlurmOptions"]


@dataclass(frozen=True, kw_only=True)
class SlurmOptions:
    """Options of the batch system Slurm."""

    slurm: tuple[str, ...] = option(
        "--slurm",
        metavar="KEY=VALUE",
        default=(),
        split=False,
        help="Setting for Slurm, such as partition=short, time=2h or labels.isr.memory=4GB.",
    )
    slurm_config: str | None = option(
        "--slurm-config",
        metavar="FILE",
        help="A site's settings for Slurm (YAML), over the shipped ones.",
        complete="files",
    )
