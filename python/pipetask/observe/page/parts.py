"""Pieces that several sections of a page have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote

from .colours import label_colour
from .markup import Markup, join, tag

__all__ = ["copyable", "file_link", "label_mark", "quantum_link", "section", "table"]


def section(id: str, title: str, *content: str | Iterable[str]) -> Markup:
    """Return a section with a heading."""
    return tag("section", tag("h2", title), *content, id=id)


def table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1, kind: str = ""
) -> Markup:
    """Return a table.

    Parameters
    ----------
    headings
        Texts of the first row.
    rows
        Cells of the others.
    words
        Number of columns, from the left, that have no numbers.
    kind
        Class of the element.
    """
    head = [tag("th", each, scope="col", class_=_column(i, words)) for i, each in enumerate(headings)]
    body = (
        tag("tr", [tag("td", each, class_=_column(i, words)) for i, each in enumerate(row)]) for row in rows
    )
    return tag(
        "div",
        tag("table", tag("thead", tag("tr", head)), tag("tbody", body), class_=kind or None),
        class_="wide",
        tabindex=0,
    )


def _column(index: int, words: int) -> str | None:
    return None if index < words else "n"


def label_mark(task: int, label: str) -> Markup:
    """Return a label with a spot of its colour."""
    spot = tag("i", "", class_="spot", style=f"background:{label_colour(task)}")
    return join(spot, label)


def quantum_link(position: int, name: str) -> Markup:
    """Return a link that shows a quantum in the timeline."""
    return tag("a", name, href=f"#q={position}")


def copyable(command: str) -> Markup:
    """Return a command with a button that copies it."""
    return tag(
        "div",
        tag("code", command),
        tag("button", "copy", type="button", class_="copy", hidden=True),
        class_="command",
    )


def file_link(path: str) -> Markup:
    """Return a link to a file, if the path is absolute."""
    if not path.startswith("/"):
        return tag("code", path)
    return tag("a", path, href="file://" + quote(path, errors="surrogateescape"))
