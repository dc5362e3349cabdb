"""Remove collections: find out which, let somebody look at the list, and remove these and no others.

For example::

    removal = Purge("u/me/out")
    plan = removal.plan(butler)        # nothing is changed; show it to somebody
    carry_out(removal, plan, butler)   # refuses if the plan no longer holds

Two things differ from what LSST's command does.  It deletes files while the transaction is still open, so that an error
after that leaves datasets without files; here files are deleted when the registry is done with them.  And names are
names, never patterns: a run called ``u/me/*`` is removed alone.
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
    """A collection that one might expect to be removed, and is not."""

    name: str
    reason: str


@dataclass(frozen=True)
class RemovalPlan:
    """What is to be removed; every tuple is sorted."""

    runs: tuple[str, ...] = ()
    """RUN collections, which go with their datasets and files."""

    chains: tuple[str, ...] = ()
    """CHAINED collections."""

    others: tuple[str, ...] = ()
    """TAGGED and CALIBRATION collections."""

    thinned: tuple[str, ...] = ()
    """TAGGED and CALIBRATION collections that stay, but lose datasets which are in one of the runs."""

    spared: tuple[Spared, ...] = field(default=(), compare=False)

    @property
    def collections(self) -> tuple[str, ...]:
        """All that is to be removed."""
        return (*self.chains, *self.others, *self.runs)


@dataclass(frozen=True)
class Removal(ABC):
    """A rule that says which collections are to go."""

    collection: str
    """A CHAINED collection."""

    @abstractmethod
    def plan(self, butler: Butler) -> RemovalPlan:
        """Find out what is to be removed.

        Parameters
        ----------
        butler
            The repository; only read.

        Raises
        ------
        PipetaskError
            If the collection is not there or is no chain, or if the rule forbids it.
        """


@dataclass(frozen=True)
class Purge(Removal):
    """Remove a chain, and what is in it and has a name that begins with the chain's name.

    The chain must be in no other chain, and what goes with it in no other chain but the one it is found in.
    """

    recursive: bool = False
    """Whether to look into chains inside the chain, too."""

    def plan(self, butler: Butler) -> RemovalPlan:
        """Find out what is to be removed; see `Removal.plan`."""
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
    """Remove collections with names below a chain's name, ``CHAIN/…``, that are not in the chain.

    What is in another chain stays, unless that chain goes too.  LSST's command takes the chain's name as the beginning
    of a pattern, so that to clean up ``u/me/out`` removes ``u/me/out2`` as well; this one does not.
    """

    def plan(self, butler: Butler) -> RemovalPlan:
        """Find out what is to be removed; see `Removal.plan`."""
        graph = collection_graph(butler)
        check_is_chain(graph, self.collection)
        below = {name for name in graph if name.startswith(f"{self.collection}/")}
        going = {name for name in below if nx.ancestors(graph, name) <= below}
        return _plan(butler, graph, going, self._spared(graph, going))

    def _spared(self, graph: nx.DiGraph, going: set[str]) -> Iterator[Spared]:
        """Explain what a pattern would have found besides."""
        for name in sorted(set(graph) - nx.descendants(graph, self.collection) - going - {self.collection}):
            if name.startswith(f"{self.collection}/"):
                yield Spared(name, f"it is in {_listed(sorted(graph.predecessors(name)))}")
            elif name.startswith(self.collection):
                yield Spared(name, f"its name does not begin with {self.collection}/")


def carry_out(removal: Removal, plan: RemovalPlan, butler: Butler) -> None:
    """Remove what a plan says, all of it or nothing.

    Parameters
    ----------
    removal
        What the plan was made by.
    plan
        What somebody has agreed to.
    butler
        The repository, writeable.

    Raises
    ------
    PipetaskError
        If the rule now yields another plan, because somebody has changed the repository, if one of the runs is being
        written to, or if something cannot be removed: nothing is.  Also if files could not be deleted of collections
        that are removed.
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
    """Return what stands for just these names where the butler takes patterns."""
    return [glob.escape(name) for name in names]


def _datasets(butler: Butler, runs: Collection[str]) -> list[DatasetRef]:
    try:
        return butler.query_all_datasets(_exact(runs), find_first=False, limit=None) if runs else []
    except MissingDatasetTypeError:
        return []  # the repository has no dataset type at all


def _remove_from_registry(butler: Butler, plan: RemovalPlan, refs: list[DatasetRef]) -> None:
    # What is in a chain cannot be removed, so chains let go of it first.
    for chain in plan.chains:
        butler.collections.redefine_chain(chain, [])
    # `Butler.removeRuns` would delete the files as well, before anybody knows that all the rest succeeds.
    butler._datastore.trash(refs)
    for name in plan.collections:
        butler.collections.x_remove(name)


def _delete_files(butler: Butler, refs: list[DatasetRef]) -> None:
    if not refs:
        return  # an empty list would stand for all that anybody has put into the trash
    try:
        butler._datastore.emptyTrash(ignore_errors=False, refs=refs)
    except (Exception, KeyboardInterrupt) as error:
        errors = error.exceptions if isinstance(error, ExceptionGroup) else [error]
        raise PipetaskError(
            f"The collections are removed, but not all of their files ({len(errors)} could not be, the first: "
            f"{reason_of(errors[0])}): delete these by hand."
        ) from error
