"""Fetch LSST's tests from the source distribution of the installed version, and run them against our executor.

``python -m peer_suites [PYTEST OPTIONS]``, with ``tests`` as the working directory or on ``PYTHONPATH``.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

PLACE = Path(__file__).parent.parent.parent / "build" / "peer_suites"
PACKAGE = "lsst-pipe-base"
SUITES = ("test_separable_pipeline_executor.py",)


PIPELINE = """\
description: Two tasks in a row; the first writes what the second reads.
tasks:
  a: {class: TASK, config: [{connections.output: intermediate}]}
  b: {class: TASK, config: [{connections.input: intermediate, key: two, value: 2}]}
""".replace("TASK", "lsst.pipe.base.tests.no_dimensions.NoDimensionsTestTask")
"""What the tests read from a file that the source distribution lacks."""


def fetch() -> Path:
    """Return the folder of the package's tests; download them once."""
    wanted = version(PACKAGE)
    unpacked = PLACE / f"{PACKAGE.replace('-', '_')}-{wanted}"
    if not unpacked.exists():
        PLACE.mkdir(parents=True, exist_ok=True)
        words = ["download", "--quiet", "--no-deps", "--no-binary", PACKAGE, f"{PACKAGE}=={wanted}"]
        subprocess.run([sys.executable, "-m", "pip", *words], cwd=PLACE, check=True)
        with tarfile.open(unpacked.with_name(f"{unpacked.name}.tar.gz")) as archive:
            archive.extractall(PLACE, filter="data")
    tests = unpacked / "tests"
    (tests / "pipelines").mkdir(exist_ok=True)
    (tests / "pipelines" / "pipeline_separable.yaml").write_text(PIPELINE)
    return tests


def main() -> int:
    """Run them; return the exit code of pytest."""
    tests = fetch()
    options = [
        "-p",
        "peer_suites.shim",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        "--rootdir",
        str(tests.parent),
    ]
    words = ["-m", "pytest", "-q", "-rf", *options, *sys.argv[1:]]
    return subprocess.run(
        [sys.executable, *words, *(str(tests / suite) for suite in SUITES)], check=False
    ).returncode


if __name__ == "__main__":
    raise SystemExit(main())
