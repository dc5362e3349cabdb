"""The dictionaries that keep a worker's datastore records do as daf_butler's database would."""

from __future__ import annotations

import uuid

import pytest

from pipetask.runner.memory_records import MemoryOpaqueTable

A, B = uuid.uuid4(), uuid.uuid4()


def row(id: uuid.UUID, component: str = "", path: str = "p") -> dict[str, object]:
    return {"dataset_id": id, "component": component, "path": path}


def table(*rows: dict[str, object]) -> MemoryOpaqueTable:
    made = MemoryOpaqueTable("records")
    made.insert(*rows)
    return made


def test_fetch_filters_by_values_and_collections() -> None:
    records = table(row(A), row(A, "image"), row(B, path="q"))
    assert list(records.fetch(dataset_id=A)) == [row(A), row(A, "image")]
    assert list(records.fetch(dataset_id=[B, uuid.uuid4()])) == [row(B, path="q")]
    assert list(records.fetch(path="q")) == [row(B, path="q")]
    assert list(records.fetch(dataset_id={A, B}, component="image")) == [row(A, "image")]
    assert [len(batch) for batch in records.fetch_batches()] == [3]


def test_a_second_row_with_the_same_key_is_refused() -> None:
    records = table(row(A))
    with pytest.raises(RuntimeError, match="already"):
        records.insert(row(A, path="other"))


def test_ensure_keeps_and_replace_overwrites() -> None:
    records = table(row(A))
    records.ensure(row(A, path="other"), row(B))
    assert list(records.fetch(path="p")) == [row(A), row(B)]
    records.replace(row(A, path="other"))
    assert list(records.fetch(dataset_id=A)) == [row(A, path="other")]


def test_delete_removes_what_agrees() -> None:
    records = table(row(A), row(A, "image"), row(B))
    records.delete(["dataset_id"], {"dataset_id": A})
    assert list(records.fetch()) == [row(B)]
    records.delete(["dataset_id"], {"dataset_id": A})
    assert list(records.fetch()) == [row(B)]


def test_an_insert_can_be_undone() -> None:
    undo = []

    class Transaction:
        def registerUndo(self, name: str, function: object, *args: object) -> None:
            undo.append((function, args))

    records = table(row(B))
    records.insert(row(A), transaction=Transaction())
    ((function, args),) = undo
    function(*args)
    assert list(records.fetch()) == [row(B)]
