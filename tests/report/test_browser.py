"""The page in a real browser: drawing, hover, click, keyboard, sorting, themes, narrow screens, print; no message, no network.

Screenshots go to the folder that the environment variable EMPROX_SCREENSHOTS names.
"""

import os
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from emprox.report import write_report
from tests.report import samples

sync_api = pytest.importorskip("playwright.sync_api", reason="the browser is driven by playwright")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("background-networking", "component-update", "gpu", "quic", "sync")
OPTIONS = ["--no-sandbox", "--no-first-run", *(f"--disable-{each}" for each in QUIET)]
DRAWN = "document.documentElement.dataset.ready === 'all'"
SECONDS = 120
"""Patience with a busy machine; nothing here says how fast a page is."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is on the path; as root: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(os.environ.get("EMPROX_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    searches = [samples.search(folder, "random"), samples.search(folder, "guided", ("val_accuracy", "macs"))]
    paths = [samples.bench(folder), samples.model(folder), samples.ablation(folder), *searches]
    return write_report(paths, folder / "report.html")[0]


@pytest.fixture(scope="module")
def small(report: Path) -> Path:
    """Return a report with one chart of each layout, which is opened once more for each screen."""
    return write_report([report.with_name("model"), report.with_name("ablation.json")], report.with_name("small.html"))[0]


def opened(browser: Any, report: Path, **options: Any) -> Any:
    """Return a page whose figures are drawn, with what it asked for and said in ``asked`` and ``said``."""
    page = browser.new_context(offline=True, **options).new_page()
    page.set_default_timeout(SECONDS * 1000)
    page.asked, page.said = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.goto(report.as_uri())
    page.wait_for_function(DRAWN)
    return page


@pytest.fixture(scope="module")
def page(browser: Any, report: Path) -> Any:
    return opened(browser, report, viewport={"width": 1280, "height": 900}, color_scheme="light")


def test_everything_is_drawn_and_nothing_fetched(page: Any, report: Path, screenshots: Path) -> None:
    assert page.said == []
    assert page.asked == [report.as_uri()]
    assert page.locator("figure").count() == page.locator("figure .main-svg .plot-container, figure .js-plotly-plot").count() > 10
    assert page.locator(".waiting, #problem:visible").count() == 0
    page.screenshot(path=screenshots / "light.png", full_page=True)


def test_every_figure_has_words(page: Any) -> None:
    for plot in page.locator(".plot").all():
        for attribute in ("aria-labelledby", "aria-describedby"):
            text = page.locator(f"id={plot.get_attribute(attribute)}").text_content()
            assert len(text) > 5
    unnamed = "b => !b.closest('.modebar') && !(b.textContent.trim() || b.getAttribute('aria-label'))"
    assert page.evaluate(f"[...document.querySelectorAll('button, a, summary')].filter({unnamed}).map(b => b.outerHTML)") == []
    inputs = "i => !i.closest('label')"
    assert page.evaluate(f"[...document.querySelectorAll('input, select')].filter({inputs}).length") == 0
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = page.evaluate("[...document.querySelectorAll('[id]:not(svg *)')].map(e => e.id)")
    assert len(ids) == len(set(ids))


def place(page: Any, key: str, series: int, point: int) -> tuple[float, float]:
    """Return where a point is on the screen."""
    page.locator(f"id={key}").locator(".plot").scroll_into_view_if_needed()
    code = """([key, s, i]) => {
        const plot = document.getElementById(key).querySelector('.plot'), box = plot.getBoundingClientRect();
        const { xaxis, yaxis } = plot._fullLayout, trace = plot.data[s];
        const at = (axis, v) => axis._offset + axis.d2p(v);
        return [box.x + at(xaxis, trace.x[i]), box.y + at(yaxis, trace.y[i])];
    }"""
    x, y = page.evaluate(code, [key, series, point])
    return x, y


def test_hovering_tells_the_numbers(page: Any) -> None:
    page.mouse.move(*place(page, "bundled-0-learning", 0, 1))
    page.wait_for_selector("#bundled-0-learning .hoverlayer .hovertext")
    text = page.locator("#bundled-0-learning .hoverlayer").text_content()
    assert all(word in text for word in ("emprox", "labels: 40", "Kendall's tau: 0."))


def test_a_click_on_the_map_shows_the_architecture(page: Any, screenshots: Path) -> None:
    card = page.locator("#model-map .card")
    before = card.locator("h4").text_content()
    page.mouse.click(*place(page, "model-map", 1, 0))
    page.wait_for_function("before => document.querySelector('#model-map .card h4').textContent !== before", arg=before)
    wanted = page.evaluate("document.querySelector('#model-map .plot').data[1].customdata[0]").split("<br>")[0]
    assert card.locator("h4").text_content() == wanted
    assert card.locator("svg[role=img] rect").count() >= 2
    heads = card.locator("th").all_text_contents()
    assert heads == ["nearest measured", "distance", "weight", "measured"]
    assert card.locator("tbody tr").count() == 6
    page.locator("#model-map").screenshot(path=screenshots / "map.png")


def test_the_map_works_by_keyboard(page: Any) -> None:
    page.locator("#model-map input").fill("skip_connect~0|+")
    names = page.locator("#model-map .browse button.arch")
    assert all("skip_connect~0|+" in name for name in names.all_text_contents())
    name = names.nth(1).text_content()
    names.nth(1).focus()
    page.keyboard.press("Enter")
    assert page.locator("#model-map .card h4").text_content() == name
    assert page.evaluate("document.activeElement.className") == "card"
    page.locator("#model-map input").fill("")


def test_tables_sort_by_any_column(page: Any) -> None:
    table = page.locator("#bundled-0-table")
    head = table.locator("th", has_text="Kendall")
    for way, order in (("descending", True), ("ascending", False)):
        head.locator("button").click()
        values = [float(cell) for cell in table.locator("tbody td:nth-child(4)").all_text_contents()]
        assert head.get_attribute("aria-sort") == way
        assert values == sorted(values, reverse=order)
        assert len(set(values)) > 1
    places = page.locator("#model-map .browse")
    places.locator("th button", has_text="measured").first.click()
    assert places.locator("th[aria-sort]").count() == 1


def test_legends_hide_and_choices_change(page: Any) -> None:
    button = page.locator("#bundled-0-learning .legend button", has_text="knn")
    hidden = "document.querySelector('#bundled-0-learning .plot').data.find(t => t.name === 'knn').visible === false"
    button.click()
    assert page.evaluate(hidden)
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    assert not page.evaluate(hidden)
    page.locator("#bundled-0-predicted select").select_option("knn, 40 labels")
    assert page.evaluate("document.querySelector('#bundled-0-predicted .plot').data[0].error_y === undefined")


def test_dark_theme_by_system_and_by_button(browser: Any, small: Path, page: Any, screenshots: Path) -> None:
    colours = "[getComputedStyle(document.body).backgroundColor, document.querySelector('.plot')._fullLayout.font.color]"
    light = page.evaluate(colours)
    page.locator("#theme").click()
    by_button = page.evaluate(colours)
    page.locator("#theme").click()
    assert page.evaluate(colours) == light
    dark = opened(browser, small, viewport={"width": 1280, "height": 900}, color_scheme="dark")
    assert dark.evaluate(colours) == by_button != light
    assert dark.said == []
    dark.screenshot(path=screenshots / "dark.png", full_page=True)
    dark.context.close()


def test_narrow_screen_and_print(browser: Any, small: Path, screenshots: Path) -> None:
    phone = opened(browser, small, viewport={"width": 360, "height": 740}, color_scheme="dark")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    code = """[...document.querySelectorAll('main *')]
        .filter(e => !e.closest('.scroll, .plot, .drawing') && getComputedStyle(e).display !== 'inline')
        .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.outerHTML.slice(0, 90))"""
    assert phone.evaluate(code) == [], "wider than its place"
    phone.screenshot(path=screenshots / "phone.png", full_page=True)
    phone.pdf(path=screenshots / "print.pdf", format="A4")
    assert phone.evaluate("document.documentElement.dataset.theme") is None, "printing leaves the theme as it was"
    assert phone.said == []
    phone.context.close()
    assert (screenshots / "print.pdf").read_bytes().startswith(b"%PDF")


def test_without_javascript_the_words_and_numbers_are_there(browser: Any, report: Path) -> None:
    plain = browser.new_context(java_script_enabled=False, offline=True).new_page()
    plain.goto(report.as_uri())
    assert plain.locator("noscript").is_visible()
    assert plain.locator("#bundled-0-table tbody tr").count() == 4
    plain.locator("#bundled-0-learning summary").click()
    assert plain.locator("#bundled-0-learning figcaption tbody tr").count() == 4
    plain.context.close()
