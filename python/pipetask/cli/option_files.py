"""Options from files: ``pipetask.yaml``, ``--profile-file`` and ``-@``.

A file has a section for each command; the section ``all`` is for every command that has the option::

    all:
      butler-config: /repo/main
      output: u/me/out
    run:
      processes: 8

Later ones override earlier ones: default, profile file, options file, command line.  Edits of a pipeline do not
override each other; those from files come first.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ..errors import UsageError, did_you_mean
from ..options.declaration import Declared, Edits, declared, item_type, option
from ..settings.yaml_file import read_sections
from .catalog import COMMANDS

__all__ = ["EDITS", "PROFILE", "FileOptions", "load_defaults", "print_options"]

PROFILE = "pipetask.yaml"
"""Name of the profile file that is read from the working directory, if it exists."""

EDITS = "pipetask.edits"
"""Key under which a context stores the edits of the command line, in their order."""

_ORIGINS = "pipetask.origins"


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """Sources of options besides the command line."""

    options_file: str | None = option(
        "-@", "--options-file", metavar="FILE", help="Take options from a YAML file.", complete="files"
    )
    profile_file: str | None = option(
        "--profile-file",
        metavar="FILE",
        help="Take default options from a YAML file.",
        default_text=f"{PROFILE}, if the working directory has one",
        complete="files",
    )
    show_options: bool = option(
        "--show-options",
        default=False,
        help="Print every option, its value and where it came from, and stop.",
    )


def load_defaults(ctx: click.Context, options: Sequence[Declared], values: Mapping[str, Any]) -> None:
    """Override the defaults of a command with options from files.

    Parameters
    ----------
    ctx
        The command's context, whose ``default_map`` is filled.
    options
        The options of the command.
    values
        Texts from the command line, of which only the names of files are used.

    Raises
    ------
    click.UsageError
        If a file cannot be read, or has an unknown option.
    """
    found: dict[str, Any] = {}
    origins: dict[str, str] = ctx.meta.setdefault(_ORIGINS, {})
    for path in _files(values):
        for each, value in _read(path, ctx, options):
            earlier = found.get(each.name, []) if isinstance(each.option, Edits) else None
            found[each.name] = value if earlier is None else earlier + value
            origins[each.name] = path
    ctx.default_map = {**(ctx.default_map or {}), **found}


def _files(values: Mapping[str, Any]) -> Iterator[str]:
    profile = values.get("profile_file")
    if isinstance(profile, str):
        yield profile
    elif Path(PROFILE).is_file():
        yield PROFILE
    if isinstance(values.get("options_file"), str):
        yield values["options_file"]


def _read(path: str, ctx: click.Context, options: Sequence[Declared]) -> Iterator[tuple[Declared, Any]]:
    content = _content(path, ctx)
    known = _names(options)
    for name in content:
        if name not in ("all", *COMMANDS):
            raise click.UsageError(
                f"{path}: there is no command {name!r}{did_you_mean(name, ['all', *COMMANDS])}", ctx
            )
    for name, value in content.get("all", {}).items():
        if name in known:
            yield _given(path, name, value, known[name], ctx)
        elif name not in _all_names():
            raise click.UsageError(
                f"{path}: no command has an option {name!r}{did_you_mean(name, _all_names())}", ctx
            )
    for name, value in content.get(ctx.info_name or "", {}).items():
        if name not in known:
            what = f"{path}: {ctx.info_name} has no option {name!r}"
            raise click.UsageError(f"{what}{did_you_mean(name, known)}", ctx)
        yield _given(path, name, value, known[name], ctx)


def _content(path: str, ctx: click.Context) -> dict[str, dict[str, Any]]:
    try:
        content = read_sections(path)
    except UsageError as error:
        raise click.UsageError(str(error), ctx) from error
    if not all(isinstance(part, dict) for part in content.values()):
        raise click.UsageError(f"{path} has no sections, one for each command, with options.", ctx)
    return content


def _names(options: Iterable[Declared]) -> dict[str, Declared]:
    """Return the names of options in files: their flags without dashes, and the names of fields."""
    found = {}
    for each in options:
        kinds = each.option.kinds if isinstance(each.option, Edits) else (each.option,)
        flags = [flag.partition("/")[0].lstrip("-") for kind in kinds for flag in kind.flags]
        found.update(dict.fromkeys([each.name, *flags] if each.name != "edits" else flags, each))
    return found


@cache
def _all_names() -> dict[str, Declared]:
    return {
        name: each for entry in COMMANDS.values() for name, each in _names(declared(entry.model())).items()
    }


def _given(path: str, name: str, value: Any, each: Declared, ctx: click.Context) -> tuple[Declared, Any]:
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(part, str | int | float | bool) for part in values):
        raise click.UsageError(f"{path}: {name} cannot be {value!r}.", ctx)
    item, container = item_type(each.annotation)
    if isinstance(each.option, Edits):
        return each, [(name, str(part)) for part in values]
    if container:
        return each, [str(part) for part in values]
    if isinstance(value, list):
        raise click.UsageError(f"{path}: {name} takes one value, not {value!r}.", ctx)
    if (item is bool) is not isinstance(value, bool):
        wanted = "true or false" if item is bool else "a value"
        raise click.UsageError(f"{path}: {name} takes {wanted}, not {value!r}.", ctx)
    return each, value if item is bool else str(value)


def print_options(ctx: click.Context, options: Sequence[Declared], values: Mapping[str, Any]) -> None:
    """Print every option of a command, with its value and its origin."""
    shown = [each for each in options if each.name != "show_options"]
    width = max(len(each.long_name) for each in shown)
    for each in shown:
        text = _shown(values[each.name])
        click.echo(f"{each.long_name:<{width}}  {text:<24}  {_origin(ctx, each)}")


def _shown(value: Any) -> str:
    match value:
        case tuple() | frozenset():
            return ", ".join(_shown(part) for part in value) or "none"
        case enum.Enum():
            return str(value.value)
        case bool():
            return "yes" if value else "no"
        case None | "":
            return "none"
        case _:
            return str(value)


def _origin(ctx: click.Context, each: Declared) -> str:
    source = ctx.get_parameter_source(each.name)
    file = ctx.meta[_ORIGINS].get(each.name)
    if isinstance(each.option, Edits):
        given = [file] if file else []
        given += ["command line"] if ctx.meta.get(EDITS, {}).get(each.name) else []
        return ", ".join(given) or "default"
    match source:
        case ParameterSource.DEFAULT_MAP:
            return str(file)
        case ParameterSource.DEFAULT | None:
            return "default"
        case _:
            return "command line"
