"""How a graph is written for a batch system."""

from __future__ import annotations

from dataclasses import dataclass

from .declaration import option

__all__ = ["BatchOptions"]


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """Options of execution models that let a batch system run the quanta."""

    run_dir: str | None = option(
        "--run-dir",
        metavar="DIR",
        help="New folder for all that belongs to the run.",
        default_text="named after the output run, in the working directory",
    )
    submit: bool = option(
        "--submit/--no-submit", default=True, help="Submit what was written, or write it only."
    )
    wait: bool = option("--wait", default=False, help="Follow the run to its end, as if it ran here.")
    bundle_size: int | None = option(
        "--bundle-size",
        metavar="N",
        minimum=1,
        help="Quanta in a job.",
        default_text="the square root of their number, at most 50",
    )
    bundle_by: tuple[str, ...] = option(
        "--bundle-by", metavar="DIMENSION", default=(), help="Dimensions that all quanta of a job share."
    )
    bundle_seconds: float | None = option(
        "--bundle-seconds", metavar="SECONDS", above=0, help="Expected work in a job; needs --timings."
    )
    timings: str | None = option(
        "--timings",
        metavar="FILE",
        help="Summary of an earlier run, which tells how long quanta take.",
        complete="files",
    )
