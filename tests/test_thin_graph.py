"""Structure is read from a graph file as pipe_base reads it, and in a small part of the memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from conftest import Repository
from pipetask.errors import PipetaskError
from pipetask.graph.file import GraphFile
from pipetask.graph.thin import ThinGraph

MakeRepository = Callable[..., Repository]


class Text:
    """Stands for a file's zip archive and for what decompresses its members."""

    def __init__(self, text: str):
        self.text = text

    def read(self, name: str) -> bytes:
        return self.text.encode()

    def decompress(self, content: bytes) -> bytes:
        return content


def read_text(graph: Path, text: str | Callable[[Any], str]) -> ThinGraph:
    """Read a thin graph from another text than that in the file."""
    with PredictedQuantumGraph.open(str(graph)) as reader:
        if not isinstance(text, str):
            reader.read_thin_graph()
            text = text(json.loads(reader.components.thin_graph.model_dump_json()))
        reader.zf = reader.decompressor = Text(text)
        return ThinGraph.read(reader)


def test_it_is_what_pipe_base_reads(repository: Repository) -> None:
    with PredictedQuantumGraph.open(str(repository.graph)) as reader:
        ours = ThinGraph.read(reader)
        reader.read_thin_graph()
        theirs = ThinGraph.of(reader)
    assert ours == theirs
    assert {label: len(quanta) for label, quanta in ours.quanta.items()} == {
        "isr": 4,
        "characterize": 4,
        "gather": 2,
    }
    assert len(ours.edges) == 8 * 32


def test_however_the_text_is_laid_out(repository: Repository) -> None:
    def layout(content: Any) -> str:
        return json.dumps({"later": [1, {}], "edges": content["edges"], **content}, indent=3)

    assert read_text(repository.graph, layout) == read_text(repository.graph, json.dumps)


@pytest.mark.parametrize("text", ["", "{", '{"quanta"}', '{"quanta": {"isr": [{]}}'])
def test_a_damaged_text_is_an_error(repository: Repository, text: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        read_text(repository.graph, text)


def test_an_edge_to_nowhere_is_told_in_a_line(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = ThinGraph.read

    def cut(reader: Any) -> ThinGraph:
        graph = read(reader)
        graph.quanta["isr"].pop()
        return graph

    monkeypatch.setattr(ThinGraph, "read", cut)
    with (
        pytest.raises(PipetaskError, match=r"cannot be read as a quantum graph \(KeyError"),
        GraphFile.of(repository.graph),
    ):
        pass
