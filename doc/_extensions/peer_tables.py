"""Tables of what `peer_coverage` finds; `embed` puts them into the pages.

``coverage`` has every option of LSST's command, ``differences`` those that are not quite the same, and why, and
``additions`` what LSST's command does not have.
"""

from __future__ import annotations

from collections.abc import Iterator

import click

from command_pages import escape_markdown
from peer_coverage import MEANING, Pair, Reason, read_peer_options, read_reasons
from peer_options import Description
from pipetask.cli import cli

WHY = "../guide/coming_from_pipetask.md#options-that-differ"


def _coverage(found: list[Pair]) -> Iterator[str]:
    theirs = [pair for pair in found if pair.theirs is not None]
    here = sum(pair.ours is not None for pair in theirs)
    version = f"`lsst-ctrl-mpexec` {read_peer_options()['made_with']['lsst-ctrl-mpexec']}"
    yield f"{here} of the {len(theirs)} options and arguments of LSST's command ({version}) are here."
    other = {key[:2] for reason in read_reasons() for key in reason.explained() if key[2] == MEANING}
    for command in dict.fromkeys(pair.command for pair in theirs):
        yield from ("", f"**{_title(command)}**", "")
        yield from ("| option | takes | LSST's default | here |", "|---|---|---|---|")
        for pair in (pair for pair in theirs if pair.command == command):
            yield f"| {_flags(pair)} | {_takes(pair)} | {_default(pair.theirs)} | {_state(pair, other)} |"


def _title(command: str) -> str:
    return f"`pipetask {command}`" if command else "before the command"


def _flags(pair: Pair) -> str:
    theirs = pair.theirs or {}
    return ", ".join(f"`{flag}`" for flag in (*theirs.get("flags", [pair.name]), *theirs.get("off", ())))


def _takes(pair: Pair) -> str:
    theirs = pair.theirs or {}
    if "takes" not in theirs:
        return "values" if theirs.get("many") else "a value"
    return " or ".join(f"`{each}`" for each in theirs.get("choices", ())) or theirs["takes"]


def _default(description: Description | None) -> str:
    description = description or {}
    if description.get("required"):
        return "required"
    if description.get("takes") == "nothing":
        return "on" if description.get("default") else "off"
    return f"`{description['default']}`" if "default" in description else "none"


def _state(pair: Pair, other: set[tuple[str, str]]) -> str:
    differing = [*pair.differences(), *([MEANING] if (pair.command, pair.name) in other else [])]
    match differing:
        case []:
            return "the same"
        case ["missing"]:
            return "**missing**"
        case _:
            return f"[another {' and '.join(differing)}]({WHY})"


def _differences(found: list[Pair]) -> Iterator[str]:
    by_name = {(pair.command, pair.name): pair for pair in found}
    yield from ("| option | of | LSST's | here | why |", "|---|---|---|---|---|")
    for each in read_reasons():
        pair = by_name[each.commands[0], each.option]
        commands = ", ".join(f"`{command}`" if command else "all" for command in each.commands)
        there, here = _side(each, pair.theirs), _side(each, pair.ours)
        yield f"| `{each.option}` | {commands} | {there} | {here} | {each.reason} |"


def _side(reason: Reason, description: Description | None) -> str:
    match reason.field:
        case "meaning":
            return ""
        case "default" | "required":
            return _default(description)
        case field:
            return f"{field} {(description or {}).get(field, 'none')}"


def _additions(found: list[Pair]) -> Iterator[str]:
    added: dict[str, list[str]] = {}
    for pair in found:
        if pair.theirs is None:
            added.setdefault(pair.name, []).append(pair.command)
    yield from ("| option | of | what it does |", "|---|---|---|")
    for name, commands in added.items():
        of = ", ".join(f"`{command}`" for command in commands)
        yield f"| `{name}` | {of} | {escape_markdown(_help(commands[0], name))} |"


def _help(command: str, flag: str) -> str:
    found = cli.get_command(click.Context(cli), command)
    assert found is not None
    return next(
        each.help or "" for each in found.params if isinstance(each, click.Option) and flag in each.opts
    )


TABLES = {"coverage": _coverage, "differences": _differences, "additions": _additions}
