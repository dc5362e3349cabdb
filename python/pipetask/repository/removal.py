"""Remove collections: make a list, have it confirmed, and remove exactly what is listed.

For example::

    removal = Purge("u/me/out")
    plan = removal.plan(butler)        # changes nothing; show it to the user
    carry_out(removal, plan, butler)   # refuses if the plan no longer holds

There are two differences from LSST's command.  That deletes files while the transaction is still open, so that a later
error leaves datasets without files; here, files are deleted after the transaction.  And names are never patterns: of
``u/me/*``, only a run with exactly this name is removed.
"""

from __future__ import annotations

import glob
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

import networkx as nx
from lsst.daf.butler import Butler, CollectionType, DatasetRef, MissingDatasetTypeError

from ..errors import PipetaskError, reason_of
from .batch_lease import check_batch_over
from .collection_graph import check_is_chain, collection_graph, type_of
from .lease import check_not_leased

__all__ = ["Cleanup", "Purge", "Removal", "RemovalPlan", "Spared", "carry_out"]


@dataclass(frozen=True)
class Spared:
    """A collection that is kept, although a user might expect it to be removed."""

    name: str
    reason: str


@dataclass(frozen=True)
class RemovalPlan:
    """The collections to remove; every tuple is sorted."""

    runs: tuple[str, ...] = ()
    """RUN collections, which are removed with their datasets and files."""

    chains: tuple[str, ...] = ()
    """CHAINED collections."""

    others: tuple[str, ...] = ()
    """TAGGED and CALIBRATION collections."""

    thinned: tuple[str, ...] = ()
    """TAGGED and CALIBRATION collections that are kept, but lose datasets which are in one of the runs."""

    spared: tuple[Spared, ...] = field(default=(), compare=False)

    @property
    def collections(self) -> tuple[str, ...]:
        """All collections to remove."""
        return (*self.chains, *self.others, *self.runs)


@dataclass(frozen=True)
class Removal(ABC):
    """A rule for which collections to remove."""

    collection: str
    """A CHAINED collection."""

    @abstractmethod
    def plan(self, butler: Butler) -> RemovalPlan:
        """Make the list of collections to remove.

        Parameters
        ----------
        butler
            The repository; only read.

        Raises
        ------
        PipetaskError
            If the collection does not exist or is not a chain, or if the rule forbids it.
        """


@dataclass(frozen=True)
class Purge(Removal):
    """Remove a chain, and the collections in it whose names begin with the name of the chain.

    The chain must not be in another chain; the collections removed with it must not be in a second chain.
    """

    recursive: bool = False
    """Whether to include chains inside the chain."""

    def plan(self, butler: Butler) -> RemovalPlan:
        """Make the list of collections to remove; see `Removal.plan`."""
        graph = collection_graph(butler)
        check_is_chain(graph, self.collection)
        own = nx.subgraph_view(graph, filter_node=lambda name: name.startswith(self.collection))
        below = nx.descendants(own, self.collection) if self.recursive else set(own[self.collection])
        problems = [*self._parents_of_chain(graph), *_shared(graph, below)]
        if problems:
            raise PipetaskError(
                f"{'; '.join(problems)}: take it out of there first (butler collection-chain --mode remove), or remove "
                "that chain (butler remove-collections)."
            )
        return _plan(butler, graph, {self.collection, *below})

    def _parents_of_chain(self, graph: nx.DiGraph) -> Iterator[str]:
        if parents := sorted(graph.predecessors(self.collection)):
            yield f"Collection {self.collection!r} is in {_listed(parents)}"


@dataclass(frozen=True)
class Cleanup(Removal):
    """Remove collections named ``CHAIN/…`` that are not in the chain.

    Collections in another chain are kept, unless that chain is removed, too.  LSST's command uses the name of the chain
    as a prefix, so that cleaning up ``u/me/out`` removes ``u/me/out2`` as well; this one does not.
    """

    def plan(self, butler: Butler) -> RemovalPlan:
        """Make the list of collections to remove; see `Removal.plan`."""
        graph = collection_graph(butler)
        check_is_chain(graph, self.collection)
        below = {name for name in graph if name.startswith(f"{self.collection}/")}
        going = {name for name in below if nx.ancestors(graph, name) <= below}
        return _plan(butler, graph, going, self._spared(graph, going))

    def _spared(self, graph: nx.DiGraph, going: set[str]) -> Iterator[Spared]:
        """Return the collections that a prefix would also have matched."""
        for name in sorted(set(graph) - nx.descendants(graph, self.collection) - going - {self.collection}):
            if name.startswith(f"{self.collection}/"):
                yield Spared(name, f"it is in {_listed(sorted(graph.predecessors(name)))}")
            elif name.startswith(self.collection):
                yield Spared(name, f"its name does not begin with {self.collection}/")


