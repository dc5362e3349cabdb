"""Draw pipelines."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from lsst.daf.butler import Butler
from lsst.pipe.base import PipelineGraph
from lsst.pipe.base.pipeline_graph import visualization

from ..errors import PipetaskError, reason_of
from ..options.pipeline import PipelineOptions
from .build import PipelineSource

__all__ = ["draw_pipeline"]

_WIDTH = 4500
"""Size of rendered pictures, in pixels."""


def draw_pipeline(options: PipelineOptions, source: PipelineSource, butler: Butler | None) -> None:
    """Draw a pipeline to the requested files; no file is written unless all can be drawn.

    Parameters
    ----------
    options
        Which files; a file for Mermaid is rendered if its name ends in ``.svg`` or ``.png``.
    source
        The pipeline.
    butler
        Repository whose dimensions and storage classes are used; `None`: those known without a repository.

    Raises
    ------
    PipetaskError
        If the pipeline cannot be made into a graph, or a picture cannot be rendered.
    """
    if options.drawn:
        graph = source.graph(butler, for_display=True)
        for path, content in list(_drawings(options, graph)):
            Path(path).write_bytes(content)


def _drawings(options: PipelineOptions, graph: PipelineGraph) -> Iterator[tuple[str, bytes]]:
    if options.pipeline_dot:
        text = io.StringIO()
        visualization.show_dot(graph, text, dataset_types=True, task_classes="full")
        yield options.pipeline_dot, text.getvalue().encode()
    if options.pipeline_mermaid:
        yield options.pipeline_mermaid, _mermaid(options.pipeline_mermaid, graph)


def _mermaid(path: str, graph: PipelineGraph) -> bytes:
    picture = Path(path).suffix[1:]
    if picture not in ("svg", "png"):
        text = io.StringIO()
        visualization.show_mermaid(graph, text, dataset_types=True, task_classes="full")
        return text.getvalue().encode()
    content = io.BytesIO()
    try:
        visualization.show_mermaid(
            graph, content, picture, width=_WIDTH, dataset_types=True, task_classes="full"
        )
    except ImportError as error:
        raise PipetaskError(
            f"--pipeline-mermaid {path}: to render pictures, the package mermaid-py must be installed, which uses a "
            "service on the network; any other name, such as pipeline.mmd, gets the text that such services take."
        ) from error
    except Exception as error:  # of the service or the network
        raise PipetaskError(
            f"--pipeline-mermaid {path}: it could not be rendered: {reason_of(error)}."
        ) from error
    return content.getvalue()
