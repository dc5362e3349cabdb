"""`pipetask demo`, which is what `make demo` runs."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pipetask
import pipetask_demo

from conftest import environment, run_pipetask  # isort: skip

import pytest

pytestmark = pytest.mark.slow

QUICK_START = Path(__file__).parent.parent / "doc/guide/quick_start.md"


def masked(line: str) -> str:
    """Return a line of output without its numbers, and with the usual name of the environment."""
    return re.sub(r"[\d.]+", "#", re.sub(r"\S*/bin/activate", ".venv/bin/activate", line))


def test_the_demo_finds_the_variable_star(tmp_path: Path) -> None:
    folder = tmp_path / "my demo"
    done = run_pipetask("demo", str(folder))
    assert done.code == 0, done.err
    assert "It is the simulated one." in done.out
    assert "175 succeeded, 2 no-work" in done.err
    assert (folder / "coadd.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "light_curve.svg").read_text().startswith("<svg ")
    sample = {masked(line) for line in QUICK_START.read_text().splitlines()}
    said = [masked(line) for line in done.out.splitlines() if str(folder) not in line]
    assert len(said) > 10
    assert not [line for line in said if line not in sample], "the sample in the quick start is not current"
    suggestions = [line.strip() for line in done.out.splitlines() if line.strip().startswith("pipetask run")]
    assert len(suggestions) == 2
    for suggestion in suggestions:
        words = (
            suggestion.replace(f"'{folder}/repo'", "REPO").replace(f"'{folder}/demo.qg'", "GRAPH").split()[1:]
        )
        words = [{"REPO": f"{folder}/repo", "GRAPH": f"{folder}/demo.qg"}.get(word, word) for word in words]
        again = run_pipetask(*words)
        assert again.code == 0, again.err
        assert "177 skipped" in again.err


def test_the_demo_does_not_touch_a_folder_in_use(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    done = run_pipetask("demo", str(tmp_path))
    assert done.code == 2
    assert str(tmp_path) in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


def test_without_its_requirements_the_demo_says_what_to_install(tmp_path: Path) -> None:
    code = "import sys; sys.modules['pyarrow'] = None; from pipetask.cli import main; sys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", code, "demo", str(tmp_path / "demo")]
    done = subprocess.run(words, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "The demo needs pyarrow, not installed here: pip install 'pipetask[demo]'." in line
    assert not (tmp_path / "demo").exists()


def imported_by(package: Path) -> set[str]:
    """Return the distributions that the modules of a package import, the standard library and LSST's apart."""
    names = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add((node.module or "").partition(".")[0])
    names -= {*sys.stdlib_module_names, "lsst", "pipetask", "pipetask_demo"}
    by_name = packages_distributions()
    return {by_name[name][0].lower() for name in names if name in by_name}


def test_requirements_are_those_of_the_package_that_imports_them() -> None:
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parent.parent / "setup.cfg")

    def required(section: str, key: str) -> set[str]:
        return {re.split(r"[>\[]", line)[0].lower() for line in setup[section][key].split()}

    ours, demo = required("options", "install_requires"), required("options.extras_require", "demo")
    by_us, by_demo = (imported_by(Path(each.__file__).parent) for each in (pipetask, pipetask_demo))
    others = {
        "coverage": "an extra",
        "sqlalchemy": "the butler's",
        "pytest": "what authors of plug-ins test with",
        "dask": "comes with distributed",
        "kombu": "comes with celery",
        "traitlets": "comes with ipyparallel",
    }
    extras = ("celery", "dask", "executorlib", "globus-compute", "ipyparallel", "loky", "mpi", "parsl", "ray")
    engines = set().union(*(required("options.extras_require", name) for name in extras))
    assert by_us - ours - engines <= others.keys()
    assert by_demo - ours <= demo
    assert not ours & demo
