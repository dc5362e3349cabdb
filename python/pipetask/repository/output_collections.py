"""The output RUN collection and the CHAINED collection above it.

The rules are those of LSST's ``pipetask``:

- ``--output CHAIN`` names a CHAINED collection whose first child is the output run; it is made from the (flattened)
  inputs if it does not exist.
- ``--output-run RUN`` names the run; with a graph it must be the graph's.  When a graph is built, the name may be left
  out: it is then the name of the chain with a timestamp, or with ``--extend-run`` the first child of the chain.
- A run with outputs of quanta needs ``--extend-run``; an existing chain must contain the given inputs as one
  contiguous sequence, unless ``--rebase`` reorders it: runs that belong to the chain first, then the new inputs, then
  the rest.
- ``--replace-run`` removes the first run from an existing chain; ``--prune-replaced`` also removes its datasets from
  the datastore (``unstore``), or the whole run (``purge``).

Two rules differ.  After a ``--rebase``, a graph is built from the collections in their new order; LSST's command uses
the old order, so that a new input is not found.  And a command can be repeated wherever it was interrupted: a run that
does not exist is created, also with ``--extend-run``; a run without outputs of quanta is continued, also without
``--extend-run``; and a run that is not in its chain is added to it.
"""

from __future__ import annotations

import glob
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace

from lsst.daf.butler import Butler, CollectionType, DatasetRef, MissingCollectionError
from lsst.pipe.base import Instrument, PipelineGraph
from lsst.pipe.base.automatic_connection_constants import PACKAGES_INIT_OUTPUT_NAME
from lsst.pipe.base.pipeline_graph import NodeType

from ..errors import PipetaskError, UsageError, did_you_mean
from ..options.collection_names import check_new_name
from ..options.collections import OutputOptions

