"""Show the configuration of tasks: fields, their history, and subtasks."""

from __future__ import annotations

import ast
import fnmatch
import re
from collections.abc import Iterator, Sequence
from itertools import chain, dropwhile
from types import SimpleNamespace
from typing import Any, NamedTuple, TextIO

import lsst.pex.config.history
from lsst.pex.config import Config, ConfigurableInstance
from lsst.pex.config.configChoiceField import ConfigInstanceDict
from lsst.pipe.base import PipelineGraph
from lsst.pipe.base.pipeline_graph import TaskNode

from ..errors import UsageError, did_you_mean

__all__ = ["dump_config", "show_config", "show_history", "show_subtasks"]

_ROOT = "config."
"""Prefix of the names of fields that are written as Python."""


class _FieldPattern(NamedTuple):
    """``[LABEL::][config.]PATTERN[:NOIGNORECASE]``."""

    label: str
    """Label or class name of a task; all if empty."""

    pattern: str
    exact_case: bool

    @classmethod
    def parse(cls, text: str) -> _FieldPattern:
        label, _, pattern = text.rpartition("::")
        stripped = pattern.removesuffix(":NOIGNORECASE")
        return cls(label, stripped.removeprefix(_ROOT), stripped != pattern)


def show_config(graph: PipelineGraph, text: str, out: TextIO) -> None:
    """Write the configuration of tasks: all fields, or those whose names end with a match of a pattern.

    Parameters
    ----------
    graph
        The tasks.
    text
        ``[LABEL::]PATTERN[:NOIGNORECASE]``, where the pattern may have wildcards as in file names; empty: all fields
        of all tasks.
    out
        The stream to write to.

    Raises
    ------
    UsageError
        If the task does not exist.
    """
    wanted = _FieldPattern.parse(text)
    nodes = _task_nodes(graph, wanted.label)
    if wanted.pattern != wanted.pattern.lower() and not wanted.exact_case:
        print(
            f'Matching "{wanted.pattern}" without regard to case (append :NOIGNORECASE to prevent this)',
            file=out,
        )
    flags = re.NOFLAG if wanted.exact_case else re.IGNORECASE
    matching = re.compile(fnmatch.translate(wanted.pattern or "*"), flags)
    for node in nodes:
        print(f"### Configuration for task `{node.label}'", file=out)
        pieces = _Pieces()
        node.config.saveToStream(pieces, root="config", skipImports=True)
        out.writelines(piece for piece in pieces if matching.search(_name_in(piece)))


class _Pieces(list[str]):
    """A stream that keeps the text of each call together: pex_config writes a field with its comment in one call."""

    def write(self, text: str) -> None:
        self.append(text)


def _name_in(piece: str) -> str:
    """Return the name of the field in the last line."""
    return piece.rstrip().rpartition("\n")[2].partition("=")[0]


def dump_config(graph: PipelineGraph, label: str, out: TextIO) -> None:
    """Write the configuration of one task, or of all, as executable Python.

    Parameters
    ----------
    graph
        The tasks.
    label
        Label or class name of a task; all if empty.
    out
        The stream to write to.

    Raises
    ------
    UsageError
        If the task does not exist.
    """
    for node in _task_nodes(graph, label):
        print(f"### Configuration for task `{node.label}'", file=out)
        node.config.saveToStream(out, root="config")


def show_history(graph: PipelineGraph, text: str, out: TextIO) -> None:
    """Write where fields that match a pattern were set, and their values.

    Parameters
    ----------
    graph
        The tasks.
    text
        ``[LABEL::]PATTERN``, where the pattern may have wildcards as in file names.
    out
        The stream to write to.

    Raises
    ------
    UsageError
        If the task or field does not exist.
    """
    wanted = _FieldPattern.parse(text)
    known: list[str] = []
    found = False
    for node in _task_nodes(graph, wanted.label):
        names = node.config.names()
        known += names
        shown = [
            history for name in fnmatch.filter(names, wanted.pattern) if (history := _history(node, name))
        ]
        found = found or bool(shown)
        print("\n\n".join(shown), end="\n" if shown else "", file=out)
    if not found:
        raise UsageError(
            f"--show history={text}: no task has such a field{did_you_mean(wanted.pattern, known)}"
        )


def _history(node: TaskNode, name: str) -> str | None:
    """Return the history of a field; `None` if the name is not that of a field."""
    if (home := _home(node.config, name)) is None:
        return None
    owner, field = home
    records = [
        # pex_config cannot print lists and dictionaries in columns
        (None if value is None else str(value), _own_frames(stack), label)
        for value, stack, label in owner.history.get(field, ())
    ]
    printable = SimpleNamespace(_name=owner._name, history={field: records})
    return (
        f"### Configuration field for task `{node.label}'\n{lsst.pex.config.history.format(printable, field)}"
    )


def _own_frames(stack: Sequence[Any]) -> list[Any]:
    """Remove the steps of this program from the history of a field."""
    return list(dropwhile(lambda frame: frame.function != "to_graph", stack)) or list(stack)


def _home(config: Config, name: str) -> tuple[Any, str] | None:
    """Return the part of a configuration that contains a field, and its name there.

    Parameters
    ----------
    config
        The configuration.
    name
        The field's name as pex_config writes it, such as ``plugins['x'].radius``.
    """
    try:
        node = ast.parse(_ROOT + name, mode="eval").body
    except SyntaxError:
        return None  # a subtask that can be retargeted
    match node:
        case ast.Attribute(value=ast.Attribute(value, field), attr="name" | "names") if isinstance(
            getattr(_evaluate(value, config), field), ConfigInstanceDict
        ):
            return _evaluate(value, config), field  # the choice is a field of the container
        case ast.Attribute(value, field):
            owner = _evaluate(value, config)
            return (owner, field) if isinstance(owner, Config | ConfigurableInstance) else None
        case _:
            return None  # an entry of a dictionary, whose fields are listed separately


def _evaluate(node: ast.expr, config: Config) -> Any:
    match node:
        case ast.Name():
            return config
        case ast.Attribute(value, name):
            return getattr(_evaluate(value, config), name)
        case ast.Subscript(value, ast.Constant(key)):
            return _evaluate(value, config)[key]
        case other:
            raise AssertionError(f"no name of a field has {ast.dump(other)}")


def show_subtasks(graph: PipelineGraph, out: TextIO) -> None:
    """Write the subtasks of each task.

    Parameters
    ----------
    graph
        The tasks.
    out
        The stream to write to.
    """
    for node in graph.tasks.values():
        print(f"### Subtasks for task `{node.task_class_name}'", file=out)
        for name, target in _subtasks(node.config):
            print(f"{name}: {target}", file=out)


def _subtasks(config: Config, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in sorted(config.items()):
        if isinstance(value, ConfigurableInstance):
            yield f"{prefix}{name}", _full_name(value.target)
            yield from _subtasks(value.value, f"{prefix}{name}.")


def _full_name(target: Any) -> str:
    """Return the name of a class, or of another callable that makes subtasks and may have no name."""
    return f"{target.__module__}.{target.__name__}" if hasattr(target, "__name__") else repr(target)


def _task_nodes(graph: PipelineGraph, name: str) -> list[TaskNode]:
    """Return the tasks with a label or class name; all if it is empty."""
    nodes = list(graph.tasks.values())
    names = {node.label: (node.label, node.task_class_name.rpartition(".")[2]) for node in nodes}
    found = [node for node in nodes if not name or name in names[node.label]]
    if not found:
        raise UsageError(
            f"--show: the pipeline has no task {name!r}{did_you_mean(name, chain(*names.values()))}"
        )
    return found
