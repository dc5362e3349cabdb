"""Files of a repository under other names than those that are written in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from lsst.daf.butler import ButlerConfig
from lsst.daf.butler.datastore.record_data import DatastoreRecordData
from lsst.daf.butler.repo_relocation import replaceRoot
from lsst.resources import ResourcePath

from ..settings.paths import PathMap

__all__ = ["datastore_roots", "relocate_config", "relocated_records"]


def datastore_roots(config: str, search_path: Sequence[str] = ()) -> list[str]:
    """Return the local folders in which a repository keeps files.

    Parameters
    ----------
    config
        The repository.
    search_path
        Additional folders to search for configuration.
    """
    found = ButlerConfig(config, searchPaths=list(search_path))
    roots = (ResourcePath(replaceRoot(found[key], found.configDir)) for key in _roots(found))
    return list(dict.fromkeys(root.ospath for root in roots if root.isLocal))


def relocate_config(config: ButlerConfig, paths: PathMap) -> None:
    """Change a repository's configuration for a process that sees files under other names.

    Parameters
    ----------
    config
        The configuration.
    paths
        The names there.
    """
    for key in _roots(config):
        # A datastore is called after its root unless it has a name, and records are found by its name.
        if (root := config[key]) != paths.there(root) and (named := (*key[:-1], "name")) not in config:
            kind = str(config[(*key[:-1], "cls")]).rpartition(".")[-1]
            config[named] = f"{kind}@{root}"
    for key in config.nameTuples():
        value = config[key]
        if isinstance(value, str) and (there := paths.there(value)) != value:
            config[key] = there


def _roots(config: ButlerConfig) -> Iterator[tuple[str, ...]]:
    """Yield the keys of the roots of datastores, which may be in a chain."""
    for key in config.nameTuples():
        if key[0] == "datastore" and key[-1] == "root" and "cached" not in key:
            yield key


def relocated_records(
    records: Mapping[str, DatastoreRecordData], move: Callable[[str], str]
) -> dict[str, DatastoreRecordData]:
    """Return datastore records with other paths; those relative to a datastore's root stay.

    Parameters
    ----------
    records
        The records by datastore name.
    move
        Returns the other name of a path or URI.
    """
    return {
        name: DatastoreRecordData(
            records={
                id: {table: list(_moved(infos, move)) for table, infos in tables.items()}
                for id, tables in data.records.items()
            }
        )
        for name, data in records.items()
    }


def _moved(infos: Iterable[Any], move: Callable[[str], str]) -> Iterator[Any]:
    for info in infos:
        path = getattr(info, "path", None)
        yield info if path is None or move(path) == path else info.update(path=move(path))
