"""The page in a real browser: zoom, select, filter, copy, follow links, and never any network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from browser import Browser
from made_runs import Made, make_run
from pipetask.observe.facts.run import RunFacts
from pipetask.observe.page.document import page_text
from pipetask.observe.page.subject import Subject
from pipetask.observe.summary import RunSummary
from pipetask.outcome import Status, Transaction
from test_page import hostile_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made() -> Made:
    return make_run(seed=11, size=40, slots=4)


@pytest.fixture(scope="module")
def page(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    summary = made.summary()
    half = (summary.start + summary.end) / 2
    summary = replace(summary, transactions=[Transaction(half, half + 3, 12, 30)])
    return write(summary, tmp_path_factory.mktemp("page"))


def write(summary: RunSummary, folder: Path) -> Path:
    subject = Subject(
        summary, RunFacts.of(summary), lambda id: f"pipetask run --qgraph-node-id '{id}'", ["pipetask"]
    )
    path = folder / "page.html"
    path.write_text(page_text(subject))
    return path


@pytest.fixture
def shown(browser: Browser, page: Path) -> Iterator[Browser]:
    """The page of a run, which must not complain or ask for anything."""
    browser.complaints(), browser.requests()
    browser.open(page)
    yield browser
    assert browser.complaints() == []
    schemes = {"data", "about", "chrome"}  # the last for its own icons
    assert {url for url in browser.requests() if url.partition(":")[0] not in schemes} == {page.as_uri()}


def failed_of(made: Made) -> list[int]:
    return sorted(made.graph.position(o.id) for o in made.outcomes if o.status.is_failure)


def test_it_shows_all_attempts(shown: Browser, made: Made) -> None:
    facts = RunFacts.of(made.summary())
    found = shown.run("return pipetask.bars(-1, 1e9)")
    assert sorted((bar["position"], bar["number"], bar["status"]) for bar in found) == sorted(
        (o_position, o.attempt, o.status.value)
        for outcome in made.outcomes
        for o in (*outcome.earlier, outcome)
        if o.start is not None
        for o_position in [made.graph.position(o.id)]
    )
    # Each can be found where it is drawn, in both orders of rows.
    for rows in ("lane", "label"):
        shown.run(
            "const s = document.getElementById('rows'); s.value = arguments[0]; s.dispatchEvent(new Event('change'))",
            rows,
        )
        wrong = shown.run(
            "return pipetask.bars(-1, 1e9).map(b => b.position).filter(p => pipetask.hit(...pipetask.place(p)) < 0)"
        )
        assert wrong == []
    assert shown.run("return pipetask.facts.lanes.length") == len(facts.attempts.lanes)


def test_zoom_by_mouse_and_keys(shown: Browser) -> None:
    span = "return (pipetask.view.to - pipetask.view.from) * pipetask.facts.unit"
    whole = shown.run(span)
    canvas = shown.find("#canvas")
    shown.run("document.getElementById('timeline').scrollIntoView()")
    ActionChains(shown.driver).move_to_element_with_offset(canvas, -100, 0).click_and_hold().move_by_offset(
        300, 0
    ).release().perform()
    zoomed = shown.run(span)
    assert 0 < zoomed < whole / 2
    some, every = shown.run(
        "const u = pipetask.facts.unit; return [pipetask.bars(pipetask.view.from * u, pipetask.view.to * u).length, "
        "pipetask.bars(-1, 1e9).length]"
    )
    assert 0 < some < every
    assert shown.run("return location.hash").startswith("#t=")
    shown.run("document.getElementById('canvas').focus()")
    ActionChains(shown.driver).send_keys("-").perform()
    assert shown.run(span) == pytest.approx(min(whole, 2 * zoomed))
    before = shown.run("return pipetask.view.from")
    ActionChains(shown.driver).send_keys("++", Keys.ARROW_RIGHT).perform()
    assert shown.run("return pipetask.view.from") > before
    ActionChains(shown.driver).send_keys("0").perform()
    assert shown.run(span) == pytest.approx(whole)


def test_a_click_selects_a_quantum_and_the_address_keeps_it(shown: Browser, made: Made, page: Path) -> None:
    position = failed_of(made)[0]
    shown.run("document.getElementById('timeline').scrollIntoView()")
    box = shown.run(
        "const r = document.getElementById('canvas').getBoundingClientRect(); return [r.width, r.height]"
    )
    x, y = shown.run("return pipetask.place(arguments[0])", position)
    place = (round(x - box[0] / 2), round(y - box[1] / 2))
    ActionChains(shown.driver).move_to_element_with_offset(shown.find("#canvas"), *place).click().perform()
    label = made.graph.structure.label(position)
    data_id = shown.run("return pipetask.dataId(arguments[0])", position)
    assert data_id == ", ".join(f"{k} {v}" for k, v in made.graph.structure.data_id(position).items())
    assert shown.text("#card h3") == f"{label}: {data_id}"
    assert made.graph.structure.quantum_id(position).hex[-6:] in shown.text("#card .command code").replace(
        "-", ""
    )
    fragment = shown.run("return location.hash")
    shown.open(page, fragment)
    assert shown.text("#card h3") == f"{label}: {data_id}"


def test_filter_and_sort(shown: Browser, made: Made) -> None:
    total = shown.run("return pipetask.listed().length")
    assert total == len(made.outcomes)
    status = shown.find("#filter-status")
    next(o for o in status.find_elements("css selector", "option") if o.text == "failed").click()
    failed = sorted(made.graph.position(o.id) for o in made.outcomes if o.status is Status.FAILED)
    assert sorted(shown.run("return pipetask.listed()")) == failed
    rows = shown.run("return [...document.querySelectorAll('#spacer .row')].map(r => +r.dataset.position)")
    assert sorted(rows) == failed
    shown.find("#filter-clear").click()
    shown.find("#filter-text").send_keys("number 7")
    assert shown.run("return pipetask.listed()") == [7], "whole words: not 17"
    shown.find("#filter-clear").click()
    time = "return pipetask.bars(-1, 1e9).filter(b => b.position === arguments[0]).at(-1)?.seconds ?? -1"
    for sign in (1, -1):
        heading = next(
            b for b in shown.driver.find_elements("css selector", "#head button") if b.text == "time"
        )
        heading.click()
        first, last = shown.run("const l = pipetask.listed(); return [l[0], l.at(-1)]")
        assert sign * (shown.run(time, last) - shown.run(time, first)) > 0


def test_a_command_is_copied(shown: Browser) -> None:
    button = shown.find("#failures .copy")
    command = shown.text("#failures .command code")
    shown.run("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()
    shown.wait("return arguments[0].textContent === 'copied'", button)
    field = shown.find("#filter-text")
    field.click()
    ActionChains(shown.driver).key_down(Keys.CONTROL).send_keys("v").key_up(Keys.CONTROL).perform()
    assert shown.run("return arguments[0].value", field) == command


def test_each_failure_has_its_command(shown: Browser, made: Made) -> None:
    for position in range(len(made.graph.structure)):
        command = f"pipetask run --qgraph-node-id '{made.graph.structure.quantum_id(position)}'"
        expected = command if position in failed_of(made) else ""
        assert shown.run("return pipetask.commandOf(arguments[0])", position) == expected
    shown.run("pipetask.select(arguments[0], true)", failed_of(made)[-1])
    assert str(made.graph.structure.quantum_id(failed_of(made)[-1])) in shown.text("#card .command code")


def test_transactions_have_a_row(shown: Browser, made: Made) -> None:
    summary = made.summary()
    at = (summary.end - summary.start) / 2 + 1.5
    canvas = shown.find("#canvas")
    shown.run("arguments[0].scrollIntoView({block: 'center'})", canvas)
    for kind in ("lane", "label"):
        shown.run(
            "const s = document.getElementById('rows'); s.value = arguments[0]; s.dispatchEvent(new Event('change'))",
            kind,
        )
        x = shown.run(
            "return 110 + arguments[0] / pipetask.facts.span * (arguments[1].clientWidth - 110)", at, canvas
        )
        y = canvas.size["height"] - 5
        centre = (canvas.size["width"] // 2, canvas.size["height"] // 2)
        actions = ActionChains(shown.driver)
        actions.move_to_element_with_offset(canvas, int(x) - centre[0], int(y) - centre[1]).perform()
        shown.wait("return !document.getElementById('tip').hidden")
        assert shown.text("#tip").startswith("transaction\n30 datasets of 12 quanta\n3 s, after ")
        actions.move_to_element_with_offset(canvas, -centre[0] + 5, -centre[1] + 5).perform()
        shown.wait("return document.getElementById('tip').hidden")


def test_a_link_shows_a_quantum(shown: Browser, made: Made) -> None:
    link = shown.find("#failures details details a")
    shown.run(
        "arguments[0].closest('details').open = true; arguments[0].scrollIntoView({block: 'center'})", link
    )
    link.click()
    shown.wait("return !document.getElementById('card').hidden")
    position = int(link.get_attribute("href").rpartition("=")[2])
    assert shown.run("return pipetask.view.chosen") == position
    assert shown.text("#card h3").startswith(made.graph.structure.label(position))


def test_hostile_text_is_text(browser: Browser, tmp_path: Path) -> None:
    path = write(hostile_run(), tmp_path)
    browser.open(path)
    assert browser.run("return document.scripts.length") == 2
    assert browser.run("return document.images.length") == 1
    name = browser.run("return pipetask.facts.labels[0].name")
    assert "</script><script>alert(1)</script><img src=x onerror=alert(2)>" in name
    for position in range(4):
        browser.run("pipetask.select(arguments[0], true)", position)
    assert browser.run("return document.images.length") == 1
    assert name in browser.text("#spacer")
    assert browser.complaints() == []


def test_the_policy_forbids_network_and_scripts(browser: Browser, page: Path) -> None:
    browser.open(page)
    blocked = browser.driver.execute_async_script(
        """
        const done = arguments[0], blocked = [];
        document.addEventListener("securitypolicyviolation", event => {
          blocked.push(event.effectiveDirective);
          if (blocked.length === 3) done(blocked.sort());
        });
        const add = (name, properties) => document.body.append(Object.assign(document.createElement(name), properties));
        add("img", {src: "http://127.0.0.1:9/x.png"});
        add("script", {textContent: "window.injected = true"});
        fetch("http://127.0.0.1:9/").catch(() => {});
        """
    )
    assert blocked == ["connect-src", "img-src", "script-src-elem"]
    assert browser.run("return window.injected === undefined")
    assert len(browser.complaints()) >= 3, "what other tests look for is found"


def test_without_javascript_all_but_the_table_is_there(browser: Browser, page: Path) -> None:
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.driver.get("about:blank")
        browser.driver.get(page.as_uri())
        assert browser.find("#static-timeline img").is_displayed()
        assert browser.find("#verdict").text.startswith("failed: ")
        assert browser.find("#paths table").is_displayed()
        assert not browser.find("#live-timeline").is_displayed()
        assert "needs JavaScript" in browser.find("#quanta noscript").text
        assert not browser.find("#failures .copy").is_displayed()
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_both_colour_schemes(shown: Browser) -> None:
    backs = []
    for scheme in ("light", "dark"):
        shown.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        backs.append(shown.run("return getComputedStyle(document.body).backgroundColor"))
    shown.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert backs == ["rgb(255, 255, 255)", "rgb(21, 24, 28)"]
