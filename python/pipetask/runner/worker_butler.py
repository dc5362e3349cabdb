"""One quantum-backed butler that serves many quanta."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from lsst.daf.butler import (
    ButlerConfig,
    DatasetProvenance,
    DatasetRef,
    DatasetType,
    DimensionUniverse,
    Quantum,
    QuantumBackedButler,
)
from lsst.daf.butler.datastore.record_data import DatastoreRecordData
from lsst.daf.butler.registry.interfaces import FakeDatasetRef

from ..outcome import StoredOutputs
from ..storage.durability import sync_files
from ..storage.files import file_datastores, local_paths
from .memory_records import MemoryBridgeManager, MemoryOpaqueManager

__all__ = ["WorkerButler"]


class WorkerButler(QuantumBackedButler):
    """A quantum-backed butler that stays open and serves one quantum after the other (see D5).

    Making a butler takes twenty times as long as putting a small dataset, so a worker makes one.  Between `admit`
    and `release` it knows the datasets of one quantum, as a butler made for that quantum would.
    """

    @classmethod
    def open(
        cls,
        config: ButlerConfig,
        dimensions: DimensionUniverse,
        dataset_types: Mapping[str, DatasetType],
    ) -> WorkerButler:
        """Make a butler that knows no datasets yet.

        Parameters
        ----------
        config
            The repository's configuration.
        dimensions
            The graph's dimension universe.
        dataset_types
            The repository's definitions of all dataset types of the graph, by name.
        """
        return cls.from_predicted(
            config=config,
            predicted_inputs=(),
            predicted_outputs=(),
            dimensions=dimensions,
            datastore_records={},
            OpaqueManagerClass=MemoryOpaqueManager,
            BridgeManagerClass=MemoryBridgeManager,
            dataset_types=dataset_types,
        )

    def put(self, obj: Any, ref: DatasetRef, /, *, provenance: DatasetProvenance | None = None) -> DatasetRef:
        """Store a dataset; a forked child of the task that continues as the task exits here."""
        if os.getpid() != self._pid:
            os._exit(0)
        if ref.datasetType.name == self._mark:
            # After a power cut, metadata that is there means that the other outputs are there, to their last byte.
            sync_files(local_paths(self._datastore, self._actual_output_refs))
        return super().put(obj, ref, provenance=provenance)

    def admit(
        self, quantum: Quantum, records: Mapping[str, DatastoreRecordData], mark: str | None = None
    ) -> None:
        """Add the datasets of a quantum.

        Parameters
        ----------
        quantum
            The quantum that runs next.
        records
            Datastore records of inputs that do not come from the graph itself.
        mark
            A dataset type of which a dataset is stored only when what was put before is on disk.
        """
        self._pid = os.getpid()
        self._mark = mark
        self._predicted_inputs = {ref.id for refs in quantum.inputs.values() for ref in refs}
        self._predicted_inputs.update(ref.id for ref in quantum.initInputs.values())
        self._predicted_outputs = {ref.id for refs in quantum.outputs.values() for ref in refs}
        self._datastore.import_records(records)
        self._recorded = {id for data in records.values() for id in data.records}

    def release(self) -> None:
        """Remove everything about the last quantum, except its files."""
        known = self._recorded | {ref.id for ref in self._actual_output_refs}
        self._datastore.forget([FakeDatasetRef(id) for id in known])
        for collection in (
            self._available_inputs,
            self._unavailable_inputs,
            self._actual_inputs,
            self._actual_output_refs,
        ):
            collection.clear()

    def written(self, quantum: Quantum, *, name_absent: bool) -> StoredOutputs:
        """Return what the quantum last admitted has put.

        Parameters
        ----------
        quantum
            The quantum.
        name_absent
            Whether to name the predicted outputs that were not put, too.
        """
        put = self._actual_output_refs
        present = {ref.id for ref in put}
        return StoredOutputs(
            [_name(ref) for ref in put],
            dict(self._datastore.export_records(put)),
            [_name(ref) for ref in _outputs(quantum) if ref.id not in present] if name_absent else [],
        )

    def found(self, quantum: Quantum) -> StoredOutputs:
        """Return all stored outputs of a quantum, also those of earlier attempts.

        The records are those that a put would have made, sizes and checksums included.
        """
        stored = self.stored_many(_outputs(quantum))
        refs = [ref for ref, exists in stored.items() if exists]
        records = self.export_predicted_datastore_records(refs)
        datastores = file_datastores(self._datastore)
        for name, data in records.items():
            for tables in data.records.values():
                for table, infos in tables.items():
                    tables[table] = list(_measured(datastores[name], infos))
        return StoredOutputs(
            [_name(ref) for ref in refs],
            records,
            [_name(ref) for ref, exists in stored.items() if not exists],
        )

    def close(self) -> None:
        """Do nothing: pipe_base closes the butler after each quantum, but the next one needs it."""

    def shut_down(self) -> None:
        """Close the butler finally."""
        super().close()


def _measured(datastore: Any, infos: Iterable[Any]) -> Iterator[Any]:
    """Yield records with sizes and checksums of existing files, in the form that the datastore accepts."""
    for info in infos:
        uri = info.file_location(datastore.locationFactory).uri
        with suppress(FileNotFoundError):
            checksum = datastore.computeChecksum(uri) if datastore.useChecksum else None
            yield info.update(file_size=int(uri.size()), checksum=checksum)


def _outputs(quantum: Quantum) -> Iterable[DatasetRef]:
    return [ref for refs in quantum.outputs.values() for ref in refs]


def _name(ref: DatasetRef) -> tuple[str, Any, tuple[Any, ...]]:
    return ref.datasetType.name, ref.id, ref.dataId.full_values
