"""Why a graph is empty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from lsst.daf.butler import Butler, ButlerUserError
from lsst.pipe.base import PipelineGraph

from ..errors import PipetaskError
from .missing_inputs import mock_advice, registered_names, unregistered

__all__ = ["EmptyGraphError", "Search"]

MOST_REASONS = 3
"""Maximum number of reasons in the message; the first is usually the cause of the others."""


class EmptyGraphError(PipetaskError):
    """Raised when a graph has no quanta."""


@dataclass(frozen=True)
class Search:
    """The collections and data query of a graph that has no quanta."""

    butler: Butler
    pipeline: PipelineGraph
    collections: Sequence[str]
    data_query: str

    def why_empty(self, dropped: Iterable[tuple[str, str]]) -> EmptyGraphError:
        """Return an error that says why there are no quanta.

        Parameters
        ----------
        dropped
            Labels of the tasks, each with the message of the builder about its quanta.
        """
        said = [f"{label}: {why}" for label, why in dropped if why]
        if said and all("no work" not in why for why in said):
            return EmptyGraphError(f"The quantum graph is empty, nothing is left to run: {'; '.join(said)}.")
        reasons = list(islice(self._reasons(), MOST_REASONS)) or said or [self._no_overlap()]
        return EmptyGraphError(f"The quantum graph is empty: {'; '.join(reasons)}.")

    def _reasons(self) -> Iterator[str]:
        where = " ".join(self.collections)
        for name, node in sorted(self.pipeline.iter_overall_inputs()):
            if name not in registered_names(self.butler):
                yield unregistered(self.butler, self.pipeline, name)
            elif node.is_prerequisite:
                continue
            elif not self._has(name, ""):
                yield f"there are no datasets of type {name!r} in {where}{mock_advice(name)}"
            elif self.data_query and not self._has(name, self.data_query):
                yield f"no dataset of type {name!r} in {where} satisfies the data query"

    def _has(self, dataset_type: str, data_query: str) -> bool:
        # The builder made a similar query with more dimensions successfully, so an error here is not the reason.
        with suppress(ButlerUserError), self.butler.query() as query:
            return bool(query.join_dataset_search(dataset_type, self.collections).where(data_query).any())
        return True

    def _no_overlap(self) -> str:
        dimensions = ", ".join(self.pipeline.get_all_dimensions().required)
        what = "that satisfies the data query " if self.data_query else ""
        return f"no data ID ({dimensions}) {what}is common to all of the pipeline's inputs"
