"""Code shared by the commands that execute quanta."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..options.declaration import Declared, Option, declared
from ..options.execution import ExecutorOptions
from ..options.logs import LogOptions
from ..options.models import InProcessOptions, LocalOptions, MultiprocessOptions
from ..options.records import RecordOptions
from ..settings.site import Settings
from .command import Invocation

if TYPE_CHECKING:
    from ..executors.base import QuantumExecutor
    from ..observe.report import RunAlone
    from ..observe.sink import Sink

__all__ = ["executor_for", "sinks_of"]


def executor_for(invocation: Invocation, options: ExecutorOptions, timeout: float | None) -> QuantumExecutor:
    """Make the execution model that the options select.

    Parameters
    ----------
    invocation
        The command; what was typed for a model that is not used is refused.
    options
        Name of the model, and the options of all models.
    timeout
        Seconds that a quantum may take.
    """
    from ..executors import find_executor
    from ..executors.routed.choice import with_routes

    mode = options.mode_for(timeout)
    if mode in invocation.unusable:
        raise UsageError(f"--mode {mode} cannot be used: {invocation.unusable[mode].rstrip('.')}.")
    model = find_executor(mode)
    if model.traits.executes:  # a dry run accepts the options of any command
        _check_owners(invocation, options, mode, model)
    made = model.from_options(None if model.options_group is None else options.models.of(model.options_group))
    return with_routes(made, mode, options.routes, options.models.of) if model.traits.executes else made


def _check_owners(
    invocation: Invocation, options: ExecutorOptions, mode: str, model: type[QuantumExecutor]
) -> None:
    """Refuse options that were typed and would have no effect.

    Those from files are accepted: a profile may have options for several modes.
    """
    others = list(_typed_for_others(invocation, options, model))
    if not others:
        return
    owners = others[0].owners
    same = [each for each in others if each.owners == owners]
    flags = " and ".join(_flag(each, options) for each in same)
    hints = [model.instead_of(each.name, options.models.values[each.name]) for each in same]
    what, it = ("is an option", "it") if len(same) == 1 else ("are options", "them")
    those = "that mode" if len(owners) == 1 else "one of those modes"
    raise UsageError(
        f"{flags} {what} of --mode {_listed(owners)}, and quanta run with --mode {mode}: "
        f"{'; '.join(filter(None, hints)) or f'leave {it} out, or use {those}'}."
    )


def _listed(names: Sequence[str]) -> str:
    """Return names as they stand in a sentence."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _typed_for_others(
    invocation: Invocation, options: ExecutorOptions, model: type[QuantumExecutor]
) -> Iterator[Declared]:
    from ..executors.routed.choice import groups_of

    groups = [] if model.options_group is None else [model.options_group]
    if options.mode is None:  # -j decides between these two, in scripts often by a variable
        groups += [InProcessOptions, MultiprocessOptions]
    groups += groups_of(options.routes)
    own = {each.identity for group in groups for each in declared(group)}
    for each in declared(ExecutorOptions):
        if each.name not in invocation.typed or each.identity in own:
            continue
        if set(each.owners) <= invocation.unusable.keys():
            continue  # it has no owner, or what was typed is another option of that name
        value = options.models.values[each.name]
        if isinstance(value, bool | str) or value != each.default:  # -j 1 asks for nothing
            yield each


def _flag(each: Declared, options: ExecutorOptions) -> str:
    """Return the name of an option, or of its opposite."""
    assert isinstance(each.option, Option)
    positive, _, negative = each.option.flags[0].partition("/")
    return negative if options.models.values[each.name] is False else positive


def sinks_of(
    options: ExecutorOptions,
    logs: LogOptions,
    run_alone: RunAlone,
    records: RecordOptions,
    journal: Sink | None = None,
    given: Mapping[str, str] | None = None,
) -> list[Sink]:
    """Return the sinks of a run on this machine: the summary, a display, and the report.

    Parameters
    ----------
    options, logs
        They determine the display.
    run_alone
        Returns the command that runs the quantum with some UUID alone.
    records
        What is to be written about the run.
    journal
        Writes the journal of the run.
    given
        Options that do not have their default, as text by name.
    """
    from ..observe.choice import sinks_for

    slots = options.models.of(MultiprocessOptions).processes
    progress = _progress_for(options, logs)
    sinks = sinks_for(lambda _: run_alone, records, progress=progress, slots=slots, options=given or {})
    return sinks if journal is None else [journal, *sinks]


def _progress_for(options: ExecutorOptions, logs: LogOptions) -> Sink | None:
    """Return the progress display: a table on a terminal, lines elsewhere, none with a debugger."""
    from rich.console import Console

    from ..observe.progress import LineProgress, TableProgress, can_show_live

    interval = Settings.load().progress["interval"]
    if options.models.of(LocalOptions).debugger:
        return None  # the terminal belongs to the debugger
    console = Console(stderr=True)
    if can_show_live(console) and not logs.tty:
        return TableProgress(console)
    return LineProgress(sys.stderr, interval)
