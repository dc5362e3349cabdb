"""Names for new collections."""

from __future__ import annotations

import re

from ..errors import UsageError

__all__ = ["check_new_name"]

_TROUBLE = re.compile(r"[*?\[\],$%\x00-\x1f\x7f]|^\s|\s$")
"""Characters that a command line cannot express (globs, commas), or that are expanded in the paths of files."""


def check_new_name(name: str, what: str) -> None:
    """Refuse a name that the butler would accept, but that would cause problems later.

    Parameters
    ----------
    name
        The name of a collection that does not exist yet.
    what
        What it is; the first words of the message.

    Raises
    ------
    UsageError
        If files of the collection would be stored in another folder, or if the name could not be used in a query.
    """
    if not name or any(part in ("", ".", "..") for part in name.split("/")) or _TROUBLE.search(name):
        raise UsageError(
            f"{what} {name!r} cannot be used for a collection: use letters, digits, '_', '-', '.', and '/' between "
            "parts."
        )
