"""Names for new collections."""

from __future__ import annotations

import re

from ..errors import UsageError

__all__ = ["check_new_name"]

_TROUBLE = re.compile(r"[*?\[\],$%\x00-\x1f\x7f]|^\s|\s$")
"""What cannot be named on a command line afterwards (globs, commas), or is expanded in the paths of files."""


def check_new_name(name: str, what: str) -> None:
    """Refuse a name that a butler would take, with trouble later on.

    Parameters
    ----------
    name
        The name of a collection that does not exist yet.
    what
        What it is, to begin a sentence with.

    Raises
    ------
    UsageError
        If files of the collection would end up elsewhere than its name says, or if it could not be named in a query.
    """
    if not name or any(part in ("", ".", "..") for part in name.split("/")) or _TROUBLE.search(name):
        raise UsageError(
            f"{what} {name!r} is no good name for a collection: take letters, digits, '_', '-', '.', and '/' between "
            "parts."
        )
