"""The page as a whole."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

from ..verdict import verdict
from .data import page_data
from .efficiency import efficiency_section
from .failures import failures_section
from .labels import labels_section, verdict_section
from .markup import Markup, join, tag
from .origin import origin_section
from .paths import paths_section
from .subject import Subject
from .task_graph import task_graph_section
from .timeline import quanta_section, timeline_section

__all__ = ["page_text"]

_SECTIONS = (
    verdict_section,
    labels_section,
    timeline_section,
    efficiency_section,
    paths_section,
    failures_section,
    task_graph_section,
    quanta_section,
    origin_section,
)

_TITLES = {
    "tasks": "Tasks",
    "timeline": "Timeline",
    "efficiency": "Efficiency",
    "paths": "Critical path",
    "failures": "Failures",
    "graph": "Graph of tasks",
    "quanta": "Quanta",
    "run": "Command",
}


def page_text(subject: Subject) -> str:
    """Return the page: one HTML text that needs nothing else."""
    sections = [make(subject) for make in _SECTIONS]
    links = [tag("a", title, href=f"#{id}") for id, title in _TITLES.items() if _has(sections, id)]
    word, _ = verdict(subject.summary)
    name = str(getattr(subject.summary.header, "output_run", None) or "run")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_policy()}"/>'),
        tag("meta", name="viewport", content="width=device-width"),
        Markup(f'<meta http-equiv="refresh" content="{subject.refresh:g}"/>') if subject.refresh else "",
        tag("title", f"{name}: {word}"),
        tag("style", Markup(_asset("page.css"))),
    )
    body = tag(
        "body",
        tag("nav", links, aria_label="Sections"),
        tag("main", sections),
        Markup(f'<script type="application/octet-stream;base64" id="data">{page_data(subject)}</script>'),
        tag("script", Markup(_asset("page.js"))),
    )
    return join(Markup("<!DOCTYPE html>\n"), tag("html", head, body, lang="en"), Markup("\n"))


def _has(sections: list[Markup], id: str) -> bool:
    return any(section.startswith(f'<section id="{id}">') for section in sections)


@cache
def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _policy() -> str:
    """Return a content security policy: no network, and no script but ours."""
    digest = base64.b64encode(hashlib.sha256(_asset("page.js").encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
