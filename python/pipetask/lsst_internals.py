"""All uses of private names of LSST's packages, with a fallback where a name is missing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

import sqlalchemy

if TYPE_CHECKING:
    import uuid

    from lsst.daf.butler import Butler, DimensionGroup
    from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor

__all__ = ["bound_history", "complete_dataset_tables", "temporary_suffix"]


def bound_history(executor: SingleQuantumExecutor, history: deque[uuid.UUID]) -> None:
    """Let an executor of pipe_base remember only the last quanta that its process ran.

    Parameters
    ----------
    executor
        The executor.
    history
        Where it records the quanta; several executors of a process may share one.

    Notes
    -----
    pipe_base keeps all of them, and writes them to the log of each quantum (``previous_process_quanta``).  In a process
    that runs thousands of quanta, the logs would grow with the square of their number (see D26).  An executor without
    such a list is not changed.
    """
    if hasattr(executor, "_previous_process_quanta"):
        executor._previous_process_quanta = history  # pipe_base appends to it and iterates over it


def temporary_suffix(path: str) -> str:
    """Return the ending of the name of the temporary file that the butler writes before it is moved to a path.

    Parameters
    ----------
    path
        The final path.

    Notes
    -----
    Sixteen random characters precede it.  If the private name is missing, no file counts as temporary.
    """
    from lsst.daf.butler._rubin import temporary_for_ingest
    from lsst.resources import ResourcePath

    make = getattr(temporary_for_ingest.TemporaryForIngest, "_get_temporary_suffix", None)
    return str(make(ResourcePath(path))) if make is not None else ""


def complete_dataset_tables(butler: Butler, dimensions: Iterable[DimensionGroup]) -> None:
    """Create missing tables of registered dataset types.

    Parameters
    ----------
    butler
        The repository, writeable.
    dimensions
        Those of the dataset types.

    Notes
    -----
    If the database cannot create such a table, for instance because of a disk error, the butler assumes that another
    process has just created it, and registers the dataset type.  After that, every operation on datasets with these
    dimensions would fail (see D37).
    """
    managers, database = butler._registry._managers, butler._registry._db
    cache = managers.datasets._cache
    present = set(sqlalchemy.inspect(database._engine).get_table_names(schema=database.namespace))
    for group in dimensions:
        if (tables := cache.get_by_dimensions(group)) is None:
            continue
        for name in {tables.tags_name, tables.calibs_name} - {None} - present:
            tables.create(database, type(managers.collections), cache.tables)
            with database._transaction() as (_, connection):
                cache.tables.get(name).create(connection, checkfirst=True)
