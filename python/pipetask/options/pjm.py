"""Settings for the batch system PJM."""

from __future__ import annotations

from dataclasses import dataclass

from .declaration import option

__all__ = ["PjmOptions"]


@dataclass(frozen=True, kw_only=True)
class PjmOptions:
    """Options of the batch system PJM."""

    pjm: tuple[str, ...] = option(
        "--pjm",
        metavar="KEY=VALUE",
        default=(),
        split=False,
        help="Setting for PJM, such as resource_group=small, time=2h or labels.isr.memory=4GB.",
    )
    pjm_config: str | None = option(
        "--pjm-config",
        metavar="FILE",
        help="A site's settings for PJM (YAML), over the shipped ones.",
        complete="files",
    )
