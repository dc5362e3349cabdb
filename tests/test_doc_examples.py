"""The code that the user guide shows is run as it stands there; what it names is there, options of commands too."""

from __future__ import annotations

import ast
import pkgutil
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import click
import pytest

from conftest import environment, inner_pytest, run_pipetask  # isort: skip
import embed
from pipetask.cli import cli
from pipetask.testing import MockPipeline
from toy_pipelines import SHAPES

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "doc/examples"


def run_example(name: str, folder: Path, *arguments: str) -> str:
    words = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_running_and_looking_at_a_graph(tmp_path: Path) -> None:
    out = run_example("run_graph.py", tmp_path)
    assert out.splitlines()[-2:] == (EXAMPLES / "run_graph.txt").read_text().splitlines()[-2:]
    lines = run_example("look_at_graph.py", tmp_path).splitlines()
    assert len(lines) == 28
    assert lines[0].startswith("0 isr")


@pytest.mark.slow
def test_building_a_graph(tmp_path: Path) -> None:
    SHAPES["exposures"].make(tmp_path)
    counts, status = run_example("build_graph.py", tmp_path).splitlines()
    assert counts == "{'isr': 2, 'characterize': 2, 'gather': 1}"
    assert status == "succeeded {'succeeded': 5}"


@pytest.mark.slow
def test_listing_failures(tmp_path: Path) -> None:
    pipeline = MockPipeline(configs={"isr": {"fail_condition": "exposure=0 AND detector=1"}})
    graph = pipeline.make(tmp_path / "repo")
    words = ["run", "-b", str(tmp_path / "repo"), "-g", str(graph), "-o", "u/out", "--register-dataset-types"]
    assert run_pipetask(*words, "--summary", str(tmp_path / "summary.json")).code == 1
    (line,) = run_example("list_failures.py", tmp_path, str(tmp_path / "summary.json")).splitlines()
    assert line.startswith("isr")
    assert "failed: Simulated failure" in line


@pytest.mark.slow
def test_the_test_of_an_execution_model(tmp_path: Path) -> None:
    words = inner_pytest(tmp_path, "-q", str(EXAMPLES / "test_my_model.py"))
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    assert re.search(r"\b\d+ passed in", done.stdout), done.stdout  # framed if PYTEST_ADDOPTS has -v


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_every_example_is_shown(path: Path) -> None:
    pages = "".join(page.read_text() for page in (EXAMPLES.parent / "guide").glob("*.md"))
    assert path.name in pages


def test_imports_shown_on_pages_work() -> None:
    pages = "".join(path.read_text() for path in (ROOT / "README.md", *(ROOT / "doc").rglob("*.md")))
    shown = [ast.parse(block) for block in re.findall(r"```python\n(.*?)```", pages, re.DOTALL)]
    imports = [node for tree in shown for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert len(imports) >= 2
    for node in imports:
        exec(ast.unparse(node), {})


COMMAND = re.compile(r"^(?:\$ )?(pipetask (?![\w-]+: ).*)$(?!\npipetask)", re.MULTILINE)
"""A command line, unless it is shown to be refused: then the command's own name follows."""


def commands_shown() -> Iterator[tuple[str, str]]:
    """Iterate over pages and the command lines in their code blocks."""
    by_hand = [page for page in (ROOT / "doc").rglob("*.md") if page.parent.name != "commands"]
    for page in (ROOT / "README.md", *by_hand):
        for block in re.findall(r"```(?:sh|console|text)\n(.*?)```", page.read_text(), re.DOTALL):
            for line in COMMAND.findall(block.replace("\\\n", " ")):
                yield str(page.relative_to(ROOT)), line


def test_commands_are_found_in_the_guide() -> None:
    found = set(commands_shown())
    assert len(found) >= 25
    assert ("doc/guide/running.md", "pipetask run -b REPO -g graph.qg -o u/me/out -j 8 --extend-run") in found


@pytest.mark.parametrize(("page", "line"), sorted(set(commands_shown())))
def test_commands_in_the_guide_have_their_options(page: str, line: str) -> None:
    whole = shlex.split(line, comments=True)
    words = [word for word in takewhile(lambda word: word != "|", whole[1:]) if word != "…"]
    context = click.Context(cli)
    while isinstance(context.command, click.Group):
        _, rest, _ = context.command.make_parser(context).parse_args(words)
        name, command, words = context.command.resolve_command(context, rest)
        assert command is not None
        context = click.Context(command, parent=context, info_name=name)
    context.command.make_parser(context).parse_args(words)


NAME = re.compile(r"`~?((?:pipetask|lsst)(?:\.\w+)+)`")
NOT_INSTALLED = {"lsst.ctrl.mpexec", "lsst.pipe.tasks", "lsst.pipe.tasks.isrTask.IsrTask"}
ELSEWHERE = {"pipetask.yaml", "pipetask.batch_systems", "pipetask.engines", *NOT_INSTALLED}
"""A file, groups of entry points, and packages that are not installed."""


def names_in_texts() -> set[str]:
    """Return the full names that docstrings and pages mention."""
    texts = [*(ROOT / "python").rglob("*.py"), *(ROOT / "doc").rglob("*.md"), *ROOT.glob("*.md")]
    return {name for path in texts for name in NAME.findall(path.read_text())} - ELSEWHERE


def test_names_in_docstrings_and_pages_exist() -> None:
    names = names_in_texts()
    assert "pipetask.write_graph" in names
    missing = {}
    for name in names:
        try:
            pkgutil.resolve_name(name)
        except (AttributeError, ImportError) as error:
            missing[name] = error
    assert not missing


def test_decisions_are_numbered_dated_and_found() -> None:
    text = (ROOT / "doc/architecture/decisions.md").read_text()
    headings = re.findall(r"^## D(\d+): .+ \((\d{4}-\d\d-\d\d)\)$", text, re.MULTILINE)
    assert [int(number) for number, _ in headings] == list(range(1, len(headings) + 1))
    assert sorted(date for _, date in headings) == [date for _, date in headings]
    texts = [*(ROOT / "python").rglob("*.py"), *(ROOT / "doc").rglob("*.md"), *ROOT.glob("*.md")]
    named = {n for path in texts for n in re.findall(r"(?<=[(, ])D(\d+)(?=[,)])", path.read_text())}
    assert named
    assert named <= {number for number, _ in headings}


# The pages as files, as a forge shows them.

FORGE = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(page for page in (ROOT / "doc").rglob("*.md") if page.parent.name not in ("commands", "reference")),
]


@pytest.mark.parametrize("page", list(embed.pages()), ids=lambda page: page.name)
def test_what_pages_embed_is_current(page: Path) -> None:
    assert page.read_text() == embed.current(page), "run: python doc/_extensions/embed.py"


@pytest.mark.parametrize("page", FORGE, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_has_nothing_that_only_sphinx_understands(page: Path) -> None:
    noise = re.findall(
        r"^(?:\(.+\)=$|```\{.*|:::.*|: .*|\.\. \w+::.*)|\{[a-z:]+\}`.*", page.read_text(), re.MULTILINE
    )
    assert noise == []


def anchors(page: Path) -> set[str]:
    """Return the names by which the headings of a page can be linked to."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", FORGE, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere_on_a_forge(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        if ":" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        tracked = target.exists() and target.parent.name != "commands"
        assert tracked, f"{link}: there is no such file before the documentation is built"
        assert not anchor or anchor in anchors(target), f"{link}: there is no such heading"
