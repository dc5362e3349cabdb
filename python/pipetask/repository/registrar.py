"""Register outputs of finished quanta in bulk (see D12)."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from astropy.time import Time
from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, DatasetType
from lsst.daf.butler.datastore.record_data import DatastoreRecordData
from lsst.pipe.base import PipelineGraph

from ..errors import RegistrationError, reason_of
from ..outcome import StoredOutputs, Transaction
from ..storage.durability import sync_file_systems
from ..storage.files import recorded_files

__all__ = ["Registrar"]

LONGEST_WAIT = 2.0
"""Seconds that outputs wait before they are registered together."""

MOST_DATASETS = 5000
"""Datasets in one transaction."""

MOST_WAITING = 5000
"""Quanta whose outputs may wait; if the database is slower than the quanta, `Registrar.register` blocks."""

MOST_FAILURES = 3
"""Consecutive failures at the end of a run after which no more is tried: each may take a timeout of the database."""

_LOG = logging.getLogger(__name__)


class Registrar:
    """Registers outputs, in a thread of its own, a few seconds behind their quanta.

    Parameters
    ----------
    butler
        The repository, writeable.  No other code may use this object until `close` has returned.
    pipeline
        Definitions of the dataset types.
    run
        The output run.
    extend_run
        Whether some of the outputs may be registered already.
    durable
        Whether files must be on disk before they are registered.
    again
        How a user can register outputs that could not be registered, once the cause is fixed; used in messages.

    Notes
    -----
    If no thread can be started, outputs are registered as they come.

    A transaction contains all outputs of each of its quanta, datasets and datastore records, so the registry never
    contains half a quantum.
    """

    def __init__(
        self,
        butler: Butler,
        pipeline: PipelineGraph,
        run: str,
        *,
        extend_run: bool,
        durable: bool = True,
        again: str,
    ):
        self._butler = butler
        self._types = {node.name: node.dataset_type for node in pipeline.dataset_types.values()}
        self._run = run
        self._extend_run = extend_run
        self._durable = durable
        self._again = again
        self._queue: queue.Queue[StoredOutputs | None] = queue.Queue(MOST_WAITING)
        self._error: Exception | None = None
        self._failed: list[StoredOutputs] = []
        self._thread: threading.Thread | None = None
        self.transactions: list[Transaction] = []
        """All that there were, in their order; those that failed are among them."""

    @property
    def trouble(self) -> str | None:
        """Why registration has failed so far, if it has; it is tried once more at the end."""
        return reason_of(self._error) if self._error is not None and self._failed else None

    @property
    def unregistered(self) -> int:
        """Number of quanta whose outputs were not registered, after `close`."""
        return len(self._failed)

    def register(self, outputs: StoredOutputs) -> None:
        """Hand over the outputs of one quantum; block if too many outputs are waiting."""
        if self._thread is None:
            # The first time, astropy reads leap seconds, and changes the locale: not while a quantum runs in here.
            Time.now().tai  # noqa: B018
            self._thread = _started(threading.Thread(target=self._work, name="registrar"))
        if self._thread is not None:
            self._queue.put(outputs)
        elif not self._try([outputs]):
            self._failed.append(outputs)

    def close(self) -> None:
        """Register all remaining outputs, and wait for that.

        Raises
        ------
        RegistrationError
            If outputs could not be registered.
        """
        if self._thread is None:
            self._try_again()
        else:
            self._queue.put(None)
            self._thread.join()
        if self._error is not None and self._failed:
            raise RegistrationError(
                f"Outputs of {len(self._failed)} quanta could not be registered: {reason_of(self._error)}.  They are "
                f"safe in the datastore; fix the cause, and register them: {self._again}"
            ) from self._error

    def _work(self) -> None:
        more = True
        while more:
            batch: list[StoredOutputs] = []
            more = self._collect(batch)
            if batch and not self._try(batch):
                self._failed += batch
        self._try_again()

    def _try(self, batch: list[StoredOutputs]) -> bool:
        start, clock, succeeded = time.time(), time.monotonic(), True
        try:
            self._write(batch)
        except Exception as error:
            self._error, succeeded = error, False
            _LOG.debug("Could not register the outputs of %d quanta:", len(batch), exc_info=True)
        end, datasets = start + time.monotonic() - clock, sum(len(each.datasets) for each in batch)
        self.transactions.append(Transaction(start, end, len(batch), datasets, succeeded))
        return succeeded

    def _try_again(self) -> None:
        """Try once more, each quantum alone, so that a quantum with bad outputs does not affect the others."""
        left: list[StoredOutputs] = []
        in_a_row = 0
        for outputs in self._failed:
            if in_a_row < MOST_FAILURES and self._try([outputs]):
                in_a_row = 0
            else:
                left.append(outputs)
                in_a_row += 1
        self._failed = left

    def _collect(self, batch: list[StoredOutputs]) -> bool:
        """Wait until there are enough outputs, or the oldest has waited long enough; return whether more may come."""
        if (first := self._queue.get()) is None:
            return False
        batch.append(first)
        count, deadline = len(first.datasets), time.monotonic() + LONGEST_WAIT
        while count < MOST_DATASETS:
            try:
                item = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if item is None:
                return False
            batch.append(item)
            count += len(item.datasets)
        return True

    def _write(self, batch: list[StoredOutputs]) -> None:
        refs: defaultdict[Any, list[DatasetRef]] = defaultdict(list)
        for outputs in batch:
            for ref in self._refs(outputs.datasets):
                refs[ref.datasetType.dimensions].append(ref)
        records = DatastoreRecordData.merge_mappings(*(outputs.records for outputs in batch))
        registry, datastore = self._butler.registry, self._butler._datastore
        if (
            self._durable
        ):  # before the transaction, so that other users of the database do not wait for the disk
            places = (file.place for file in recorded_files(datastore, records))
            sync_file_systems({place.rpartition("/")[0] for place in places if isinstance(place, str)})
        with self._butler.transaction():
            if self._extend_run:
                everything = [ref for group in refs.values() for ref in group]
                gone = [ref for outputs in batch for ref in self._refs(outputs.absent)]
                # Registered outputs of an earlier attempt are replaced by the current ones.
                datastore.forget([*everything, *gone])
                registry.removeDatasets(_known(self._butler, gone))
            # Only an ObsCore table needs more than the values of a data ID.
            expand = registry.obsCoreTableManager is not None
            for group in refs.values():
                registry._importDatasets(group, expand=expand)
            datastore.import_records(records)

    def _refs(self, datasets: Iterable[tuple[str, Any, tuple[Any, ...]]]) -> list[DatasetRef]:
        return [self._ref(self._types[name], id, values) for name, id, values in datasets]

    def _ref(self, dataset_type: DatasetType, id: Any, values: tuple[Any, ...]) -> DatasetRef:
        data_id = DataCoordinate.from_full_values(dataset_type.dimensions, values)
        return DatasetRef(dataset_type, data_id, run=self._run, id=id)


def _started(thread: threading.Thread) -> threading.Thread | None:
    try:
        thread.start()
    except RuntimeError:  # no more threads are allowed (ulimit -u), or there is no memory for one
        return None
    return thread


def _known(butler: Butler, refs: list[DatasetRef]) -> list[DatasetRef]:
    return [ref for ref in refs if butler.registry.getDataset(ref.id) is not None]
