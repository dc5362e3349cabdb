"""Settings for the batch system PBS."""

from __future__ import annotations

from dataclasses import dataclass

from .declaration import option

__all__ = ["PbsOptions"]


@dataclass(frozen=True, kw_only=True)
class PbsOptions:
    """Options of the batch system PBS."""

    pbs: tuple[str, ...] = option(
        "--pbs",
        metavar="KEY=VALUE",
        default=(),
        split=False,
        help="Setting for PBS, such as queue=short, time=2h or labels.isr.memory=4GB.",
    )
    pbs_config: str | None = option(
        "--pbs-config",
        metavar="FILE",
        help="A site's settings for PBS (YAML), over the shipped ones.",
        complete="files",
    )