def carry_out(removal: Removal, plan: RemovalPlan, butler: Butler) -> None:
    """Remove everything in a plan, or nothing.

    Parameters
    ----------
    removal
        The rule that the plan was made by.
    plan
        The plan that the user has confirmed.
    butler
        The repository, writeable.

    Raises
    ------
    PipetaskError
        If nothing is removed, because the repository has changed so that the rule yields another plan, because one of
        the runs is being written to, or because something cannot be removed.  Also if collections are removed, but not
        all of their files can be deleted.
    """
    try:
        with butler.transaction():
            if removal.plan(butler) != plan:
                raise PipetaskError(
                    "Nothing is removed: the repository has changed since the list was made; run the command again."
                )
            _check_not_in_use(butler, plan.runs)
            refs = _datasets(butler, plan.runs)
            _remove_from_registry(butler, plan, refs)
    except PipetaskError:
        raise
    except Exception as error:
        raise PipetaskError(f"Nothing is removed: {reason_of(error)}.") from error
    _delete_files(butler, refs)


def _check_not_in_use(butler: Butler, runs: Collection[str]) -> None:
    check_not_leased(butler, runs)
    for run in runs:
        check_batch_over(butler, run)


def _shared(graph: nx.DiGraph, names: Iterable[str]) -> Iterator[str]:
    for name in sorted(names):
        if len(parents := sorted(graph.predecessors(name))) > 1:
            yield f"Collection {name!r} is in several chains, {_listed(parents)}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _plan(
    butler: Butler, graph: nx.DiGraph, names: Collection[str], spared: Iterable[Spared] = ()
) -> RemovalPlan:
    def of_type(*types: CollectionType) -> tuple[str, ...]:
        return tuple(sorted(name for name in names if type_of(graph, name) in types))

    runs = of_type(CollectionType.RUN)
    return RemovalPlan(
        runs=runs,
        chains=of_type(CollectionType.CHAINED),
        others=of_type(CollectionType.TAGGED, CollectionType.CALIBRATION),
        thinned=tuple(sorted(set(_holders(butler, runs)) - set(names))),
        spared=tuple(spared),
    )


def _holders(butler: Butler, runs: Collection[str]) -> Iterator[str]:
    """Yield TAGGED and CALIBRATION collections with datasets that are in one of the runs."""
    collections = butler.collections
    contents = collections.query_info(_exact(runs), include_summary=True) if runs else ()
    types = {name for info in contents for name in info.dataset_types or ()}
    if not types:
        return
    kinds = {CollectionType.TAGGED, CollectionType.CALIBRATION}
    for info in collections.query_info("*", kinds, include_summary=True):
        if any(
            _holds(butler, info.name, name, runs) for name in types.intersection(info.dataset_types or ())
        ):
            yield info.name


def _holds(butler: Butler, collection: str, dataset_type: str, runs: Iterable[str]) -> bool:
    with butler.query() as query:
        run = query.expression_factory[dataset_type].run
        datasets = query.datasets(dataset_type, _exact([collection]), find_first=False)
        return bool(datasets.where(run.in_iterable(runs)).any())


def _exact(names: Iterable[str]) -> list[str]:
    """Return patterns that match exactly these names."""
    return [glob.escape(name) for name in names]


def _datasets(butler: Butler, runs: Collection[str]) -> list[DatasetRef]:
    try:
        return butler.query_all_datasets(_exact(runs), find_first=False, limit=None) if runs else []
    except MissingDatasetTypeError:
        return []  # the repository has no dataset type at all


def _remove_from_registry(butler: Butler, plan: RemovalPlan, refs: list[DatasetRef]) -> None:
    # Collections in a chain cannot be removed, so they are taken out of chains first.
    for chain in plan.chains:
        butler.collections.redefine_chain(chain, [])
    # `Butler.removeRuns` would also delete the files, before it is known that the rest succeeds.
    butler._datastore.trash(refs)
    for name in plan.collections:
        butler.collections.x_remove(name)


def _delete_files(butler: Butler, refs: list[DatasetRef]) -> None:
    if not refs:
        return  # an empty list would mean everything in the trash
    try:
        butler._datastore.emptyTrash(ignore_errors=False, refs=refs)
    except (Exception, KeyboardInterrupt) as error:
        errors = error.exceptions if isinstance(error, ExceptionGroup) else [error]
        raise PipetaskError(
            f"The collections are removed, but not all of their files ({len(errors)} could not be, the first: "
            f"{reason_of(errors[0])}): delete these by hand."
        ) from error
