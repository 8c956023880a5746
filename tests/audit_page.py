"""Click through the report of an audit: `make test-browser`.

This needs Chromium and Playwright, so it is not a part of the suite.
"""

import numpy as np
import pytest
from playwright.sync_api import expect

import keras_facnn
from tests.auditing.audit_test import make_images
from tests.auditing.audit_test import make_model
from tests.auditing.audit_test import put_tag
from tests.report_page import opened


@pytest.fixture(scope="module")
def audit():
    images, labels = make_images(120)
    tagged = np.flatnonzero(labels == 1)[:20]
    images[tagged] = put_tag(images[tagged])
    others = np.flatnonzero(labels == 0)[:15]
    images[others, :8, -8:] = np.arange(64).reshape(8, 8, 1) * 4
    model = make_model()
    model.preset_metadata = {"class_names": ["r" * 90, "<img src=x>"]}
    wrong = labels.copy()
    wrong[30:33] = 1 - wrong[30:33]
    return keras_facnn.audit(model, images, wrong)


@pytest.fixture(params=[1280, 390], ids=["wide", "narrow"])
def page(request, audit, tmp_path):
    audit.save(tmp_path / "audit.html")
    with opened(tmp_path / "audit.html", request) as page:
        yield page


def test_suspicious_reasons_are_filtered_and_sorted(page, audit):
    alarms = [r for r in audit.reasons if r.alarm]
    assert len({r.said for r in alarms}) == 2
    cards = page.locator("#suspicious article:visible")
    expect(cards).to_have_count(len(alarms))
    menus = page.locator("#suspicious .filters")
    said = alarms[0].said
    menus.get_by_label("Class").select_option(str(said))
    own = [r for r in alarms if r.said == said]
    expect(cards).to_have_count(len(own))
    shown = f"{len(own)} of {len(alarms)} shown"
    expect(menus.locator("output")).to_have_text(shown)
    menus.get_by_label("Class").select_option("")
    menus.get_by_label("Order").select_option("-share")
    shares = cards.evaluate_all("all => all.map(x => +x.dataset.share)")
    assert shares == sorted(shares, reverse=True)
    largest = max(alarms, key=lambda r: r.share)
    expect(cards.first).to_contain_text(largest.name)


def test_a_click_enlarges_a_picture_and_names_it(page, audit):
    dialog = page.locator("dialog")
    expect(dialog).to_be_hidden()
    small = page.locator("#suspicious .zoom").first
    width = small.bounding_box()["width"]
    small.click()
    expect(dialog).to_be_visible()
    pick = audit.reasons[0].members[0].pick
    expect(dialog).to_contain_text(f"image {pick.index}")
    assert dialog.locator("img").bounding_box()["width"] > 1.5 * width
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_pictures_are_drawn_and_advice_opens(page):
    for image in page.locator("main img").all():
        image.scroll_into_view_if_needed()
    widths = page.locator("main img").evaluate_all(
        "x => x.map(i => i.complete && i.naturalWidth)"
    )
    assert min(widths) > 0
    page.locator("#suspicious summary").first.click()
    expect(page.locator("pre").first).to_contain_text("RegionPenalty")
