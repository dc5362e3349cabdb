"""Fetch LSST's tests from the source distributions of the installed version, and run them against our executors.

``python -m peer_suites [PYTEST OPTIONS]``, with ``tests`` as the working directory or on ``PYTHONPATH``.  It ends with
0 if exactly those tests fail that `peer_suites.known` lists.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

from peer_suites.left_out_files import complete

PLACE = Path(__file__).parent.parent.parent / "build" / "peer_suites"
SUITES = {
    "lsst-pipe-base": (
        "test_mp_graph_executor.py",
        "test_separable_pipeline_executor.py",
        "test_simple_pipeline_executor.py",
    ),
    "lsst-ctrl-mpexec": (
        "test_build.py",
        "test_cliCmdCleanup.py",
        "test_cliCmdPurge.py",
        "test_cliCmdReport.py",
        "test_cliCmdUpdateGraphRun.py",
        "test_qgraph.py",
        "test_run.py",
    ),
}
"""Distributions, with those of their tests that concern executors and the command."""

PLUGINS = ("known", "graph_executors", "command")


def fetch(package: str) -> Path:
    """Return the unpacked source distribution; download it once."""
    wanted = version("lsst-pipe-base")  # both are released together
    unpacked = PLACE / f"{package.replace('-', '_')}-{wanted}"
    if not unpacked.exists():
        PLACE.mkdir(parents=True, exist_ok=True)
        words = ["download", "--quiet", "--no-deps", "--no-binary", package, f"{package}=={wanted}"]
        subprocess.run([sys.executable, "-m", "pip", *words], cwd=PLACE, check=True)
        with tarfile.open(unpacked.with_name(f"{unpacked.name}.tar.gz")) as archive:
            archive.extractall(PLACE, filter="data")
    complete(unpacked / "tests")
    return unpacked


def main() -> int:
    """Run them; return the exit code of pytest."""
    folders = {package: fetch(package) for package in SUITES}
    files = [
        str(folders[package] / "tests" / suite) for package, suites in SUITES.items() for suite in suites
    ]
    options = ["-c", "/dev/null", "--rootdir", str(PLACE), "-p", "no:cacheprovider"]
    for plugin in PLUGINS:
        options += ["-p", f"peer_suites.{plugin}"]
    # The suites of ctrl_mpexec need its own declarations of options.
    path = [str(folders["lsst-ctrl-mpexec"] / "python"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rfX", *options, *sys.argv[1:], *files],
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
    ).returncode


if __name__ == "__main__":
    raise SystemExit(main())
