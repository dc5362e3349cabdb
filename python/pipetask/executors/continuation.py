"""What a batch run continues, as data for other processes."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace

from ..options.development import CoverageOptions, ProfileOptions
from ..options.execution import PreUpdate, RunOptions
from ..options.records import RecordOptions
from ..options.resources import ResourceOptions
from ..options.retries import RetryOptions
from ..runner.spec import absolute_config

__all__ = ["Continuation"]


@dataclass(frozen=True)
class Continuation:
    """What other processes need to know to begin and to end a run; it can be pickled.

    A batch model writes it into its run directory.  `pipetask.execution.continuation` acts on it.
    """

    repository: str
    """The butler repository, as an absolute path, a URI or an alias."""

    output_run: str
    """The output RUN collection."""

    options: RunOptions
    """How the run was asked for."""

    records: RecordOptions = field(default_factory=RecordOptions)
    """What is to be done at the end of the run, such as the command to call."""

    command: tuple[str, ...] = ()
    """The command that has written the run."""

    @classmethod
    def of(
        cls,
        butler_config: str,
        output_run: str,
        options: RunOptions,
        records: RecordOptions = RecordOptions(),  # noqa: B008 - frozen
    ) -> Continuation:
        """Return what continues a run in another process, in any working directory.

        Parameters
        ----------
        butler_config
            Root, configuration file or alias of the repository.
        output_run
            The output RUN collection.
        options
            The options of the run.  Those that concern this process only (profile, coverage, an output run that is
            taken over) or the jobs only (resources, retries) are left out.
        records
            What is to be done at the end of the run.
        """
        execution = replace(
            options.execution,
            profile=ProfileOptions(),
            coverage=CoverageOptions(),
            resources=ResourceOptions(),
            retries=RetryOptions(),
        )
        update = replace(options.pre_update, take_over=False)
        options = replace(options, execution=execution, pre_update=update)
        return cls(absolute_config(butler_config), output_run, options, records.at_end(), tuple(sys.argv))

    @property
    def deferred(self) -> bool:
        """Whether the first job of the batch run makes the registry ready."""
        return self.options.pre_update.when is PreUpdate.DEFERRED
