"""Names of the same files on two sides, which have mounted them in different folders."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

__all__ = ["PathMap"]

_LOCAL = ("file://", "sqlite:///")
"""What can stand before a path of this machine; all other URIs mean the same everywhere."""


@dataclass(frozen=True)
class PathMap:
    """Folders here, and what the other side calls them."""

    pairs: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, paths: Mapping[str, str]) -> PathMap:
        """Make one of a mapping from names here to names there.

        Raises
        ------
        ValueError
            With a sentence that says what is wrong with it.
        """
        pairs = tuple((_folder(here), _folder(there)) for here, there in paths.items())
        for side in zip(*pairs, strict=True):
            if twice := next((each for each in side if side.count(each) > 1), None):
                raise ValueError(f"{twice} is there twice, and only one folder can have that name")
        return cls(pairs)

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def there(self, name: str) -> str:
        """Return what the other side calls a file or folder of this side.

        Parameters
        ----------
        name
            A path, or a URI.  What is in none of the folders has the same name there.
        """
        return _in_uri(name, self._there)

    def back(self, name: str) -> str:
        """Return what this side calls a file or folder of the other side.

        Parameters
        ----------
        name
            A path, or a URI.  What has no other name here is returned as it is.
        """
        return _in_uri(name, self._back)

    def _there(self, path: str) -> str:
        return _moved(path, self.pairs)

    def _back(self, path: str) -> str:
        found = _moved(path, ((there, here) for here, there in self.pairs))
        # Another folder may be mounted over it on this side, and then that name would be of another file.
        return found if self._there(found) == _plain(path) else path


def _folder(name: str) -> str:
    if not name.startswith("/"):
        raise ValueError(f"{name!r} is not an absolute path of a folder")
    return posixpath.normpath(f"/{name.lstrip('/')}")


def _moved(path: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Replace the longest of some folders that a path is in."""
    plain = _plain(path)
    fitting = [pair for pair in pairs if f"{plain}/".startswith(f"{pair[0].rstrip('/')}/")]
    if not fitting:
        return path
    old, new = max(fitting, key=lambda pair: len(pair[0]))
    rest = "" if plain == old else plain[len(old.rstrip("/")) :]
    return f"{new.rstrip('/')}{rest}" or "/"


def _plain(path: str) -> str:
    """Return a path without what leads out of a folder again."""
    if "//" not in path and "/." not in path:
        return path
    plain = posixpath.normpath(f"/{path.lstrip('/')}")
    return f"{plain}/" if path.endswith("/") and plain != "/" else plain


def _in_uri(name: str, change: Callable[[str], str]) -> str:
    if name.startswith("/"):
        return change(name)
    for scheme in _LOCAL:
        if name.startswith(f"{scheme}/"):
            path, mark, fragment = name.removeprefix(scheme).partition("#")
            changed = change(unquote(path))
            return name if changed == unquote(path) else f"{scheme}{quote(changed)}{mark}{fragment}"
    return name
