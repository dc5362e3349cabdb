"""Make the pictures of the page that explains a run: ``python doc/pictures/make_page_pictures.py``.

The demo's survey is processed with ``--html``, and a small graph with mock quanta, of which some fail.  Chromium
(Debian's packages ``chromium`` and ``chromium-driver``) shows both pages without a window.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from pipetask.testing import MockPipeline
from pipetask_demo.repository import build_graph, make_repository

WIDTH, HEIGHT = 1240, 975

FAILING = MockPipeline(
    exposures=12,
    detectors=8,
    configs={
        "isr": {"sleep": 0.06},
        "characterize": {"sleep": 0.12, "fail_condition": "detector=5 AND exposure < 6"},
    },
)


SHORT_PATHS = r"""
for (const pre of document.querySelectorAll("pre")) {
  pre.textContent = pre.textContent.replace(/"[^"]*\/(site-packages|python)\//g, '"');
  pre.scrollTop = pre.scrollHeight;
}
"""
"""Leaves out of tracebacks where packages are installed."""


def run(repository: str, graph: str, inputs: str, *more: str) -> None:
    """Execute a graph with the command, and write a page."""
    words = ["run", "-b", repository, "-g", graph, "-i", inputs, "-o", "u/me/out", "--register-dataset-types"]
    command = [sys.executable, "-m", "pipetask.cli", *words, "--no-journal", *more]
    subprocess.run(command, check=False, stderr=subprocess.DEVNULL)


def browser() -> webdriver.Chrome:
    """Start a browser without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for switch in ("headless=new", "no-sandbox", "hide-scrollbars", f"window-size={WIDTH},{HEIGHT}"):
        options.add_argument(f"--{switch}")
    return webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver") or ""))


def photograph(driver: webdriver.Chrome, page: str, script: str, picture: Path, height: int = HEIGHT) -> None:
    """Show a page, run a script in it, and write what is seen."""
    driver.set_window_size(WIDTH, height)
    driver.get("about:blank")
    driver.get(Path(page).absolute().as_uri())
    WebDriverWait(driver, 60).until(
        lambda _: driver.execute_script("return window.pipetask && pipetask.ready")
    )
    driver.execute_script(script)
    driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    driver.save_screenshot(str(picture))
    print(picture)


def main() -> None:
    """Write the pictures beside this file."""
    here = Path(__file__).parent.resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        make_repository(Path("repo"))
        build_graph(Path("repo"), Path("survey.qg"))
        run("repo", "survey.qg", "demo/defaults", "-j", "4", "--html", "survey.html")
        FAILING.make(Path("mock"))
        run(
            "mock",
            "mock/graph.qg",
            "input_chain",
            "-j",
            "2",
            "--html",
            "failing.html",
            "--error-retries",
            "1",
        )
        driver = browser()
        try:
            photograph(driver, "survey.html", "", here / "page.png")
            busiest = "pipetask.bars(0, 1e9).reduce((a, b) => a.seconds > b.seconds ? a : b)"
            zoom = f"const b = {busiest}; pipetask.zoom(b.start - b.seconds, b.start + 2 * b.seconds);"
            show = "pipetask.select(b.position, true); document.getElementById('timeline').scrollIntoView();"
            photograph(driver, "survey.html", zoom + show, here / "page_timeline.png", 560)
            show = "document.getElementById('failures').scrollIntoView();"
            photograph(driver, "failing.html", SHORT_PATHS + show, here / "page_failures.png", 960)
            show = "document.getElementById('efficiency').scrollIntoView();"
            photograph(driver, "survey.html", show, here / "page_efficiency.png")
        finally:
            driver.quit()
            os.chdir(here)


if __name__ == "__main__":
    main()
