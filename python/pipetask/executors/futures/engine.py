"""What an execution model needs of an engine, and how one is found."""

from __future__ import annotations

import builtins
import pickle
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from typing import Any

from ...errors import PipetaskError, UsageError, did_you_mean, reason_of
from ...settings.plugins import ENGINES, installed, load_class, path_hint
from ..resources import Inventory

__all__ = [
    "BUILT_IN",
    "Borrowed",
    "Engine",
    "engine_names",
    "find_engine",
    "names_engine",
    "names_mistake",
    "slots_of",
]

BUILT_IN = {
    name: f"pipetask.executors.futures.engines.{module}"
    for name, module in {
        "threads": "local:Threads",
        "processes": "local:Processes",
        "loky": "local:Loky",
        "dask": "dask:Dask",
        "parsl": "parsl:Parsl",
        "mpi": "mpi:Mpi",
        "celery": "celery:Celery",
        "ipyparallel": "ipyparallel:IPyParallel",
        "executorlib": "executorlib:Executorlib",
        "ray": "ray:Ray",
        "globus-compute": "globus_compute:GlobusCompute",
    }.items()
}
"""Class paths of the engines that come with pipetask, by name."""

_MISTAKES = (
    pickle.PickleError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    PipetaskError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""Exceptions that say what is wrong with a function or with what it is given, and not with who runs it."""


class Engine(ABC):
    """Something that runs functions somewhere else, such as a cluster.

    A subclass is made with the text behind the engine's name (`None` if there is none) and the number of workers that
    the user has asked for; it should start nothing before the first `submit`.
    """

    reruns: bool = False
    """Whether it may run a function twice by itself, even at the same time."""

    is_here: bool = False
    """Whether all its workers are on this machine, whose memory and GPUs then limit what runs at the same time."""

    @classmethod
    @abstractmethod
    def make(cls, argument: str | None, workers: int) -> Engine:
        """Make one for ``--engine NAME:ARGUMENT``.

        Raises
        ------
        UsageError
            If the argument makes no sense.
        ImportError
            If a package is missing.
        """

    @property
    @abstractmethod
    def slots(self) -> int:
        """The number of functions that it can run at the same time."""

    @abstractmethod
    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Have a function of a module called, with picklable arguments."""

    def submit_for(
        self, needs: Mapping[str, int], function: Callable[..., Any], /, *arguments: Any
    ) -> Future[Any]:
        """Have a function called by a worker that has what it needs; by default by any, as `submit` does.

        Parameters
        ----------
        needs
            Amounts by name: ``cpus``, ``memory`` in bytes, ``gpus``, and names of limits.  An engine looks at those
            that `inventory` has.
        function, *arguments
            As for `submit`.
        """
        return self.submit(function, *arguments)

    def inventory(self) -> Inventory:
        """Return what each worker has now, by the names of ``needs``; nothing if `submit_for` does not look at it."""
        return ()

    def lost(self, error: Exception) -> bool:
        """Return whether an exception, of a future or of `submit`, means that a worker or a connection was lost.

        What was lost is run again, a few times.  Any other exception ends the run at once, with its words: no other
        worker would do better.  By default, these are Python's own exceptions for what cannot be pickled, imported,
        found or called.

        Parameters
        ----------
        error
            The exception.
        """
        return not isinstance(error, _MISTAKES)

    def renew(self) -> None:  # noqa: B027  most engines replace their workers themselves
        """Begin again after a future or `submit` has raised an exception that the function has not."""

    def missing(self) -> str | None:
        """Return what is missing before anything can be run, and how to get it, if that is known.

        Asked while a run waits for its first answer.  It is told with a full stop behind it: "there is no worker: start
        one with `…`", for instance.
        """
        return None

    def end_of_life(self) -> str | None:
        """Return why nothing will come back any more, if that is known; asked every few seconds."""
        return None

    def tell_all(self, function: Callable[..., Any], /, *arguments: Any) -> None:  # noqa: B027  as above
        """Have a function called in each process of the engine, soon or not at all."""

    def close(self) -> None:  # noqa: B027  nothing to end by default
        """End what was started here."""


class Borrowed(Engine):
    """An executor of the caller's, who will shut it down.

    Parameters
    ----------
    executor
        Any object with ``submit``.
    slots
        How many functions it can run at the same time.
    """

    def __init__(self, executor: Executor, slots: int | None = None):
        self._executor = executor
        self._slots = slots or getattr(executor, "_max_workers", None) or 1

    @classmethod
    def make(cls, argument: str | None, workers: int) -> Engine:
        """Refuse: it needs an object."""
        raise UsageError("an executor object can be given in Python only.")

    @property
    def slots(self) -> int:
        """The number of functions that it can run at the same time."""
        return self._slots

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Have a function called."""
        return self._executor.submit(function, *arguments)


def names_mistake(name: str) -> bool:
    """Return whether the exception with a name is no loss by default, for engines that bring back only its name.

    Parameters
    ----------
    name
        The name of its class, with or without that of its module.
    """
    name = name.rpartition(".")[2]
    found = getattr(builtins, name, None) or getattr(pickle, name, None)
    return isinstance(found, type) and issubclass(found, _MISTAKES)


def engine_names() -> list[str]:
    """Return the names of all installed engines."""
    return list(dict.fromkeys([*BUILT_IN, *sorted(installed(ENGINES))]))


def names_engine(text: str) -> bool:
    """Return whether a text names an installed engine, or the class of one by its path.

    Parameters
    ----------
    text
        As for `find_engine`.
    """
    name = text.partition(":")[0]
    if name in engine_names():
        return True
    if "." not in name:
        return False
    try:
        found = load_class(name)
    except Exception:  # what a module raises is told where it is loaded
        return False
    return isinstance(found, type) and issubclass(found, Engine)


def find_engine(text: str, workers: int, option: str | None = None) -> Engine:
    """Make an engine.

    Parameters
    ----------
    text
        A name or a class path with dots, and, behind a colon, what only the engine understands.
    workers
        How many workers to start, if the engine starts workers.
    option
        The option with its value, for messages; by default ``--engine`` with the text.

    Raises
    ------
    UsageError
        If there is no such engine, or it cannot be made.
    """
    option = option or f"--engine {text}"
    name, colon, argument = text.partition(":")
    if colon and not argument:  # a variable of the shell is empty, for instance
        raise UsageError(f"{option}: there is nothing behind the colon: say {name}:SOMETHING, or {name}.")
    path = BUILT_IN.get(name) or installed(ENGINES).get(name) or name
    if not {".", ":"} & set(path):
        raise UsageError(f"{option}: there is no such engine{did_you_mean(name, engine_names())}")
    try:
        found = load_class(path).make(argument or None, workers)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from error
    except ValueError as error:  # such as `int` raises it
        raise UsageError(f"{option}: {reason_of(error)}.") from error
    except AttributeError as error:
        raise UsageError(
            f"{option}: {reason_of(error)}: write a class of an engine as package.module.Class:ARGUMENT."
        ) from error
    except (ImportError, RuntimeError) as error:  # mpi4py raises the latter without a library of MPI
        remedy = _remedy(name, argument, error)
        raise UsageError(f"{option}: it cannot be imported ({reason_of(error)}){remedy}.") from error
    if not isinstance(found, Engine):
        raise UsageError(f"{option}: its method make has returned {type(found).__name__}, and no Engine.")
    return found


def slots_of(engine: Engine) -> int:
    """Return the number of slots; at least one, since a cluster that has none may start workers for what waits.

    Parameters
    ----------
    engine
        The engine.
    """
    return max(1, engine.slots)


def _remedy(name: str, argument: str, error: Exception) -> str:
    """Return what to do about a failed import: of a module that the user has named, or of the engine's package."""
    if name in BUILT_IN:
        return path_hint(argument, error) or f": pip install 'pipetask[{name}]'"
    return path_hint(name, error)