__all__ = ["OutputCollections", "collection_exists"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class OutputCollections:
    """Output collections, checked against a repository."""

    run: str
    run_exists: bool
    begun: bool
    """Whether the run has outputs of quanta."""

    chain: str | None
    children: tuple[str, ...] | None
    """Children of the chain, after a rebase if requested; `None` if it does not exist."""

    inputs: tuple[str, ...]
    """The flattened inputs."""

    options: OutputOptions

    rebased: bool = False
    """Whether the children, or their order, differ from the repository."""

    replaced: str | None = None
    """The run that must still be removed from the chain."""

    @classmethod
    def for_new_graph(
        cls, butler: Butler, options: OutputOptions, pipeline: PipelineGraph | None = None
    ) -> OutputCollections:
        """Choose the output run of a graph that will be built, from a repository.

        Parameters
        ----------
        butler
            The repository; only read.
        options
            Options, which need not name the output run.
        pipeline
            The pipeline from which the graph will be built.

        Raises
        ------
        PipetaskError
            If they do not fit the repository, or name no output, with what to do.
        """
        return cls.resolve(butler, replace(options, output_run=_new_run(butler, options)), pipeline)

    @classmethod
    def resolve(
        cls, butler: Butler, options: OutputOptions, pipeline: PipelineGraph | None = None
    ) -> OutputCollections:
        """Check that the options fit a repository.

        Parameters
        ----------
        butler
            The repository; only read.
        options
            Options with the output run filled in.
        pipeline
            Shows which datasets a run has before any quantum has run; without it, only an empty run counts as new.

        Raises
        ------
        PipetaskError
            If they do not fit, with what to do.
        """
        options.check()
        run = options.output_run
        if not run:
            raise UsageError("Neither the graph nor --output-run names an output run.")
        children = _children(butler, options.output) if options.output else None
        inputs = _flatten(butler, options.inputs)
        exists = _run_exists(butler, run)
        begun = exists and not _is_fresh(butler, run, pipeline)
        result = cls(run, exists, begun, options.output, children, inputs, options)._rebased()
        result._check()
        if options.replace_run and not result.complete:
            result = replace(result, replaced=_runs_in(butler, result.children)[0])
        return result

    @property
    def search_path(self) -> tuple[str, ...]:
        """Collections for a butler that reads and writes here."""
        return (self.chain,) if self.chain else (self.run, *self.inputs)

    @property
    def input_search(self) -> tuple[str, ...]:
        """Collections that a graph that is built searches for inputs."""
        if self.chain is None or self.children is None:
            found = self.inputs
        elif self.options.replace_run:
            found = self.children[1:]
        else:
            found = self.children if self.rebased else (self.chain,)
        return (self.run, *found) if self.options.extend_run and self.run_exists else found

    @property
    def complete(self) -> bool:
        """Whether `create` would have nothing to do."""
        return self.run_exists and (self.chain is None or self.run in (self.children or ()))

    def create(self, butler: Butler) -> None:
        """Create the run and the chain, unless they exist.

        Parameters
        ----------
        butler
            The repository, writeable, in a transaction.
        """
        if self.complete:
            return
        self.say_what_is_odd()
        collections = butler.collections
        collections.register(self.run, CollectionType.RUN)
        if self.chain is None:
            return
        collections.register(self.chain, CollectionType.CHAINED)
        # Until the transaction ends, this keeps other commands from changing the chain; one may just have done so.
        collections.prepend_chain(self.chain, self.run)
        children = [name for name in collections.get_info(self.chain).children if name != self.run]
        now = replace(self, children=tuple(children) or self.children)._rebased()
        now._check_inputs()
        collections.redefine_chain(self.chain, [self.run, *now._members(butler)])

    def forget_replaced(self, butler: Butler, pipeline: PipelineGraph) -> list[DatasetRef]:
        """Remove from the registry what ``--prune-replaced`` names.

        Parameters
        ----------
        butler
            The repository, writeable, in a transaction.
        pipeline
            Distinguishes outputs of tasks from init-outputs, which ``unstore`` keeps.

        Returns
        -------
        refs
            Datasets whose files must be deleted after the transaction.
        """
        if self.replaced is None or self.options.prune_replaced is None:
            return []
        if glob.escape(self.replaced) != self.replaced:
            raise PipetaskError(
                f"--prune-replaced: the name of run {self.replaced!r} is a pattern to the butler, and may match "
                "others: leave the option out, and use pipetask purge."
            )
        refs = list(butler.registry.queryDatasets(..., collections=self.replaced))
        if self.options.prune_replaced == "unstore":
            refs = [ref for ref in refs if _is_task_output(ref, pipeline)]
        elif others := butler.collections.get_info(self.replaced, include_parents=True).parents:
            raise PipetaskError(
                f"--prune-replaced purge: run {self.replaced!r} is also in {', '.join(sorted(others))}: take "
                "it out of there first."
            )
        butler._datastore.trash(refs)
        if self.options.prune_replaced == "purge":
            butler.collections.x_remove(self.replaced)
        return refs

    def delete_replaced(self, butler: Butler, refs: list[DatasetRef]) -> None:
        """Delete the files of datasets that `forget_replaced` has removed.

        Parameters
        ----------
        butler
            The repository, writeable.
        refs
            The datasets.
        """
        if refs:
            butler._datastore.emptyTrash(ignore_errors=False, refs=refs)
        elif self.options.prune_replaced is not None and self.run_exists:
            # An earlier command was killed before it had deleted them, and it is unknown which they were.
            butler._datastore.emptyTrash()

    def say_what_is_odd(self, when: str = "now") -> None:
        """Warn of what may be a misspelt name, before collections change.

        Parameters
        ----------
        when
            When they change, for the message.
        """
        if self.options.extend_run and not self.run_exists:
            _LOG.warning("Output run %r does not exist yet: it is created %s.", self.run, when)
        if self.run_exists and not self.complete:
            _LOG.warning("Output run %r is not in %r: it is added to it %s.", self.run, self.chain, when)

    def _members(self, butler: Butler) -> list[str]:
        """Return the children of the chain besides the run: its current ones, or the inputs."""
        members = _runs_in(butler, self.children if self.children is not None else self.inputs)
        return [name for name in members if name not in (self.run, self.replaced)]

    def _rebased(self) -> OutputCollections:
        if not self.options.rebase or self.chain is None or self._chain_has_inputs():
            return self
        old = self.children or ()
        own = [child for child in old if child.startswith(self.chain)]
        return replace(self, children=tuple(dict.fromkeys([*own, *self.inputs, *old])), rebased=True)

    def _chain_has_inputs(self) -> bool:
        if not self.inputs or self.children is None:
            return True
        width = len(self.inputs)
        starts = range(len(self.children) - width + 1)
        return any(self.children[start : start + width] == self.inputs for start in starts)

    def _check(self) -> None:
        options = self.options
        self._check_names()
        if self.run == self.chain:
            raise PipetaskError(
                f"--output {self.chain!r} is also the name of the output run: give another --output, or the graph "
                "another run with update-graph-run."
            )
        self._check_inputs()
        if self.begun and not options.extend_run:
            raise PipetaskError(
                f"Output run {self.run!r} exists: add --extend-run to continue it, or build a graph with a new run."
            )
        if options.replace_run and not self.children:
            raise PipetaskError(
                "--replace-run: --output must name an existing CHAINED collection with a run in it."
            )

    def _check_inputs(self) -> None:
        if not self._chain_has_inputs():
            raise PipetaskError(
                f"Output collection {self.chain!r} does not have the inputs {list(self.inputs)} as one contiguous "
                "piece: give the inputs it was made with, or --rebase to reorder it."
            )

    def _check_names(self) -> None:
        if self.chain is not None and self.children is None:
            check_new_name(self.chain, "--output")
        if not self.run_exists:
            check_new_name(self.run, "The output run")


def _new_run(butler: Butler, options: OutputOptions) -> str:
    options.check()
    if options.output_run:
        return options.output_run
    if not options.output:
        raise UsageError("Outputs have no name: give --output, for a chain with a new run, or --output-run.")
    if options.extend_run and (children := _children(butler, options.output)):
        return children[0]
    return f"{options.output}/{Instrument.makeCollectionTimestamp()}"


def _flatten(butler: Butler, inputs: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(butler.collections.query(inputs, flatten_chains=True)) if inputs else ()
    except MissingCollectionError as error:
        missing = next(name for name in inputs if not collection_exists(butler, name))
        raise PipetaskError(
            f"--input: there is no collection {missing!r}{did_you_mean(missing, butler.collections.query('*'))}"
        ) from error


def collection_exists(butler: Butler, name: str) -> bool:
    """Return whether a repository has a collection; a pattern stands for its matches, of which there may be none."""
    try:
        butler.collections.query(name)
    except MissingCollectionError:
        return False
    return True


def _children(butler: Butler, chain: str) -> tuple[str, ...] | None:
    try:
        info = butler.collections.get_info(chain)
    except MissingCollectionError:
        return None
    if info.type is not CollectionType.CHAINED:
        raise PipetaskError(
            f"Output collection {chain!r} is of type {info.type.name}, not CHAINED: give another --output."
        )
    return tuple(info.children)


def _run_exists(butler: Butler, run: str) -> bool:
    try:
        info = butler.collections.get_info(run)
    except MissingCollectionError:
        return False
    if info.type is not CollectionType.RUN:
        raise PipetaskError(
            f"Output run {run!r} is a collection of type {info.type.name}, not RUN: build the graph with another run."
        )
    return True


def _is_fresh(butler: Butler, run: str, pipeline: PipelineGraph | None) -> bool:
    """Return whether a run has no outputs of quanta, only datasets that exist before the first quantum runs."""
    found = butler.collections.get_info(run, include_summary=True).dataset_types or set()
    return found <= (_types_before_quanta(pipeline) if pipeline is not None else set())


def _types_before_quanta(pipeline: PipelineGraph) -> set[str]:
    nodes = [task.init for task in pipeline.tasks.values()]
    names = {edge.dataset_type_name for node in nodes for edge in node.iter_all_outputs()}
    return {*names, PACKAGES_INIT_OUTPUT_NAME}


def _runs_in(butler: Butler, names: Iterable[str] | None) -> list[str]:
    """Return collections with chains flattened."""
    return list(butler.collections.query(names, flatten_chains=True, include_chains=False)) if names else []


def _is_task_output(ref: DatasetRef, pipeline: PipelineGraph) -> bool:
    try:
        producer = pipeline.producer_of(ref.datasetType.name)
    except KeyError:
        return False
    return producer is not None and producer.key.node_type is NodeType.TASK
