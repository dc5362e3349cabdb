"""Run quanta of a graph file against a butler repository."""

from __future__ import annotations

import os
import socket
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from astropy.units import MB, Quantity, byte
from lsst.daf.butler import Butler, ButlerConfig, DatasetRef, LimitedButler, Quantum
from lsst.pipe.base import ExecutionResources, QuantumSuccessCaveats, TaskFactory
from lsst.pipe.base.pipeline_graph import TaskNode
from lsst.pipe.base.quantum_graph_executor import QuantumExecutionResult
from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor

from ..graph.reader import QuantumReader, load_storage_classes
from ..lsst_internals import bound_history
from ..outcome import NOT_CLOBBERED, QuantumOutcome, Status, StoredOutputs
from ..storage.durability import sync_files, written_before_boot
from ..storage.files import forget, local_paths, recorded_files, sizes_of
from .base import ExceptionHook, Interruption, Ticket
from .debris import Debris
from .failure import describe_exception
from .forked_copy import end_copy_of, let_no_copy_store
from .meter import Meter
from .quantum_log import QuantumLog
from .relocation import relocate_config, relocated_records
from .spec import ButlerRunnerSpec
from .success import is_success_stored, read_or_none, success_marks
from .task_logs import TaskLogs
from .worker_butler import WorkerButler

__all__ = ["FullButlerRunner", "QuantumBackedRunner", "QuantumRunner"]

HISTORY = 10
"""Number of earlier quanta of the process that a log names: enough to see which may have disturbed it."""


