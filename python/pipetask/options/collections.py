"""The repository, and its collections that are read and written."""

from __future__ import annotations

from dataclasses import MISSING, dataclass

from ..errors import UsageError
from .declaration import option

__all__ = ["ConfigSearchOptions", "OutputOptions", "RepositoryOptions"]


@dataclass(frozen=True, kw_only=True)
class RepositoryOptions:
    """The butler repository."""

    butler_config: str = option(
        "-b",
        "--butler-config",
        metavar="REPO",
        default=MISSING,
        help="Butler repository: its root, configuration file or alias.",
        complete="files",
    )


@dataclass(frozen=True, kw_only=True)
class ConfigSearchOptions:
    """Where to search for configuration of the butler."""

    config_search_path: tuple[str, ...] = option(
        "--config-search-path",
        metavar="PATH",
        default=(),
        help="Additional folders to search for configuration of the butler.",
        complete="folders",
    )


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Input and output collections."""

    inputs: tuple[str, ...] = option(
        "-i",
        "--input",
        metavar="COLLECTION",
        default=(),
        help="Input collections, in search order.",
        complete="collections",
    )
    output: str | None = option(
        "-o",
        "--output",
        metavar="COLL",
        help="Output CHAINED collection; it is created from the inputs if it does not exist.",
        complete="collections",
    )
    output_run: str | None = option(
        "--output-run",
        metavar="COLL",
        help="Output RUN collection.",
        default_text="the graph's; when a graph is built, --output with a timestamp",
        complete="collections",
    )
    extend_run: bool = option(
        "--extend-run", default=False, help="Continue an existing run; finished quanta are skipped."
    )
    replace_run: bool = option(
        "--replace-run",
        default=False,
        help="Remove the first run from --output before adding the new one.",
    )
    prune_replaced: str | None = option(
        "--prune-replaced",
        choices=("unstore", "purge"),
        help="Delete the files of the replaced run (unstore), or the whole run (purge).",
    )
    rebase: bool = option("--rebase", default=False, help="Reorder --output if it does not fit the inputs.")
    clobber_outputs: bool = option(
        "--clobber-outputs",
        default=False,
        help="With --extend-run: replace outputs of unsuccessful attempts.",
    )

    def check(self) -> None:
        """Refuse combinations that make no sense.

        Raises
        ------
        UsageError
            With the combination.
        """
        if self.extend_run and self.replace_run:
            raise UsageError("--extend-run and --replace-run exclude each other.")
        if self.prune_replaced and not self.replace_run:
            raise UsageError("--prune-replaced requires --replace-run.")
        if self.prune_replaced not in (None, "unstore", "purge"):
            raise UsageError(f"--prune-replaced {self.prune_replaced}: choose 'unstore' or 'purge'.")
        if self.rebase and self.output and self.output_run and not self.output_run.startswith(self.output):
            raise UsageError(
                "--rebase requires that the output run's name starts with the output collection's."
            )
