"""The output RUN collection and the CHAINED collection above it.

The rules are those of LSST's ``pipetask``:

- ``--output CHAIN`` names a CHAINED collection whose first child is the output run; it is made from the (flattened)
  inputs if it does not exist.
- ``--output-run RUN`` names the run; with a graph it must be the graph's.  Where a graph is built, the name may be left
  out: it is that of the chain with the time, or with ``--extend-run`` the chain's first child.
- A run that exists needs ``--extend-run``; an existing chain must contain the given inputs as one contiguous piece,
  unless ``--rebase`` reorders it: runs that belong to the chain first, then the new inputs, then the rest.
- ``--replace-run`` takes the first run out of an existing chain; ``--prune-replaced`` also removes its datasets from
  the datastore (``unstore``), or the whole run (``purge``).

One rule is not: after a ``--rebase``, a graph is built from the collections in their new order.  LSST's command looks
where they were before, so that a new input is not found.
"""

from __future__ import annotations

import glob
from dataclasses import dataclass, replace

from lsst.daf.butler import Butler, CollectionType, DatasetRef, MissingCollectionError
from lsst.pipe.base import Instrument, PipelineGraph
from lsst.pipe.base.pipeline_graph import NodeType

from ..errors import PipetaskError, UsageError, did_you_mean
from ..options.collections import OutputOptions
from .collection_names import check_new_name
from .undo import UndoLog

__all__ = ["OutputCollections", "collection_exists"]

_NOTHING_TO_EXTEND = (
    "--extend-run: output collection {!r} does not exist or is empty: give the one that the run was begun with, or "
    "leave out --output."
)


