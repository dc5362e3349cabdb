"""What can go wrong, said to a person."""

from __future__ import annotations

__all__ = ["PipetaskError", "RegistrationError", "UsageError", "reason_of"]


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


def reason_of(error: BaseException) -> str:
    """Return in one line what an exception of somebody else's says.

    Parameters
    ----------
    error
        The exception; where SQLAlchemy wraps that of a database, the database's own words are taken.
    """
    error = getattr(error, "orig", None) or error
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    return text.strip().partition("\n")[0].rstrip(".") or type(error).__name__
