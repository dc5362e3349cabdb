"""Read a report page as a program: its elements, its texts, and the data of its script."""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import numpy as np

VOID = {"meta", "input", "img", "br"}


@dataclass
class Page(HTMLParser):
    """What is in a page; it raises if elements are not closed in order."""

    text: str
    elements: Counter[str] = field(default_factory=Counter)
    words: list[str] = field(default_factory=list)
    """All texts except scripts and styles."""

    rows: dict[str, list[list[str]]] = field(default_factory=dict)
    """Cells of the tables by the section that they are in."""

    addresses: list[str] = field(default_factory=list)
    attributes: Counter[str] = field(default_factory=Counter)
    blob: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[str] = []
        self._section = ""
        self._is_data = False
        self.feed(self.text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        values = dict(attrs)
        self.attributes.update(values.keys())
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag == "section":
            self._section = values.get("id") or ""
        if tag == "tr":
            self.rows.setdefault(self._section, []).append([])
        if tag in ("td", "th"):
            self.rows[self._section][-1].append("")
        self._is_data = values.get("id") == "data"
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._is_data and self._open and self._open[-1] == "script":
            self.blob += data
        elif not self._open or self._open[-1] not in ("script", "style", "title"):
            self.words.append(data)
            if self._open and {"td", "th"} & set(self._open):
                self.rows[self._section][-1][-1] += data

    @property
    def shown(self) -> str:
        """All texts."""
        return " ".join(self.words)

    def data(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return what the script gets: facts and columns."""
        raw = gzip.decompress(base64.b64decode(self.blob))
        size = int.from_bytes(raw[:4], "little")
        facts, at, columns = json.loads(raw[4 : 4 + size]), 4 + size, {}
        for column in facts["columns"]:
            length = column["width"] * column["size"]
            planes = np.frombuffer(raw[at : at + length], np.uint8).reshape(column["width"], -1)
            values = sum(plane.astype(np.int64) << (8 * i) for i, plane in enumerate(planes))
            columns[column["name"]] = np.cumsum(values) % 2**32 if column["delta"] else values
            at += length
        assert at == len(raw)
        return facts, columns