class QuantumRunner:
    """Runs quanta with pipe_base's `SingleQuantumExecutor`, and returns their outcomes.

    Parameters
    ----------
    spec
        Graph, repository and options.
    on_exception
        Called with each exception of a task while its traceback is alive.

    Notes
    -----
    There are two subclasses: one writes through a quantum-backed butler and does not touch the registry, the other
    through the full butler.
    """

    _butler: LimitedButler
    """The butler through which quanta read and write."""

    def __init__(self, spec: ButlerRunnerSpec, on_exception: ExceptionHook | None):
        self.spec = spec
        self._on_exception = on_exception
        self._config = load_storage_classes(spec.butler_config, spec.config_search_path)
        if spec.paths:
            relocate_config(self._config, spec.paths)
        self._reader = QuantumReader(spec.graph)
        self._loaded: dict[bytes, tuple[TaskNode, Quantum]] = {}
        self._history: deque[uuid.UUID] = deque(maxlen=HISTORY)
        self._debris = Debris()
        self._meter = Meter()
        self._host = socket.gethostname()
        self._pid = os.getpid()
        self._task_logs = TaskLogs(
            node.task_class_name for node in self._reader.pipeline_graph.tasks.values()
        )

    def load(self, tickets: Sequence[Ticket]) -> None:
        """Read the quanta that will be run next.

        A quantum that cannot be read is left out here, and fails when it is run.
        """
        self._loaded.clear()
        try:
            self._read(tickets)
        except Exception:
            self._loaded.clear()

    def run(self, ticket: Ticket) -> QuantumOutcome:
        """Run one quantum, start to end."""
        self._meter.start(ticket.id)
        start = self._meter.start_time
        try:
            if ticket.quantum_id not in self._loaded:
                self._read([ticket])
            node, quantum = self._loaded.pop(ticket.quantum_id)
            report = self._execute(ticket, node, quantum)
            if self.spec.sync_outputs:
                sync_files(local_paths(self._butler._datastore, _outputs(quantum)))
        except BaseException as error:  # it could not even be read; or interrupted just before or after
            report = _failure(error)
        end_copy_of(self._pid)
        usage = self._meter.read()
        return QuantumOutcome(
            ticket.id,
            start=start,
            end=start + (usage.wall_seconds or 0.0),  # the clock may be set while it runs
            host=self._host,
            pid=self._pid,
            usage=usage,
            **report,
        )

    def is_whole(self, outputs: StoredOutputs) -> bool:
        """Return whether all files of stored outputs exist with the recorded sizes."""
        files = list(recorded_files(self._butler._datastore, outputs.records))
        sizes = sizes_of([file.place for file in files])
        return all(file.agrees_with(size) for file, size in zip(files, sizes, strict=True))

    def close(self) -> None:
        """Close the graph file and the butler."""
        self._reader.close()
        self._meter.close()
        self._task_logs.close()

    def _read(self, tickets: Sequence[Ticket]) -> None:
        quanta = self._reader.read(uuid.UUID(bytes=ticket.quantum_id) for ticket in tickets)
        self._loaded.update((id.bytes, content) for id, content in quanta.items())

    def _execute(self, ticket: Ticket, node: TaskNode, quantum: Quantum) -> dict[str, Any]:
        raise NotImplementedError

    def _clear_away(self, ticket: Ticket, node: TaskNode, quantum: Quantum) -> None:
        """Remove outputs of an attempt that was interrupted or has lost files, which would prevent another attempt.

        Stored metadata means that a quantum succeeded, unless its log is missing, which is written last.
        """
        paths = local_paths(self._butler._datastore, _outputs(quantum))
        self._debris.remove(paths, look_again=ticket.attempt > 1)
        metadata, *logs = marks = success_marks(node, quantum)
        stored = self._butler.stored_many(marks)
        if not any(stored.values()):
            return
        # What is not registered may never have been synced, and then a power cut may have cut it anywhere.
        unsynced = self.spec.syncs_in_bulk and written_before_boot(paths)
        trusted = stored[metadata] and not ticket.new_inputs and not unsynced
        if trusted and is_success_stored(self._butler, node, quantum):
            return
        # The log of an earlier attempt becomes part of the next log, unless it cannot be read.
        gone = [log for log in logs if stored[log] and read_or_none(self._butler, log) is None]
        if stored[metadata]:
            gone.append(metadata)
        self._butler.pruneDatasets(gone, disassociate=True, unstore=True, purge=True)

    def _executor(self, **options: Any) -> Callable[[str], SingleQuantumExecutor]:
        """Return what makes executors for labels, one for each."""

        @cache
        def for_label(label: str) -> SingleQuantumExecutor:
            spec = self.spec
            executor = SingleQuantumExecutor(
                task_factory=TaskFactory(),
                enable_lsst_debug=spec.debug,
                raise_on_partial_outputs=spec.raise_on_partial_outputs,
                job_metadata=spec.job_metadata,
                resources=_resources(spec, label),
                **options,
            )
            bound_history(executor, self._history)
            return executor

        return for_label


def _resources(spec: ButlerRunnerSpec, label: str) -> ExecutionResources:
    memory: str | Quantity | None = spec.memory_per_quantum
    if label in spec.memory:
        memory = Quantity(spec.memory[label], byte).to(MB)
    return ExecutionResources(
        num_cores=spec.cores.get(label, spec.cores_per_quantum),
        max_mem=memory,
        default_mem_units=MB,
    )


