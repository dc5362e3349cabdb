"""Make HTML and SVG: what is not made here is text, and shown as text."""

from __future__ import annotations

import html
from collections.abc import Iterable

__all__ = ["Markup", "join", "shown", "tag"]

_VOID = {"meta", "input", "img", "br", "rect", "circle", "line", "path"}


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(element: str, *content: str | Iterable[str], **attributes: object) -> Markup:
    """Return an element.

    Parameters
    ----------
    element
        Name of the element.
    *content
        What is in it; strings that are no `Markup` are text.
    **attributes
        Attributes; underscores stand for hyphens, those in front and behind are left out.  `None` and `False` leave
        an attribute out, and `True` gives it no value.
    """
    opened = "".join(_attribute(key, value) for key, value in attributes.items())
    if element in _VOID and not content:
        return Markup(f"<{element}{opened}/>")
    return Markup(f"<{element}{opened}>{join(*content)}</{element}>")


def join(*content: str | Iterable[str]) -> Markup:
    """Return several pieces as one."""
    pieces = []
    for each in content:
        if isinstance(each, Markup):
            pieces.append(str(each))
        elif isinstance(each, str):
            pieces.append(html.escape(shown(each)))
        else:
            pieces.append(str(join(*each)))
    return Markup("".join(pieces))


def shown(value: str) -> str:
    r"""Return a text with its control characters as escapes, such as ``\x1b``, except line breaks and tabs."""
    if value.isprintable():
        return value
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in value)


def _attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = key.strip("_").replace("_", "-")
    if name == "viewbox":
        name = "viewBox"
    return f" {name}" if value is True else f' {name}="{html.escape(shown(_plain(value)))}"'


def _plain(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
