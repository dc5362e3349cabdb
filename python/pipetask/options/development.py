"""What developers of tasks look at."""

from __future__ import annotations

from dataclasses import dataclass

from .declaration import option

__all__ = ["CoverageOptions", "ProfileOptions"]


@dataclass(frozen=True, kw_only=True)
class ProfileOptions:
    """Where the time goes."""

    profile: str | None = option(
        "--profile",
        metavar="FILE",
        help="Write cProfile statistics to FILE, for pstats; those of all workers are merged.",
        new_file=True,
    )


@dataclass(frozen=True, kw_only=True)
class CoverageOptions:
    """Which lines of code were run (needs the package ``coverage``)."""

    coverage: bool = option(
        "--coverage", default=False, help="Record which lines are run, in workers too (needs 'coverage')."
    )
    cov_report: bool = option(
        "--cov-report/--no-cov-report", default=True, help="With --coverage: write an HTML report to covhtml."
    )
    cov_packages: tuple[str, ...] = option(
        "--cov-packages",
        metavar="PACKAGE",
        default=(),
        help="With --coverage: look only at these packages.",
        default_text="all",
    )
