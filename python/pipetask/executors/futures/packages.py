"""What is installed of a package: its version, and what its source files contain."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import NamedTuple

from ..process_identity import boot_id

__all__ = ["BASE", "Package", "Place", "look_at", "package_of", "place_of", "words_for"]

BASE = ("pipetask", "lsst.pipe.base", "lsst.daf.butler")
"""Packages that send each other objects from side to side."""

_VERSION_FILES = ("version.py", "_version.py")
"""They differ between an installation and a checkout of the same sources."""

_STATED = re.compile(
    rb"""^__version__\s*(?::[^=\n]+)?=\s*(?:version\s*=\s*)?["']([^"'\n]+)["']""", re.MULTILINE
)
_MOST_NAMED = 2
"""Files that a message names."""


class Place(NamedTuple):
    """Where a folder or file is; two with different names may be the same."""

    boot: str
    """Identifies the machine since it was booted."""

    device: int
    """The file system."""

    number: int
    """The folder or file in it."""


@dataclass(frozen=True)
class Package:
    """What one side has of a package."""

    installed: str | None = None
    """The version in the metadata of an installation."""

    stated: str | None = None
    """The package's own ``__version__``."""

    files: Mapping[str, str] = field(default_factory=dict)
    """A hash of each of its Python files; empty if there are none to read, as in a zip file."""

    is_same: bool = False
    """Whether it is in the same folder of the same machine as on the side that asks; then the rest is left out."""

    @property
    def version(self) -> str | None:
        """The version, for messages."""
        return self.installed or self.stated


def package_of(name: str) -> str | None:
    """Return the package that a class is in: the outermost that is no namespace; `None` if there is none.

    Parameters
    ----------
    name
        The full name of the class.
    """
    parents = name.split(".")[:-1]
    for number in range(1, len(parents) + 1):
        module = ".".join(parents[:number])
        if (spec := _spec(module)) is None:
            return None
        if not _is_namespace(spec):
            return module
    return None


def place_of(module: str) -> Place | None:
    """Return where a package is; `None` if it is in no file or folder.

    Parameters
    ----------
    module
        Its name.
    """
    spec = _spec(module)
    location = None if spec is None else _location(spec)
    return None if location is None else _place(location)


def look_at(module: str, other: Place | None = None) -> Package | None:
    """Return what there is of a package, without importing it; `None` if there is no such package.

    Parameters
    ----------
    module
        Its name.
    other
        Where it is on the other side.
    """
    if (spec := _spec(module)) is None:
        return None
    if (location := _location(spec)) is None:
        return Package()
    if other is not None and _place(location) == other:
        return Package(is_same=True)
    return Package(
        _installed(module, location),
        _stated(location),
        {name: digest for name, path in _sources(location) if (digest := _digest(path)) is not None},
    )


def words_for(module: str, ours: Package | None, theirs: Package | None) -> str | None:
    """Return what the other side has instead of our package, to follow “have”; `None` if it is the same.

    Parameters
    ----------
    module
        The package.
    ours
        What is here.
    theirs
        What is there.
    """
    if ours is None:
        return None
    if theirs is None:
        return f"no {module}, and this is {module} {ours.version}" if ours.version else f"no {module}"
    # Metadata and __version__ may name the same sources in different ways.
    for one, other in ((ours.installed, theirs.installed), (ours.stated, theirs.stated)):
        if one and other:
            if one != other:
                return f"{module} {other}, and this is {module} {one}"
            break
    if not (ours.files and theirs.files) or ours.files == theirs.files:
        return None
    version = f" {ours.version}" if ours.version else ""
    return f"other files in {module}{version} than this command ({_differing(ours.files, theirs.files)})"


def _differing(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    names = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    where = {
        name: " only here" if name not in theirs else " only there" if name not in ours else ""
        for name in names
    }
    named = [f"{name}{where[name]}" for name in names[:_MOST_NAMED]]
    rest = len(names) - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")


def _spec(module: str) -> ModuleSpec | None:
    """Return where a module would be imported from; only the packages around it are imported."""
    importlib.invalidate_caches()
    try:
        return importlib.util.find_spec(module)
    except Exception:  # a package around it is missing or broken
        return None


def _is_namespace(spec: ModuleSpec) -> bool:
    """Return whether a package is a namespace, of which each distribution has a part."""
    if spec.submodule_search_locations is None:
        return False
    if not spec.has_location or spec.origin is None or len(spec.submodule_search_locations) > 1:
        return True
    with suppress(OSError):  # the older kind, which an LSST stack has
        return b"extend_path" in Path(spec.origin).read_bytes()
    return False


def _location(spec: ModuleSpec) -> Path | None:
    """Return the folder of a package, or the file of a module."""
    if spec.origin is None or not spec.has_location or not Path(spec.origin).exists():
        return None
    return Path(spec.origin).parent if spec.submodule_search_locations is not None else Path(spec.origin)


def _place(location: Path) -> Place | None:
    boot = boot_id()
    with suppress(OSError):
        found = location.stat()
        return None if boot is None else Place(boot, found.st_dev, found.st_ino)
    return None


def _sources(location: Path) -> Iterator[tuple[str, Path]]:
    """Yield the Python files of a package, with their names in it."""
    if location.is_file():
        if location.suffix == ".py":
            yield location.name, location
        return
    for folder, folders, files in os.walk(location):
        folders[:] = [each for each in folders if each != "__pycache__"]
        for name in files:
            if name.endswith(".py") and name not in _VERSION_FILES:
                path = Path(folder, name)
                yield path.relative_to(location).as_posix(), path


def _digest(path: Path) -> str | None:
    with suppress(OSError):
        return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
    return None


def _installed(module: str, location: Path) -> str | None:
    """Return the version of the distribution that has put a package where it is.

    `importlib.metadata` would read and take apart what all distributions say about all their files.
    """
    if len(location.parents) <= module.count("."):
        return None
    root = location.parents[module.count(".")]
    file = location.relative_to(root).as_posix() + ("/__init__.py" if location.is_dir() else "")
    likely = module.replace(".", "_").lower()
    folders = sorted(root.glob("*.dist-info"), key=lambda each: _project(each) != likely)
    found = next((folder for folder in folders if _has_put(folder, file, likely)), None)
    if found is None:
        return None
    try:
        return PathDistribution(found).version
    except Exception:  # there is no metadata, or it is damaged
        return None


def _has_put(folder: Path, file: str, likely: str) -> bool:
    """Return whether a distribution has installed a file; where it does not say, its name has to do."""
    try:
        record = (folder / "RECORD").read_bytes()
    except OSError:
        return _project(folder) == likely
    return b"\n%b," % file.encode() in b"\n" + record


def _project(folder: Path) -> str:
    """Return the name of a distribution, as names of packages are written."""
    return re.sub(r"[-_.]+", "_", folder.name.partition("-")[0]).lower()


def _stated(location: Path) -> str | None:
    files = (
        [location / name for name in (*_VERSION_FILES, "__init__.py")] if location.is_dir() else [location]
    )
    for path in files:
        with suppress(OSError):
            if found := _STATED.search(path.read_bytes()):
                return found[1].decode(errors="replace")
    return None
