"""Settings for the batch system HTCondor."""

from __future__ import annotations

from dataclasses import dataclass

from .declaration import option

__all__ = ["CondorOptions"]


@dataclass(frozen=True, kw_only=True)
class CondorOptions:
    """Options of the batch system HTCondor."""

    condor: tuple[str, ...] = option(
        "--condor",
        metavar="KEY=VALUE",
        default=(),
        split=False,
        help="Setting for HTCondor, such as request_memory=4GB or labels.isr.request_cpus=2.",
    )
    condor_config: str | None = option(
        "--condor-config",
        metavar="FILE",
        help="A site's settings for HTCondor (YAML), over the shipped ones.",
        complete="files",
    )
