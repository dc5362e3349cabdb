"""Describe the options of a click command as plain values; LSST's command and ours alike.

Run by the interpreter of LSST's command, it prints what is kept in ``doc/peer_options.json``::

    .venv-peer/bin/python doc/_extensions/peer_options.py > doc/peer_options.json

so that the pages can be built, and most tests run, where LSST's command is not installed.
"""

from __future__ import annotations

import enum
import importlib.metadata
import json
import platform
import sys
from typing import Any

import click

Description = dict[str, Any]

PACKAGES = ("lsst-ctrl-mpexec", "lsst-daf-butler", "lsst-pipe-base")


def describe(group: click.Group) -> dict[str, Description]:
    """Return arguments and options of each command.

    Parameters
    ----------
    group
        The command line; what comes before the subcommand is described under the empty name.

    Returns
    -------
    commands
        By name: ``arguments``, and ``options`` by their first long flag.
    """
    context = click.Context(group)
    commands = {"": _describe_command(group)}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        commands[name] = _describe_command(command)
    return commands


def _describe_command(command: click.Command) -> Description:
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    options = [each for each in command.params if isinstance(each, click.Option) and _counts(each)]
    described = (_describe_option(each) for each in options)
    return {
        "arguments": [_describe_argument(each) for each in arguments],
        "options": {option["flags"][-1]: option for option in described},
    }


def _counts(option: click.Option) -> bool:
    """Leave out headings, which LSST's command hides among its options, and what click answers by itself."""
    return not option.hidden and option.name not in ("help", "version")


def _describe_argument(argument: click.Argument) -> Description:
    name = (argument.name or "").replace("-", "_")
    return _said({"name": name, "many": argument.nargs == -1, "required": argument.required})


def _describe_option(option: click.Option) -> Description:
    return _said(
        {
            "flags": sorted(option.opts, key=lambda flag: (flag.startswith("--"), flag)),
            "off": sorted(option.secondary_opts),
            "takes": _takes(option),
            "default": _plain(option.default),
            "choices": sorted(map(_plain, getattr(option.type, "choices", ()))),
            "minimum": getattr(option.type, "min", None),
            "required": option.required,
        }
    )


def _takes(option: click.Option) -> str:
    if option.is_flag:
        return "nothing"
    if option.multiple:
        return "values"
    return "a value or nothing" if _plain(option.flag_value) else "a value"


def _said(values: Description) -> Description:
    """Leave out what says nothing."""
    return {
        name: value for name, value in values.items() if value not in (None, "", []) and value is not False
    }


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; click's and LSST's own signs for "nothing" become nothing."""
    if isinstance(value, bool | int | float | str):
        return value.value if isinstance(value, enum.Enum) else value
    return list(value) if isinstance(value, list | tuple) else None


def _main() -> None:
    from lsst.ctrl.mpexec.cli.pipetask import cli

    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    made_with = {**versions, "python": platform.python_version()}
    json.dump({"made_with": made_with, "commands": describe(cli)}, sys.stdout, indent=1, sort_keys=True)
    print()


if __name__ == "__main__":
    _main()
