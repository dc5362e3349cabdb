"""Find a batch system by its name."""

from __future__ import annotations

from ..errors import PipetaskError, UsageError, reason_of
from ..executors.modes import load_mode
from ..settings.plugins import BATCH_SYSTEMS
from .run_directory import RunDirectory
from .system import BatchSystem

__all__ = ["find_system", "system_class_of", "system_of"]


def find_system(name: str, needed_by: str = "This") -> type[BatchSystem]:
    """Return the class of a batch system.

    Parameters
    ----------
    name
        Name of an entry point in the group ``pipetask.batch_systems``, or a class path.
    needed_by
        What needs it, for the error.

    Raises
    ------
    PipetaskError
        If it is not installed, or is no batch system.
    """
    needs = f"{needed_by} needs the batch system {name!r}"
    try:
        found = load_mode(name)
    except UsageError as error:
        raise PipetaskError(
            f"{needs}, which is not installed here: install the package that has it (an entry point in the group "
            f"{BATCH_SYSTEMS})."
        ) from error
    except Exception as error:  # a plug-in may raise anything
        raise PipetaskError(
            f"{needs}, which cannot be imported here ({reason_of(error)}): install the package that has it."
        ) from error
    if not (isinstance(found, type) and issubclass(found, BatchSystem)):
        raise PipetaskError(f"{needs}, but {found!r} is no BatchSystem: install the package that has it.")
    return found


def system_class_of(directory: RunDirectory) -> type[BatchSystem]:
    """Return the class of the batch system that a run was written for.

    Raises
    ------
    PipetaskError
        If it is not installed here.
    """
    return find_system(directory.facts.batch_system, f"Run directory {directory.path}")


def system_of(directory: RunDirectory) -> BatchSystem:
    """Return the batch system that a run was written for.

    Raises
    ------
    PipetaskError
        If it is not installed here.
    """
    return system_class_of(directory)()
