"""Shell completion for values of options."""

from __future__ import annotations

from collections.abc import Callable

import click
from click.shell_completion import CompletionItem

from ..options.declaration import Completion

__all__ = ["complete"]

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete(kind: Completion | None) -> Completer | None:
    """Return the completion function for a kind of value; `None` if there is no completion."""
    match kind:
        case None:
            return None
        case "files":
            return lambda ctx, parameter, incomplete: [CompletionItem(incomplete, type="file")]
        case "folders":
            return lambda ctx, parameter, incomplete: [CompletionItem(incomplete, type="dir")]
        case "modes":
            return _modes
        case "labels":
            return _labels
        case other:
            raise AssertionError(f"nothing completes {other!r}")


def _modes(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from ..executors.modes import mode_names

    return [CompletionItem(name) for name in mode_names() if name.startswith(incomplete)]


def _labels(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer task labels and subsets of the pipeline file that the command line names so far."""
    path = ctx.params.get("pipeline")
    if not path:
        return []
    try:
        from lsst.pipe.base import Pipeline

        pipeline = Pipeline.from_uri(path)
        names = [*pipeline.task_labels, *pipeline.subsets]
    except Exception:
        return []  # completion cannot show errors; the command will
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