class QuantumBackedRunner(QuantumRunner):
    """Writes directly to the datastore; outcomes contain what the registrar needs."""

    def __init__(self, spec: ButlerRunnerSpec, on_exception: ExceptionHook | None):
        super().__init__(spec, on_exception)
        pipeline = self._reader.pipeline_graph
        self._butler = WorkerButler.open(
            self._config,
            pipeline.universe,
            {node.name: node.dataset_type for node in pipeline.dataset_types.values()},
        )
        let_no_copy_store(self._butler)
        config = self._config if spec.paths else spec.butler_config
        self._inputs = _InputRecords(spec, config, self._reader.output_run)

        def lend(_: Quantum) -> WorkerButler:
            return self._butler

        self._fresh = self._executor(limited_butler_factory=lend, assume_no_existing_outputs=True)
        # Unregistered files of an interrupted attempt are replaced …
        self._resuming = self._executor(limited_butler_factory=lend, skip_existing=True, clobber_outputs=True)
        # … but registered ones belong to the user, who must allow their removal.
        self._strict = self._executor(limited_butler_factory=lend, skip_existing=True, clobber_outputs=False)

    def close(self) -> None:
        """Close the graph file and the butlers."""
        super().close()
        self._butler.shut_down()
        self._inputs.close()

    def _read(self, tickets: Sequence[Ticket]) -> None:
        super()._read(tickets)
        # For all loaded quanta: a quantum that is tried again is read while others wait.
        self._inputs.look_up(quantum for _, quantum in self._loaded.values())

    def _execute(self, ticket: Ticket, node: TaskNode, quantum: Quantum) -> dict[str, Any]:
        butler, resuming = self._butler, self.spec.extend_run or ticket.attempt > 1
        keep = ticket.registered_before and not self.spec.clobber_outputs
        executor = self._strict if keep else self._resuming if resuming else self._fresh
        mark = node.metadata_output.dataset_type_name if self.spec.sync_outputs else None
        records = self._inputs.of(quantum)
        if self.spec.paths:
            records = relocated_records(records, self.spec.paths.there)
        butler.admit(quantum, records, mark)
        try:
            if executor is self._resuming:
                self._clear_away(ticket, node, quantum)
            quantum_id = uuid.UUID(bytes=ticket.quantum_id)
            result = executor(node.label).execute(node, quantum, quantum_id, log_records=QuantumLog())
            return _success(result, self._outputs(quantum, found=result.skipped_existing))
        except Interruption as error:
            return _failure(error)
        except BaseException as error:
            if self._on_exception is not None:
                self._on_exception(_description(node, quantum), error)
            report = _failure(error) | {"log": _log_place(butler, node, quantum)}
            return report | ({"reason": NOT_CLOBBERED} if keep else {"outputs": self._outputs(quantum)})
        finally:
            butler.release()

    def _outputs(self, quantum: Quantum, *, found: bool = False) -> StoredOutputs | None:
        """Return the outputs of a quantum to register: those it has put, or existing ones."""
        if not self.spec.registry:
            return None
        if found:
            outputs = self._butler.found(quantum)
        else:
            outputs = self._butler.written(quantum, name_absent=self.spec.extend_run)
        if self.spec.paths:
            outputs = replace(outputs, records=relocated_records(outputs.records, self.spec.paths.back))
        return outputs


class FullButlerRunner(QuantumRunner):
    """Writes through the full butler: slower, and each put is registered immediately."""

    def __init__(self, spec: ButlerRunnerSpec, on_exception: ExceptionHook | None):
        super().__init__(spec, on_exception)
        self._full = self._butler = Butler.from_config(
            spec.butler_config, run=spec.run, collections=spec.collections, writeable=True
        )
        let_no_copy_store(self._full)
        self._fresh = self._executor(butler=self._full, skip_existing=False, clobber_outputs=False)
        # Registered outputs of an attempt that was interrupted before its log are replaced, too.
        self._resuming = self._executor(butler=self._full, skip_existing=True, clobber_outputs=True)
        self._strict = self._executor(butler=self._full, skip_existing=True, clobber_outputs=False)

    def close(self) -> None:
        """Close the graph file and the butler."""
        super().close()
        self._full.close()

    def _execute(self, ticket: Ticket, node: TaskNode, quantum: Quantum) -> dict[str, Any]:
        keep = ticket.registered_before and not self.spec.clobber_outputs
        resuming = self.spec.extend_run or ticket.attempt > 1
        executor = self._strict if keep else self._resuming if resuming else self._fresh
        try:
            if executor is self._resuming:
                self._clear_away(ticket, node, quantum)
            # Records in memory: pipe_base's other way, a file, loses the logs of earlier attempts.
            records = QuantumLog()
            quantum_id = uuid.UUID(bytes=ticket.quantum_id)
            return _success(
                executor(node.label).execute(node, quantum, quantum_id, log_records=records), None
            )
        except Interruption as error:
            if (
                not ticket.registered_before
            ):  # with a registered log, the quantum would look like a failed one
                forget(self._full, _outputs(quantum))
            return _failure(error)
        except BaseException as error:
            if self._on_exception is not None:
                self._on_exception(_description(node, quantum), error)
            report = _failure(error) | {"log": _log_place(self._full, node, quantum)}
            return report | ({"reason": NOT_CLOBBERED} if keep else {})


