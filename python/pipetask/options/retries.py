"""Which failures are tried again."""

from __future__ import annotations

from dataclasses import dataclass

from .declaration import option

__all__ = ["RetryOptions"]


@dataclass(frozen=True, kw_only=True)
class RetryOptions:
    """Other attempts at quanta that have failed, within one run."""

    retries: int | None = option(
        "--retries",
        metavar="N",
        minimum=0,
        help="Other attempts at a quantum whose process was killed, by something else than want of memory.",
        default_text="0; on HTCondor its setting 'retries'",
    )
    error_retries: int | None = option(
        "--error-retries",
        metavar="N",
        minimum=0,
        help="Other attempts at a quantum whose task raised; never after an error that says it will come again (exit "
        "codes 20 and 21), nor after a MemoryError.",
        default_text="0; on HTCondor its setting 'error_retries'",
    )
    retry_exceptions: tuple[str, ...] = option(
        "--retry-exceptions",
        metavar="PATTERN",
        default=(),
        help="Names of exceptions, or patterns such as '*Timeout*', that --error-retries is limited to.",
        default_text="all",
    )
    retry_timeouts: bool = option(
        "--retry-timeouts",
        default=False,
        help="Let --retries count for quanta that took longer than --timeout.",
    )
    retry_delay: float = option(
        "--retry-delay",
        metavar="SECONDS",
        default=0.0,
        minimum=0,
        help="Seconds before the second attempt; doubled before each further one, up to an hour.",
    )
    retry_file: str | None = option(
        "--retry-file",
        metavar="FILE",
        help="YAML file with retries, error_retries, exceptions, timeouts and delay by label; '*' is all others.",
        complete="files",
    )
