"""Put samples of code and tables into the pages, where people read them as files.

A page names what belongs between two comments::

    <!-- embed: examples/run_graph.py from "from pathlib" -->
    <!-- end -->

It is a path as seen from the folder ``doc``, and the part of the file: ``from`` or ``after`` a text, ``before`` a text,
or a ``class``; or ``table`` and the name of a table (see `peer_tables`).  After a change run::

    python doc/_extensions/embed.py

A test fails if a page is not current.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from peer_coverage import compare
from peer_tables import TABLES

__all__ = ["current", "pages"]

ROOT = Path(__file__).parent.parent.parent
LANGUAGES = {".py": "python", ".yaml": "yaml", ".txt": "text"}

_EMBEDDED = re.compile(r"(<!-- embed: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> Iterator[Path]:
    """Yield the pages that embed something."""
    for page in (ROOT / "README.md", *sorted((ROOT / "doc").rglob("*.md"))):
        if "<!-- embed: " in page.read_text():
            yield page


def current(page: Path) -> str:
    """Return a page as it should be.

    Parameters
    ----------
    page
        Its file.
    """
    return _EMBEDDED.sub(lambda found: f"{found[1]}\n{_content(found[2])}\n\n{found[3]}", page.read_text())


def _content(request: str) -> str:
    name, *words = shlex.split(request)
    if name == "table":
        return "\n".join(TABLES[words[0]](compare()))
    text = (ROOT / "doc" / name).read_text()
    for how, what in zip(words[::2], words[1::2], strict=True):
        text = _part(text, how, what)
    return f"```{LANGUAGES[Path(name).suffix]}\n{text.strip()}\n```"


def _part(text: str, how: str, what: str) -> str:
    match how:
        case "from":
            return text[text.index(what) :]
        case "after":
            return text[text.index(what) + len(what) :]
        case "before":
            return text[: text.index(what)]
        case "class":
            node = next(
                n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ClassDef) and n.name == what
            )
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            return "\n".join(text.splitlines()[first - 1 : node.end_lineno])
        case other:
            raise ValueError(f"{other!r} is no way to name a part")


def _main() -> None:
    for page in pages():
        if (text := current(page)) != page.read_text():
            page.write_text(text)
            print(page.relative_to(ROOT))


if __name__ == "__main__":
    _main()