class _InputRecords:
    """Datastore records of inputs from outside the run, for graphs that were built without them.

    Without a registry, these cannot be looked up, and the datastore guesses where the files are.
    """

    def __init__(self, spec: ButlerRunnerSpec, config: ButlerConfig | str, output_run: str):
        self._spec = spec
        self._config = config
        self._output_run = output_run
        self._butler: Butler | None = None
        self._records: Mapping[str, Any] = {}

    def look_up(self, quanta: Iterable[Quantum]) -> None:
        """Find the records of some quanta's inputs, all in one query."""
        refs = [ref for quantum in quanta for ref in self._unlocated(quantum)]
        if not refs:
            self._records = {}
            return
        if self._butler is None:
            self._butler = Butler.from_config(self._config, writeable=False)
        self._records = self._butler._datastore.export_records(refs)

    def of(self, quantum: Quantum) -> Mapping[str, Any]:
        """Return the records of one of those quanta."""
        if not self._records:
            return quantum.datastore_records
        ids = {ref.id for ref in self._unlocated(quantum)}
        found = ((name, data.subset(ids)) for name, data in self._records.items())
        return {name: data for name, data in found if data is not None} or quantum.datastore_records

    def _unlocated(self, quantum: Quantum) -> list[Any]:
        if quantum.datastore_records or not self._spec.registry:
            return []
        refs = [ref for refs in quantum.inputs.values() for ref in refs] + list(quantum.initInputs.values())
        return [ref for ref in refs if ref.run != self._output_run]

    def close(self) -> None:
        if self._butler is not None:
            self._butler.close()


def _outputs(quantum: Quantum) -> list[DatasetRef]:
    return [ref for refs in quantum.outputs.values() for ref in refs]


def _success(result: QuantumExecutionResult, outputs: StoredOutputs | None) -> dict[str, Any]:
    if result.skipped_existing:
        return {
            "status": Status.SKIPPED,
            "reason": "an earlier attempt had stored its outputs",
            "outputs": outputs,
        }
    caveats = _caveats(result)
    no_work = result.adjusted_no_work or bool(caveats & QuantumSuccessCaveats.NO_WORK)
    status = Status.NO_WORK if no_work else Status.SUCCEEDED
    return {"status": status, "caveats": caveats.value, "outputs": outputs}


def _caveats(result: QuantumExecutionResult) -> QuantumSuccessCaveats:
    if result.adjusted_no_work:
        return QuantumSuccessCaveats.from_adjust_quantum_no_work()
    if result.task_metadata is None:
        return QuantumSuccessCaveats.NO_CAVEATS
    return QuantumSuccessCaveats(result.task_metadata["quantum"]["caveats"])


def _failure(error: BaseException) -> dict[str, Any]:
    if isinstance(error, Interruption):
        return {"status": Status.CANCELLED, "reason": "interrupted while it ran"}
    return {"status": Status.FAILED, "error": describe_exception(error)}


def _description(node: TaskNode, quantum: Quantum) -> str:
    """Return label and data ID."""
    values = quantum.dataId.required if quantum.dataId is not None else {}
    return f"{node.label} ({', '.join(f'{name}={value!r}' for name, value in values.items())})"


def _log_place(butler: LimitedButler, node: TaskNode, quantum: Quantum) -> str | None:
    """Return the path of the log of a failed quantum."""
    if node.log_output is None:
        return None
    (ref,) = quantum.outputs[node.log_output.dataset_type_name]
    try:
        return str(butler._datastore.getURI(ref).ospath)
    except Exception:  # not stored, or not a file: the report works without it
        return None
