"""Click through the report of an evaluation: `make test-browser`.

This needs Chromium and Playwright, so it is not a part of the suite.
"""

import contextlib
import os
import shutil

import numpy as np
import pytest
from playwright.sync_api import expect
from playwright.sync_api import sync_playwright

import keras_facnn

# Where to write pictures of the page, for a person to look at.
SCREENSHOTS = os.environ.get("KERAS_FACNN_SCREENSHOTS")


@pytest.fixture(scope="module")
def evaluation():
    rng = np.random.default_rng(0)
    model = keras_facnn.FACNN(4, (32, 32, 3), (2,), (1,))
    model.preset_metadata = {
        "class_names": ["ant", "bee", "c" * 90, "<img src=x>"]
    }
    images = rng.integers(0, 256, (60, 32, 32, 3)).astype("uint8")
    # All answers are alike, so that three of four classes are mistakes.
    return keras_facnn.evaluate(model, (images, np.arange(60) % 4))


@contextlib.contextmanager
def opened(path, request):
    """Open a page at a width, and check that it asks for nothing."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )
        page = browser.new_page(
            viewport={"width": request.param, "height": 900}
        )
        asked, errors = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.goto(f"file://{path}")
        yield page
        if SCREENSHOTS:
            page.screenshot(
                path=f"{SCREENSHOTS}/{request.node.name}.png", full_page=True
            )
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width == request.param
        assert errors == []
        assert [url for url in asked if not url.startswith("data:")] == [
            f"file://{path}"
        ]
        browser.close()


@pytest.fixture(params=[1280, 390], ids=["wide", "narrow"])
def page(request, evaluation, tmp_path):
    evaluation.save(tmp_path / "report.html")
    with opened(tmp_path / "report.html", request) as page:
        yield page


def test_mistakes_are_filtered_by_class(page, evaluation):
    cards = page.locator("#mistakes article:visible")
    expect(cards).to_have_count(len(evaluation.mistakes))
    label = evaluation.mistakes[0].label
    own = [x for x in evaluation.mistakes if x.label == label]
    page.get_by_label("It is").select_option(str(label))
    expect(cards).to_have_count(len(own))
    shown = f"{len(own)} of {len(evaluation.mistakes)} shown"
    expect(page.locator("output")).to_have_text(shown)
    page.get_by_label("It is").select_option("")
    page.get_by_label("Order").select_option("reverse")
    first = evaluation.class_names[evaluation.mistakes[-1].label]
    expect(cards.first).to_contain_text(f"is {first}")


def test_a_click_on_a_heading_sorts(page, evaluation):
    rows = page.locator("#classes tbody tr")
    for heading, key in (("class", "class"), ("accuracy", "accuracy")):
        button = page.get_by_role("button", name=heading, exact=True)
        values = sorted(c[key] for c in evaluation.classes)
        for order in (values, values[::-1]):
            button.click()
            column = ["class", "accuracy"].index(key)
            cells = rows.locator(f"td:nth-child({column + 1})")
            found = cells.evaluate_all("all => all.map(x => x.dataset.key)")
            assert found == [str(value) for value in order]


def test_photos_are_drawn(page):
    for image in page.locator("img").all():
        image.scroll_into_view_if_needed()
    widths = page.locator("img").evaluate_all("x => x.map(i => i.naturalWidth)")
    assert min(widths) > 100
