"""Which failures get another attempt."""

from __future__ import annotations

from dataclasses import dataclass

from .declaration import option

__all__ = ["RetryOptions"]


@dataclass(frozen=True, kw_only=True)
class RetryOptions:
    """Further attempts at failed quanta within one run."""

    retries: int | None = option(
        "--retries",
        metavar="N",
        minimum=0,
        help="Further attempts at a quantum whose process was killed, unless memory ran out.",
        default_text="0; on batch systems their setting 'retries'",
    )
    error_retries: int | None = option(
        "--error-retries",
        metavar="N",
        minimum=0,
        help="Further attempts at a quantum whose task raised; never after RepeatableQuantumError, "
        "InvalidQuantumError (exit codes 20 and 21) or MemoryError.",
        default_text="0; on batch systems their setting 'error_retries'",
    )
    retry_exceptions: tuple[str, ...] = option(
        "--retry-exceptions",
        metavar="PATTERN",
        default=(),
        help="Exceptions that --error-retries is limited to: names, or patterns such as '*Timeout*'.",
        default_text="all",
    )
    retry_timeouts: bool = option(
        "--retry-timeouts",
        default=False,
        help="Apply --retries to quanta that took longer than --timeout, too.",
    )
    retry_delay: float = option(
        "--retry-delay",
        metavar="SECONDS",
        default=0.0,
        minimum=0,
        help="Seconds before the second attempt; doubled for each further one, up to an hour.",
    )
    retry_file: str | None = option(
        "--retry-file",
        metavar="FILE",
        help="YAML file with retries, error_retries, exceptions, timeouts and delay by label; '*' means all others.",
        complete="files",
    )