@dataclass(frozen=True)
class OutputCollections:
    """Where outputs go, checked against a repository."""

    run: str
    run_exists: bool
    chain: str | None
    children: tuple[str, ...] | None
    """Children of the chain, after a rebase if one was asked for; `None` if it does not exist."""

    inputs: tuple[str, ...]
    """The flattened inputs."""

    options: OutputOptions

    rebased: bool = False
    """Whether the children are other ones, or in another order, than in the repository."""

    @classmethod
    def for_new_graph(cls, butler: Butler, options: OutputOptions) -> OutputCollections:
        """Look at a repository and choose the output run of a graph that is to be built.

        Parameters
        ----------
        butler
            The repository; only read.
        options
            Options, which need not name the output run.

        Raises
        ------
        PipetaskError
            If they do not fit, or name no output, with what to do.
        """
        return cls.resolve(butler, replace(options, output_run=_new_run(butler, options)))

    @classmethod
    def resolve(cls, butler: Butler, options: OutputOptions) -> OutputCollections:
        """Look at a repository and check that the options fit.

        Parameters
        ----------
        butler
            The repository; only read.
        options
            Options with the output run filled in.

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
        result = cls(run, _run_exists(butler, run), options.output, children, inputs, options)
        if options.rebase:
            result = result._rebased()
        result._check()
        return result

    @property
    def search_path(self) -> tuple[str, ...]:
        """Collections for a butler that reads and writes here."""
        return (self.chain,) if self.chain else (self.run, *self.inputs)

    @property
    def input_search(self) -> tuple[str, ...]:
        """Collections in which a graph that is built finds its inputs."""
        if self.chain is None or self.children is None:
            found = self.inputs
        elif self.options.replace_run:
            found = self.children[1:]
        else:
            found = self.children if self.rebased else (self.chain,)
        return (self.run, *found) if self.options.extend_run else found

    def create(self, butler: Butler, undo: UndoLog) -> None:
        """Make the run and the chain.

        Parameters
        ----------
        butler
            The repository, writeable.
        undo
            Gets what takes each step back.
        """
        collections = butler.collections
        if self.chain is not None and self.children is None:
            collections.register(self.chain, CollectionType.CHAINED)
            undo.add(f"remove the chain {self.chain}", lambda: collections.x_remove(self.chain))
        if self.options.extend_run:
            return
        collections.register(self.run, CollectionType.RUN)
        undo.add(f"remove the run {self.run}", lambda: butler.removeRuns([self.run]))
        if self.chain is not None:
            before, members = list(collections.get_info(self.chain).children), self._members(butler)
            if self.options.replace_run:
                del members[0]
            undo.add(f"restore {self.chain}", lambda: collections.redefine_chain(self.chain, before))
            collections.redefine_chain(self.chain, [self.run, *members])

    def prune_replaced(self, butler: Butler, pipeline: PipelineGraph) -> None:
        """Remove what ``--prune-replaced`` says; this cannot be taken back.

        Parameters
        ----------
        butler
            The repository, writeable.
        pipeline
            Tells outputs of tasks from init-outputs, which ``unstore`` keeps.
        """
        if self.options.prune_replaced is None:
            return
        replaced = self._members(butler)[0]
        if glob.escape(replaced) != replaced:
            raise PipetaskError(
                f"--prune-replaced: the name of run {replaced!r} is a pattern to the butler, and may match others: "
                "leave the option out, and use pipetask purge."
            )
        match self.options.prune_replaced:
            case "unstore":
                found = butler.registry.queryDatasets(..., collections=replaced)
                butler.pruneDatasets(
                    [ref for ref in found if _is_task_output(ref, pipeline)], unstore=True, disassociate=False
                )
            case "purge":
                if others := butler.collections.get_info(replaced, include_parents=True).parents:
                    raise PipetaskError(
                        f"--prune-replaced purge: run {replaced!r} is also in {', '.join(sorted(others))}: take "
                        "it out of there first."
                    )
                butler.removeRuns([replaced])
            case other:
                raise AssertionError(f"--prune-replaced {other}?")

    def _members(self, butler: Butler) -> list[str]:
        """Return what the chain is made of, besides the run: its children before, or the inputs."""
        members = self.children if self.children is not None else self.inputs
        return (
            list(butler.collections.query(members, flatten_chains=True, include_chains=False))
            if members
            else []
        )

    def _rebased(self) -> OutputCollections:
        if self.chain is None or self._chain_has_inputs():
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
        if not self._chain_has_inputs():
            raise PipetaskError(
                f"Output collection {self.chain!r} does not have the inputs {list(self.inputs)} as one contiguous "
                "piece: give the inputs it was made with, or --rebase to reorder it."
            )
        if options.extend_run and self.chain is not None and not self.children:
            raise PipetaskError(_NOTHING_TO_EXTEND.format(self.chain))
        if options.extend_run and not self.run_exists:
            raise PipetaskError(
                f"Output run {self.run!r} does not exist: leave out --extend-run, or use --registry-pre-update now, to "
                "make it."
            )
        if self.run_exists and not options.extend_run:
            raise PipetaskError(
                f"Output run {self.run!r} exists: add --extend-run to go on with it, or build a graph with a new run."
            )
        if options.replace_run and not self.children:
            raise PipetaskError(
                "--replace-run: --output must name an existing CHAINED collection with a run in it."
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
    if not options.extend_run:
        return f"{options.output}/{Instrument.makeCollectionTimestamp()}"
    if not (children := _children(butler, options.output)):
        raise PipetaskError(_NOTHING_TO_EXTEND.format(options.output))
    return children[0]


def _flatten(butler: Butler, inputs: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(butler.collections.query(inputs, flatten_chains=True)) if inputs else ()
    except MissingCollectionError as error:
        missing = next(name for name in inputs if not collection_exists(butler, name))
        raise PipetaskError(
            f"--input: there is no collection {missing!r}{did_you_mean(missing, butler.collections.query('*'))}"
        ) from error


def collection_exists(butler: Butler, name: str) -> bool:
    """Return whether a repository has a collection; a pattern is taken to be all that it matches, if only nothing."""
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


def _is_task_output(ref: DatasetRef, pipeline: PipelineGraph) -> bool:
    try:
        producer = pipeline.producer_of(ref.datasetType.name)
    except KeyError:
        return False
    return producer is not None and producer.key.node_type is NodeType.TASK
