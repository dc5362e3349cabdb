"""What can go wrong, said to a person."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "PipetaskError",
    "RegistrationError",
    "UsageError",
    "closest",
    "did_you_mean",
    "one_line",
    "reason_of",
]

_LISTED = 12
"""How many names a message lists at most."""


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


def one_line(error: BaseException, where: str | None = None) -> str:
    """Return one line, a sentence, on any exception.

    Parameters
    ----------
    error
        One of ours says what there is to say; of others, at least their type has to be said.
    where
        What was concerned, if the exception does not say so itself.
    """
    if isinstance(error, PipetaskError):
        return " ".join(str(error).split())
    if isinstance(error, OSError) and error.filename is not None:
        line = f"{error.filename}: {error.strerror}."
    else:
        line = f"{type(error).__name__}: {reason_of(error)} (--log-level DEBUG shows where)."
    return f"{where}: {line}" if where else line


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the name that was probably meant by one that nobody knows; `None` if no name is like it."""
    by_folded = {each.casefold(): each for each in known}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1)
    return by_folded[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """Return how a sentence ends that begins with a name that nobody knows.

    Parameters
    ----------
    name
        The name.
    known
        The names there are.
    otherwise
        What to say if none of them is like it; by default, what there is, if that is not too much.

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
