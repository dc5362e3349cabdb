"""Datastore records of a worker, kept in dictionaries.

A quantum-backed butler keeps the records of its files in an in-memory SQLite database, which takes a quarter of the
time of a small quantum.  `lsst.daf.butler.QuantumBackedButler` takes other classes for this through
``OpaqueManagerClass`` and ``BridgeManagerClass``; these have only what a worker needs (see D6).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from lsst.daf.butler.registry.bridge.ephemeral import EphemeralDatastoreRegistryBridge
from lsst.daf.butler.registry.interfaces import (
    DatastoreRegistryBridgeManager,
    OpaqueTableStorage,
    OpaqueTableStorageManager,
)

__all__ = ["MemoryBridgeManager", "MemoryOpaqueManager", "MemoryOpaqueTable"]

Row = dict[str, Any]


class MemoryOpaqueTable(OpaqueTableStorage):
    """A table of datastore records, by dataset ID.

    Parameters
    ----------
    name
        Name of the table.
    """

    def __init__(self, name: str):
        super().__init__(name=name)
        self._rows: dict[Any, list[Row]] = {}

    def insert(self, *data: Row, transaction: Any = None) -> None:
        """Add rows, which must be new."""
        for row in data:
            same = self._rows.setdefault(row["dataset_id"], [])
            if any(_key(other) == _key(row) for other in same):
                raise RuntimeError(f"Table {self.name} has a row for {_key(row)} already.")
            same.append(row)
        if transaction is not None:
            transaction.registerUndo("insert", self.delete, ["dataset_id"], *data)

    def ensure(self, *data: Row, transaction: Any = None) -> None:
        """Add those rows that are new."""
        self.insert(*(row for row in data if not self._has(row)), transaction=transaction)

    def replace(self, *data: Row, transaction: Any = None) -> None:
        """Add rows in place of those with the same key."""
        self.delete(["dataset_id", "component"], *({k: row[k] for k in _KEY if k in row} for row in data))
        self.insert(*data, transaction=transaction)

    def fetch(self, **where: Any) -> Iterator[Row]:
        """Yield the rows whose columns have the given values, or one of the values in a collection."""
        wanted = where.pop("dataset_id", None)
        if wanted is None:
            candidates: Iterable[list[Row]] = list(self._rows.values())
        else:
            candidates = [self._rows[id] for id in _as_values(wanted) if id in self._rows]
        for rows in candidates:
            for row in rows:
                if all(row[column] in _as_values(values) for column, values in where.items()):
                    yield row

    def fetch_batches(self, **where: Any) -> Iterator[list[Row]]:
        """Yield the same rows as `fetch`, in one list."""
        yield list(self.fetch(**where))

    def delete(self, columns: Iterable[str], *rows: Row) -> None:
        """Remove the rows that agree with any of the given ones in all columns these have."""
        for pattern in rows:
            for id in [pattern["dataset_id"]] if "dataset_id" in pattern else list(self._rows):
                kept = [r for r in self._rows.get(id, ()) if any(r[k] != v for k, v in pattern.items())]
                if kept:
                    self._rows[id] = kept
                else:
                    self._rows.pop(id, None)

    def _has(self, row: Row) -> bool:
        return any(_key(other) == _key(row) for other in self._rows.get(row["dataset_id"], ()))


class MemoryOpaqueManager(OpaqueTableStorageManager):
    """Holds the tables of one butler."""

    def __init__(self, registry_schema_version: Any = None) -> None:
        super().__init__(registry_schema_version=registry_schema_version)
        self._tables: dict[str, MemoryOpaqueTable] = {}

    @classmethod
    def initialize(cls, db: Any, context: Any, registry_schema_version: Any = None) -> MemoryOpaqueManager:
        """Make a manager; the database is not used."""
        return cls(registry_schema_version=registry_schema_version)

    def clone(self, db: Any) -> MemoryOpaqueManager:
        """Return this manager: the tables are shared."""
        return self

    def get(self, name: str) -> MemoryOpaqueTable | None:
        """Return a table, if it exists."""
        return self._tables.get(name)

    def register(self, name: str, spec: Any) -> MemoryOpaqueTable:
        """Return a table; create it if necessary."""
        return self._tables.setdefault(name, MemoryOpaqueTable(name))

    @classmethod
    def currentVersions(cls) -> list[Any]:  # noqa: N802
        """Return no versions: nothing outlives the process."""
        return []


class MemoryBridgeManager(DatastoreRegistryBridgeManager):
    """Remembers in sets which datasets each datastore holds."""

    def __init__(self, opaque: Any, universe: Any, registry_schema_version: Any = None):
        super().__init__(opaque=opaque, universe=universe, registry_schema_version=registry_schema_version)
        self._bridges: dict[str, EphemeralDatastoreRegistryBridge] = {}

    @classmethod
    def initialize(
        cls,
        db: Any,
        context: Any,
        *,
        opaque: Any,
        datasets: Any,
        universe: Any,
        registry_schema_version: Any = None,
    ) -> MemoryBridgeManager:
        """Make a manager; the database is not used."""
        return cls(opaque, universe, registry_schema_version)

    def clone(self, *, db: Any, opaque: Any) -> MemoryBridgeManager:
        """Return an empty manager for other tables."""
        return MemoryBridgeManager(opaque, self.universe)

    def refresh(self) -> None:
        """Do nothing: there are no other writers."""

    def register(self, name: str, *, ephemeral: bool = False) -> EphemeralDatastoreRegistryBridge:
        """Return the bridge of a datastore; create it if necessary."""
        return self._bridges.setdefault(name, EphemeralDatastoreRegistryBridge(name))

    def findDatastores(self, ref: Any) -> Iterable[str]:  # noqa: N802
        """Yield the names of the datastores that hold a dataset."""
        return [name for name, bridge in self._bridges.items() if ref in bridge]

    @classmethod
    def currentVersions(cls) -> list[Any]:  # noqa: N802
        """Return no versions: nothing outlives the process."""
        return []


_KEY = ("dataset_id", "component")


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(row.get(column) for column in _KEY)


def _as_values(value: Any) -> Collection[Any]:
    return value if isinstance(value, list | tuple | set | frozenset) else (value,)
