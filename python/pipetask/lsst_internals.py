"""What is used of LSST's packages that is not public there, with what to do where it is missing."""

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
    """Let an executor of pipe_base's remember only the last quanta that its process ran.

    Parameters
    ----------
    executor
        The executor.
    history
        Where it notes the quanta; several executors of a process may share one.

    Notes
    -----
    pipe_base keeps all of them, and writes all into the log of each quantum (``previous_process_quanta``): harmless
    where a process runs a few quanta, but the logs of one that runs thousands would grow with the square of their
    number.  An executor that keeps no such list is left alone.
    """
    if hasattr(executor, "_previous_process_quanta"):
        executor._previous_process_quanta = history  # it is appended to, and gone through


def temporary_suffix(path: str) -> str:
    """Return how the name of a temporary file ends that the butler writes before it is moved to a path.

    Parameters
    ----------
    path
        Where the file belongs.

    Notes
    -----
    Before this come sixteen random characters.  Where it is missing, no file is taken for a temporary one.
    """
    from lsst.daf.butler._rubin import temporary_for_ingest
    from lsst.resources import ResourcePath

    make = getattr(temporary_for_ingest.TemporaryForIngest, "_get_temporary_suffix", None)
    return str(make(ResourcePath(path))) if make is not None else ""


def complete_dataset_tables(butler: Butler, dimensions: Iterable[DimensionGroup]) -> None:
    """Create the tables of registered dataset types that are not there.

    Parameters
    ----------
    butler
        The repository, writeable.
    dimensions
        Those of the dataset types.

    Notes
    -----
    Where the database cannot create such a table, for instance as the disk had an error, the butler takes it for one
    that somebody else has just created, and registers the dataset type all the same.  From then on whatever is done
    with datasets of these dimensions would fail.
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
