"""Find an execution model by name."""

from __future__ import annotations

from ..errors import UsageError, did_you_mean, reason_of
from ..options.owners import BUILT_IN
from ..settings.plugins import BATCH_SYSTEMS, EXECUTORS, installed, load_class, path_hint
from ..settings.site import Settings
from .base import QuantumExecutor

__all__ = ["find_executor", "instance_of", "load_mode", "mode_names"]


def mode_names() -> list[str]:
    """Return the names of all installed execution models."""
    plugins = sorted(installed(EXECUTORS) | installed(BATCH_SYSTEMS))
    return list(dict.fromkeys([*BUILT_IN, *Settings.load().modes, *plugins]))


def find_executor(mode: str, option: str | None = None) -> type[QuantumExecutor]:
    """Return the class of an execution model.

    Parameters
    ----------
    mode
        A name (see `mode_names`), or a class path such as ``package.module.Class`` or ``package.module:Class``.
    option
        The option with its value, for messages; by default ``--mode`` with the name.

    Raises
    ------
    UsageError
        If there is no such model, or if it cannot be imported or is neither a `QuantumExecutor` nor a batch system.
    """
    option = option or f"--mode {mode}"
    try:
        found = load_mode(mode)
    except UsageError:
        raise
    except Exception as error:  # a plug-in may raise anything
        hint = path_hint(mode, error)
        raise UsageError(f"{option}: cannot be imported ({reason_of(error)}){hint}.") from error
    model = _model_of(found)
    if not (isinstance(model, type) and issubclass(model, QuantumExecutor)):
        raise UsageError(f"{option}: {found!r} is neither a QuantumExecutor nor a BatchSystem.")
    return model


def instance_of(executor: object, argument: str = "executor") -> QuantumExecutor:
    """Return an execution model that a program has given: an instance as it is, and for a name one with its defaults.

    Parameters
    ----------
    executor
        What was given.
    argument
        Name of the argument, for messages.

    Raises
    ------
    UsageError
        If it is neither.
    """
    match executor:
        case QuantumExecutor():
            return executor
        case str():
            model = find_executor(executor)
            return model.from_options(None if model.options_group is None else model.options_group())
        case type():
            name = executor.__name__
            raise UsageError(f"{argument}={name} is a class: give an instance, such as {name}(…).")
        case other if hasattr(other, "submit"):
            raise UsageError(
                f"{argument} is of type {type(other).__name__}: wrap it, as in {argument}=FuturesExecutor(…)."
            )
        case other:
            raise UsageError(
                f"{argument} is of type {type(other).__name__}: give an instance of an execution model, or one of the "
                f"names {', '.join(map(repr, mode_names()))}."
            )


def _model_of(found: object) -> object:
    """Return the execution model that a batch system names, or what was found if it is no batch system."""
    path = getattr(found, "execution_model", None)
    return load_class(path).of(found) if path is not None else found


def load_mode(name: str) -> object:
    """Import what a name or a class path stands for.

    Raises
    ------
    UsageError
        If there is no such name.
    ImportError, AttributeError
        If it cannot be imported; or whatever else importing its module raises.
    """
    if name in BUILT_IN:
        return load_class(BUILT_IN[name].path)
    path = installed(EXECUTORS).get(name) or installed(BATCH_SYSTEMS).get(name)
    path = path or Settings.load().modes.get(name, name)
    if not {".", ":"} & set(path):
        raise UsageError(f"--mode {name}: no such mode{_hint(name)}")
    return load_class(path)


def _hint(name: str) -> str:
    from .futures.engine import engine_names  # not needed where all is well

    if name in engine_names():
        return f", but an engine: use --mode futures with --engine {name}."
    return did_you_mean(name, mode_names())
