"""What can go wrong, said to a person."""

from __future__ import annotations

__all__ = ["PipetaskError", "RegistrationError", "UsageError"]


class PipetaskError(Exception):
    """An error that a user can act on.

    Raised with one line that names the thing and says what to do.  The command prints that line, and the traceback
    only at debug level.
    """

    exit_code = 1


class UsageError(PipetaskError):
    """Raised when options contradict each other or have no meaning together."""

    exit_code = 2


class RegistrationError(PipetaskError):
    """Raised when finished outputs could not be written to the registry; the files themselves are safe."""
