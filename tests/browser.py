"""A browser for tests of pages: Debian's chromium, without a window."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from needs import not_tested

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

PATIENCE = 120
"""Seconds after which a page will never be ready."""

SWITCHES = (
    "--headless=new",
    "--no-sandbox",  # as root
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-crash-reporter",
    "--force-device-scale-factor=1",
    "--window-size=1300,1000",
)


_FOLDERS: list[str] = []
"""The folder of the browser that runs; all of its processes have it in their command line, or below one that has."""


def processes_of_browser() -> set[int]:
    """Return the processes of the browser that runs for all tests; it starts others as it needs them."""
    found: set[int] = set()
    for process in psutil.process_iter() if _FOLDERS else ():
        with contextlib.suppress(psutil.Error):
            line = process.cmdline()
            if any(folder in word for folder in _FOLDERS for word in line):
                found |= {process.pid, *(child.pid for child in process.children(recursive=True))}
    return found


class Browser:
    """A browser that shows one page after the other."""

    def __init__(self, driver: Chrome):
        self.driver = driver

    def open(self, path: Path, fragment: str = "") -> None:
        """Show a page, and wait until its script is ready."""
        self.driver.get("about:blank")  # the same address with another fragment would not be loaded again
        self.driver.get(f"{path.as_uri()}{fragment}")
        self.wait("return Boolean(window.pipetask && window.pipetask.ready)")

    def wait(self, script: str, *arguments: Any) -> Any:
        """Wait until a script returns something true, and return that."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, PATIENCE, 0.05).until(lambda _: self.run(script, *arguments))

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def text(self, selector: str) -> str:
        return self.run("return document.querySelector(arguments[0]).textContent", selector)

    def complaints(self) -> list[str]:
        """Return what has been written to the console."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> set[str]:
        """Return the addresses that have been asked for."""
        events = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        return {
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        }


@contextmanager
def start_browser(folder: Path) -> Iterator[Browser]:
    """Start a browser; its files are in a folder."""
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    if missing := [name for name, path in programs.items() if path is None]:
        not_tested(f"{' and '.join(missing)} is not installed (Debian: chromium, chromium-driver).")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = programs["chromium"] or ""
    for switch in (*SWITCHES, f"--user-data-dir={folder}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    _FOLDERS.append(str(folder))
    driver = webdriver.Chrome(options, webdriver.ChromeService(programs["chromedriver"] or ""))
    try:
        driver.set_page_load_timeout(PATIENCE)
        driver.set_script_timeout(PATIENCE)
        yield Browser(driver)
    finally:
        driver.quit()
        _FOLDERS.remove(str(folder))
