"""Options for developers of tasks."""

from __future__ import annotations

from dataclasses import dataclass

from .declaration import option

__all__ = ["CoverageOptions", "ProfileOptions"]


@dataclass(frozen=True, kw_only=True)
class ProfileOptions:
    """Profiling."""

    profile: str | None = option(
        "--profile",
        metavar="FILE",
        help="Write cProfile statistics of the command and all workers to FILE, for pstats.",
        new_file=True,
    )


@dataclass(frozen=True, kw_only=True)
class CoverageOptions:
    """Line coverage (needs the package ``coverage``)."""

    coverage: bool = option(
        "--coverage", default=False, help="Record line coverage, also in workers (needs 'coverage')."
    )
    cov_report: bool = option(
        "--cov-report/--no-cov-report", default=True, help="With --coverage: write an HTML report to covhtml."
    )
    cov_packages: tuple[str, ...] = option(
        "--cov-packages",
        metavar="PACKAGE",
        default=(),
        help="With --coverage: record only these packages.",
        default_text="all",
    )
