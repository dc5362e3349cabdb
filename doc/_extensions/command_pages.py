"""A page for each command, made from the declarations that the command line itself is made from.

Sphinx loads this as an extension.  Before it reads the sources, the pages are written to the folder ``commands``,
which is not kept under version control.  In the reference of the Python modules, fields that declare an option are
described by its help text.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import pipetask.options
from pipetask.cli import cli
from pipetask.cli.catalog import COMMANDS, Entry
from pipetask.cli.command import ModelCommand, command_for
from pipetask.cli.parameters import is_argument
from pipetask.options.declaration import Edits, Option

if TYPE_CHECKING:
    from sphinx.application import Sphinx

FOLDER = "commands"

GUIDES = {
    "build": "graphs.md#pipelines",
    "qgraph": "graphs.md#graphs",
    "run": "running.md",
    "run-qbb": "without_registry.md",
    "pre-exec-init-qbb": "without_registry.md",
    "update-graph-run": "graphs.md#graphs",
    "purge": "reports.md#removing-a-chain",
    "cleanup": "reports.md#removing-what-is-no-longer-in-a-chain",
    "report": "reports.md",
    "history": "reports.md#comparing-runs",
    "aggregate-reports": "reports.md#report-on-several-attempts",
    "status": "htcondor.md#status-cancel-restart",
    "cancel": "htcondor.md#status-cancel-restart",
    "restart": "htcondor.md#status-cancel-restart",
    "run-node": "htcondor.md#status-cancel-restart",
    "pilots": "slurm.md#pilots",
    "run-pilot": "slurm.md#pilots",
    "condor": "htcondor.md#settings",
    "demo": "quick_start.md",
    "completion": "options.md#shell-completion",
}
"""Where the user guide has examples."""


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx, which is not needed for anything else here."""
    app.connect("builder-inited", lambda app: write_pages(Path(app.srcdir)))
    app.connect("builder-inited", _describe_fields)
    return {"parallel_read_safe": True}


def write_pages(source: Path) -> None:
    """Write the pages into a folder of the sources; remove those of commands that are no more."""
    folder = source / FOLDER
    folder.mkdir(exist_ok=True)
    pages = {f"{entry.name}.md": _page(entry) for entry in COMMANDS.values()}
    pages["index.md"] = _index()
    for path in folder.glob("*.md"):
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        _write_if_changed(folder / name, text)


def _write_if_changed(path: Path, text: str) -> None:
    # What is newer than Sphinx remembers is read again.
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def _index() -> str:
    return "\n\n".join(
        [
            "# Commands",
            "Made from the declarations that the command line is made from; `--help` says the same in the terminal.",
            "| command | what it does |\n|---|---|\n" + "\n".join(map(_row, COMMANDS.values())),
            "## Options before the command",
            "```text\npipetask [OPTIONS] COMMAND …\n```",
            *_options(cli.params, click.Context(cli)),
            "```{toctree}\n:hidden:\n\n" + "\n".join(COMMANDS) + "\n```\n",
        ]
    )


def _row(entry: Entry) -> str:
    return f"| [`{entry.name}`]({entry.name}.md) | {escape_markdown(entry.summary)} |"


def _page(entry: Entry) -> str:
    command = command_for(entry)
    context = click.Context(command, info_name=f"pipetask {entry.name}")
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [
        f"# pipetask {entry.name}",
        escape_markdown(command.help or ""),
        f"```text\npipetask {entry.name} {usage}\n```",
        *([f"The [user guide](../guide/{GUIDES[entry.name]}) has examples."] if entry.name in GUIDES else []),
        *_arguments(command),
    ]
    for title, parameters in command.sections(context):
        parts += [f"## {title or 'Options'}", *_options(parameters, context)]
    model = f"{entry.model_path}.{entry.model_name}"
    return "\n\n".join([*parts, f"## From Python\n\nThese options are {{py:class}}`{model}`.\n"])


def _arguments(command: ModelCommand) -> Iterator[str]:
    helps = {each.name: each.option.help for each in command.declared if is_argument(each.option)}
    if helps:
        yield "## Arguments"
    for name, text in helps.items():
        yield _entry(name.upper(), text)


def _options(parameters: Iterable[click.Parameter], context: click.Context) -> Iterator[str]:
    for parameter in parameters:
        record = parameter.get_help_record(context)
        if record is not None:
            repeated = "  May be repeated." if getattr(parameter, "multiple", False) else ""
            yield _entry(record[0], record[1] + repeated)


def _entry(term: str, meaning: str) -> str:
    """Return an entry of a definition list."""
    return f"`{term}`\n: {escape_markdown(meaning)}"


def escape_markdown(text: str) -> str:
    """Keep Markdown from taking characters of a plain text for marks."""
    return _escaped(text, "\\`*_<>[]|{}$")


def _escaped(text: str, marks: str) -> str:
    return "".join(f"\\{character}" if character in marks else character for character in text)


def _describe_fields(app: Sphinx) -> None:
    """Let autodoc find the help of an option where it looks for the comment on a field."""
    from sphinx.pycode import ModuleAnalyzer

    for model in _models():
        comments = ModuleAnalyzer.for_module(model.__module__)
        comments.analyze()
        for field in dataclasses.fields(model):
            if "option" in field.metadata:
                text = _field_help(field.metadata["option"])
                comments.attr_docs[model.__name__, field.name] = [_escaped(text, "\\*`|_"), ""]


def _models() -> Iterator[type[Any]]:
    for found in pkgutil.walk_packages(pipetask.options.__path__, "pipetask.options."):
        module = importlib.import_module(found.name)
        yield from filter(
            dataclasses.is_dataclass, (getattr(module, name) for name in getattr(module, "__all__", ()))
        )


def _field_help(option: Option | Edits) -> str:
    match option:
        case Edits(kinds):
            return f"In the order given: {', '.join(kind.flags[-1] for kind in kinds)}."
        case Option(flags=()):
            return option.help
        case Option():
            return f"{option.help}  ({', '.join(option.flags)})"
        case other:
            raise AssertionError(f"{other!r} is no declaration")
