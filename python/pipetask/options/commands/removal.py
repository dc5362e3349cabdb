"""Options of the commands that clean up."""

from __future__ import annotations

from dataclasses import dataclass

from ..collections import RepositoryOptions
from ..declaration import argument, option, section

__all__ = ["CleanupCommand", "ConfirmOptions", "PurgeCommand"]


@dataclass(frozen=True, kw_only=True)
class ConfirmOptions:
    """Whether to ask for confirmation."""

    confirm: bool = option("--confirm/--no-confirm", default=True, help="Ask before removing anything.")


@dataclass(frozen=True, kw_only=True)
class PurgeCommand:
    """Remove a CHAINED collection and the collections in it whose names begin with its name.

    COLLECTION must not be in another chain; the collections that are removed with it must not be in a second chain.
    RUN collections are removed with their datasets and files.  Everything to be removed is listed first.
    """

    collection: str = argument("CHAINED collection.", complete="collections")
    repository: RepositoryOptions = section("", RepositoryOptions)
    confirm: ConfirmOptions = section("", ConfirmOptions)
    recursive: bool = option(
        "--recursive",
        default=False,
        help="Also remove collections in chains inside the chain, by the same rule.",
    )


@dataclass(frozen=True, kw_only=True)
class CleanupCommand:
    """Remove collections whose names begin with the name of a CHAINED collection and that are no longer in it.

    COLLECTION is the chain; the names begin with COLLECTION and a slash, like those of its output runs.  Collections
    in another chain are kept.  RUN collections are removed with their datasets and files.  Everything to be removed is
    listed first.
    """

    collection: str = argument("CHAINED collection.", complete="collections")
    repository: RepositoryOptions = section("", RepositoryOptions)
    confirm: ConfirmOptions = section("", ConfirmOptions)
