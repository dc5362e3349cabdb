"""Read YAML files with sections of settings."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import UsageError, did_you_mean

__all__ = ["check_key", "read_sections", "read_shipped", "sections"]


def read_shipped(name: str) -> dict[str, Any]:
    """Read a file of the package's ``config/``."""
    # Imported late, here and below: help texts need no settings, and must be fast.
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
        Name of the file in error messages; its path by default.

    Returns
    -------
    content
        The content of each section, unchecked.

    Raises
    ------
    UsageError
        If it cannot be read, or has no sections.
    """
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_bytes())
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"{named or path} cannot be read: {_reason(error)}.") from error
    if not isinstance(content, dict | None):
        raise UsageError(f"{named or path} has no sections with settings.")
    return {str(name): {} if values is None else values for name, values in (content or {}).items()}


def _reason(error: Exception) -> str:
    """Return what is wrong with a file, and where, on one line."""
    import yaml

    match error:
        case OSError():
            return error.strerror or str(error)
        case yaml.MarkedYAMLError(problem=str(problem), problem_mark=yaml.Mark(line=line, column=column)):
            tab = " (a tab: use spaces)" if "'\\t'" in problem else ""
            return f"line {line + 1}, column {column + 1}: {problem}{tab}"
        case _:
            return " ".join(str(error).split())


def sections(
    content: Mapping[str, Any], known: Collection[str] | None, what: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Iterate over sections and the settings in them.

    Parameters
    ----------
    content
        The sections.
    known
        The valid names; `None` if any name is valid.
    what
        Where they come from, and what they are; used in messages.

    Raises
    ------
    UsageError
        If a section is unknown, or contains something else than settings.
    """
    for section, values in content.items():
        if known is not None:
            check_key(section, known, what)
        if not isinstance(values, dict):
            raise UsageError(f"{what} {section!r} has no settings.")
        yield section, values


def check_key(key: object, known: Collection[str], what: str) -> None:
    """Refuse an unknown key.

    Parameters
    ----------
    key
        The key.
    known
        The valid keys.
    what
        Where it comes from, and what it is; used in messages.

    Raises
    ------
    UsageError
        With a suggestion if another key is similar.
    """
    if key not in known:
        raise UsageError(f"{what} {key!r} is unknown{did_you_mean(str(key), known)}")
