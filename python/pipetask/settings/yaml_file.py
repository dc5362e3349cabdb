"""Reads YAML files that hold sections of settings."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import UsageError, did_you_mean

__all__ = ["check_key", "read_sections", "read_shipped", "sections"]


def read_shipped(name: str) -> dict[str, Any]:
    """Read a file of the package's ``config/``."""
    # Imported late, here and below: help texts need no settings, and should be there at once.
    from importlib.resources import files

    import yaml

    found: dict[str, Any] = yaml.safe_load(files("pipetask").joinpath("config", name).read_bytes())
    return found


def read_sections(path: str, named: str | None = None) -> dict[str, Any]:
    """Read a file.

    Parameters
    ----------
    path
        The file.
    named
        What errors call it, if not by its path.

    Returns
    -------
    content
        What is in each section; nothing in it is checked.

    Raises
    ------
    UsageError
        If it cannot be read, or holds no sections.
    """
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_bytes())
    except (OSError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise UsageError(f"{named or path} cannot be read: {reason}.") from error
    if not isinstance(content, dict | None):
        raise UsageError(f"{named or path} does not hold sections with settings.")
    return {str(name): {} if values is None else values for name, values in (content or {}).items()}


def sections(
    content: Mapping[str, Any], known: Collection[str] | None, what: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Iterate over sections and the settings in them.

    Parameters
    ----------
    content
        The sections.
    known
        The names there are; `None` if any will do.
    what
        Where they stand, and what kind of thing they are.

    Raises
    ------
    UsageError
        If a section is unknown, or holds something else than settings.
    """
    for section, values in content.items():
        if known is not None:
            check_key(section, known, what)
        if not isinstance(values, dict):
            raise UsageError(f"{what} {section!r} does not hold settings.")
        yield section, values


def check_key(key: object, known: Collection[str], what: str) -> None:
    """Refuse an unknown key.

    Parameters
    ----------
    key
        The key.
    known
        The keys there are.
    what
        Where it stands, and what kind of thing it names.

    Raises
    ------
    UsageError
        With a suggestion if another key is similar.
    """
    if key not in known:
        raise UsageError(f"{what} {key!r} is unknown{did_you_mean(str(key), known)}")
