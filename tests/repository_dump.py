"""What a repository holds, as plain values that can be compared.

Read from the database itself, so that nothing is left out that a query would not show; only the numbers that the
database makes up for itself are replaced by the names they stand for.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

COLLECTION_COLUMNS = {"parent", "child", "run_id", "collection_id"}
NUMBERED_TABLES = {"dimension_graph_key", "dimension_graph_definition"}

Registry = dict[str, list[dict[str, Any]]]


def read_registry(root: Path) -> Registry:
    """Return every row of every table that has any, except for the time of ingestion."""
    with closing(sqlite3.connect(f"{(root / 'gen3.sqlite3').as_uri()}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        return dump_tables(database, _tables(database))


def dump_tables(database: Any, tables: Iterable[str]) -> Registry:
    """Return every row of some tables; rows behave as SQLite's do."""
    content: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    names = _Names(database)
    for table in tables:
        # Which table has the tags of which dimensions depends on who came first.
        title = "dataset_tags" if table.startswith("dataset_tags_") else table
        content[title] += [names.resolve(table, row) for row in database.execute(f'SELECT * FROM "{table}"')]
    return {title: sorted(rows, key=repr) for title, rows in content.items() if rows}


def read_chain(root: Path, name: str) -> list[str]:
    """Return the children of a CHAINED collection, in order."""
    rows = read_registry(root).get("collection_chain", [])
    return [row["child"] for row in sorted(rows, key=lambda row: row["position"]) if row["parent"] == name]


def read_collections(root: Path) -> set[str]:
    return {row["name"] for row in read_registry(root)["collection"]}


def read_files(root: Path) -> dict[str, int | None]:
    """Return the size of each file (`None` for a folder) by its path from the root, but for the database."""
    paths = (path for path in root.rglob("*") if not path.name.startswith("gen3.sqlite3"))
    return {str(path.relative_to(root)): path.stat().st_size if path.is_file() else None for path in paths}


def _tables(database: sqlite3.Connection) -> list[str]:
    query = "SELECT name FROM sqlite_master WHERE type = 'table'"
    return [name for (name,) in database.execute(query) if name not in NUMBERED_TABLES]


class _Names:
    """What the database's numbers stand for."""

    def __init__(self, database: Any):
        self._collections = dict(map(tuple, database.execute("SELECT collection_id, name FROM collection")))
        self._dataset_types = dict(map(tuple, database.execute("SELECT id, name FROM dataset_type")))
        self._dimensions: defaultdict[int, list[str]] = defaultdict(list)
        for number, name in database.execute(
            "SELECT * FROM dimension_graph_definition ORDER BY dimension_name"
        ):
            self._dimensions[number].append(name)

    def resolve(self, table: str, row: Any) -> dict[str, Any]:
        own_number = "collection_id" if table == "collection" else "id" if table == "dataset_type" else None
        dropped = {own_number, "ingest_date", "tag_association_table", "calibration_association_table"}
        return {column: self._value(column, row[column]) for column in row.keys() if column not in dropped}  # noqa: SIM118

    def _value(self, column: str, value: Any) -> Any:
        if column in COLLECTION_COLUMNS:
            return self._collections[value]
        if column == "dataset_type_id":
            return self._dataset_types[value]
        if column == "dimensions_key":
            return self._dimensions[value]
        return value
