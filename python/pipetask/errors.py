"""Errors with one line for the user."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from .wording import in_own_words

__all__ = [
    "MissingGuardError",
    "PipetaskError",
    "RegistrationError",
    "UsageError",
    "closest",
    "did_you_mean",
    "one_line",
    "reason_of",
]

_LISTED = 12
"""Maximum number of names that a message lists."""


class PipetaskError(Exception):
    """An error that a user can correct.

    Raised with one line that names the thing and says what to do.  The command prints that line, and the traceback
    only at debug level.  Messages are written with flags, such as ``--extend-run``; in Python they name arguments
    instead (see `pipetask.wording`).
    """

    exit_code = 1

    def __str__(self) -> str:
        return in_own_words(super().__str__())


class UsageError(PipetaskError):
    """Raised when options contradict each other or make no sense."""

    exit_code = 2


class RegistrationError(PipetaskError):
    """Raised when finished outputs could not be written to the registry; the files themselves are safe."""


class MissingGuardError(PipetaskError):
    """Raised where a script starts worker processes that import it, and would start some in turn."""

    def __init__(self) -> None:
        super().__init__(
            "Worker processes import your script, and it executes quanta when imported: put that part of it under "
            'if __name__ == "__main__":.'
        )


def reason_of(error: BaseException) -> str:
    """Return one line with the message of an exception of another package.

    Parameters
    ----------
    error
        The exception.  If SQLAlchemy wraps an exception of the database, the message of the latter is used.
    """
    error = getattr(error, "orig", None) or error
    try:
        text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    except Exception:  # the class may have any fault
        text = ""
    return text.strip().partition("\n")[0].rstrip(".") or type(error).__name__


def one_line(error: BaseException, where: str | None = None) -> str:
    """Return one sentence about any exception.

    Parameters
    ----------
    error
        For a `PipetaskError`, the line is its message; for others, it includes the type.
    where
        What the error is about, if the exception does not say so.
    """
    if isinstance(error, PipetaskError):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.filename is not None:
        line = f"{error.filename}: {error.strerror}."
    else:
        line = f"{type(error).__name__}: {reason_of(error)} (--log-level DEBUG shows where)."
    return f"{where}: {line}" if where else line


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most similar to an unknown one; `None` if none is similar."""
    by_folded = {each.casefold(): each for each in known}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1)
    return by_folded[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """Return the end of an "unknown name" message: a suggestion, the known names, or a full stop.

    Parameters
    ----------
    name
        The name.
    known
        The known names.
    otherwise
        The end if no known name is similar; by default the list of known names, unless it is too long.

    Returns
    -------
    ending
        A colon and a hint, or a full stop.
    """
    names = list(known)
    if close := closest(name, names):
        return f": did you mean {close!r}?"
    if otherwise is None and 0 < len(names) <= _LISTED:
        otherwise = f"there are {', '.join(names)}."
    return f": {otherwise}" if otherwise else "."
