"""HTCondor's Python bindings, imported when they are needed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...errors import PipetaskError, reason_of

__all__ = ["condor", "remedy", "says_condor", "schedd"]

_CHANNEL_BINDING = "Directory name doesn't match server's network address"
"""What bindings of version 25 say when FS authentication with an older schedd lacks what they insist on."""


def condor() -> Any:
    """Return the module of the bindings.

    Raises
    ------
    PipetaskError
        If they are not installed.
    """
    try:
        import htcondor2
    except ImportError as error:
        raise PipetaskError(
            f"HTCondor's Python bindings cannot be imported ({error}): install them with 'pip install htcondor'."
        ) from error
    return htcondor2


def schedd() -> Any:
    """Return the access point's queue.

    Raises
    ------
    PipetaskError
        If no daemon answers, or if this process runs as root, whose jobs HTCondor refuses.
    """
    if os.geteuid() == 0:
        raise PipetaskError("HTCondor runs no jobs for root: submit as an ordinary user.")
    module = condor()
    with says_condor("no schedd answers"):
        queue = module.Schedd()
        queue.query(constraint="false", projection=["ClusterId"])
    return queue


@contextmanager
def says_condor(what: str) -> Iterator[None]:
    """Turn an error of the bindings into one line.

    Parameters
    ----------
    what
        What went wrong, to begin the line with.
    """
    try:
        yield
    except PipetaskError:
        raise
    except Exception as error:
        cure = remedy(error) or "is CONDOR_CONFIG right, and does condor_q work here?"
        raise PipetaskError(f"HTCondor: {what} ({reason_of(error)}): {cure}") from error


def remedy(error: Exception) -> str | None:
    """Return what to do about an error of the bindings, `None` if that does not show."""
    if _CHANNEL_BINDING in str(error):
        return (
            "the schedd is older than the bindings, so put SEC_FS_ENFORCE_CHANNEL_BINDING = False into HTCondor's "
            "configuration here, or _CONDOR_SEC_FS_ENFORCE_CHANNEL_BINDING=False into the environment."
        )
    return None
