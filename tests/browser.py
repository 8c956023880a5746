"""Explain photos by `docs/demo`, a page without a server: `make test-browser`.

This needs Chromium, Playwright and npm's onnxruntime-web, so it is not a part
of the suite.
"""

import functools
import http.server
import io
import mimetypes
import os
import pathlib
import shutil
import threading

import numpy as np
import onnx
import pytest
from PIL import Image
from playwright.sync_api import expect
from playwright.sync_api import sync_playwright

import keras_facnn

ROOT = pathlib.Path(__file__).parents[1]
RUNTIME = ROOT / ".venv-test" / "onnxruntime-web"
CDN = "https://cdn.jsdelivr.net/npm/onnxruntime-web@"
# Where to write pictures of the page, for a person to look at.
SCREENSHOTS = os.environ.get("KERAS_FACNN_SCREENSHOTS")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def model():
    return keras_facnn.FACNN.from_preset("cifar10")


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "demo"
    shutil.copytree(ROOT / "docs" / "demo", folder)
    model.export(folder / "model.onnx", verbose=False)
    return folder


@pytest.fixture(scope="module")
def url(folder):
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=folder)
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@pytest.fixture(params=[1280, 390], ids=["wide", "narrow"])
def page(request, browser, url):
    """Return the open page, and check that it sends nothing."""
    context = browser.new_context(
        viewport={"width": request.param, "height": 900}
    )
    context.route(f"{CDN}**", from_package)
    page = context.new_page()
    page.set_default_timeout(120_000)
    expect.set_options(timeout=120_000)
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url)
    expect(page.locator("#photo")).to_be_enabled()
    yield page
    if SCREENSHOTS:
        page.screenshot(
            path=f"{SCREENSHOTS}/{request.node.name}.png", full_page=True
        )
    width = page.evaluate("document.documentElement.scrollWidth")
    context.close()
    # Nothing is wider than the screen.
    assert width == request.param
    assert errors == []
    assert len(asked) > 4
    for one in asked:
        assert one.url.startswith((url, CDN, "blob:")), one.url
        assert one.method == "GET" and one.post_data is None


def from_package(route, *, more=b""):
    """Answer with the file of npm's package instead of the network."""
    name = route.request.url.removeprefix(CDN).partition("/dist/")[2]
    kind = "text/javascript" if name.endswith(".mjs") else None
    route.fulfill(
        body=(RUNTIME / "dist" / name).read_bytes() + more,
        content_type=kind or mimetypes.guess_type(name)[0],
        headers={"Access-Control-Allow-Origin": "*"},
    )


def choose(page, name, content):
    kind = "image/" + name.rpartition(".")[2]
    page.set_input_files(
        "#photo", {"name": name, "mimeType": kind, "buffer": content}
    )


def as_png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def drawn(page):
    """Return what the canvas shows, `(H, W, 3)`."""
    values = page.evaluate(
        """() => {
            const view = document.getElementById("view");
            const {data} = view.getContext("2d").getImageData(
                0, 0, view.width, view.height);
            return [view.height, view.width, Array.from(data)];
        }"""
    )
    height, width, data = values
    return np.reshape(data, (height, width, 4))[..., :3].astype("float32")


def test_answers_as_keras_does(page, model):
    photo = keras_facnn.load_images(ROOT / "samples" / "cat.jpg", model)
    logits, maps = model.predict_with_maps(photo)
    heading = page.locator("#heading")
    choose(page, "cat.png", as_png(photo[0]))
    expect(heading).to_have_text("Evidence for cat")

    found = np.array(page.evaluate("state.logits"), "float32")
    found_maps = page.evaluate(
        "({dims: state.maps.dims, data: Array.from(state.maps.data)})"
    )
    found_maps = np.reshape(found_maps["data"], found_maps["dims"])
    assert found_maps.shape == maps.shape
    np.testing.assert_allclose(found, logits[0], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found_maps, maps, rtol=1e-3, atol=1e-3)
    assert np.corrcoef(found_maps.ravel(), maps.ravel())[0, 1] > 0.9999

    # The bars: the five likeliest classes, the first one chosen.
    order = np.argsort(-logits[0])[:5]
    powers = np.exp(logits[0] - logits.max())
    buttons = page.locator("#bars button")
    expect(buttons).to_have_count(5)
    for button, index in zip(buttons.all(), order, strict=True):
        expect(button).to_contain_text(model.class_names[index])
        expect(button).to_contain_text(f"{powers[index] / powers.sum():.1%}")
    expect(buttons.first).to_have_attribute("aria-pressed", "true")

    # The map over the gray photo: more evidence is more red than blue.
    cat = drawn(page)
    side = cat.shape[0] // maps.shape[1]
    warm = (cat[..., 0] - cat[..., 2]).reshape(
        maps.shape[1], side, maps.shape[2], side
    )
    evidence = maps[0, ..., order[0]]
    warm = warm.mean((1, 3))
    assert np.corrcoef(warm.ravel(), evidence.ravel())[0, 1] > 0.95

    second = model.class_names[order[1]]
    buttons.nth(1).click()
    expect(heading).to_have_text(f"Evidence for {second}")
    expect(buttons.nth(1)).to_have_attribute("aria-pressed", "true")
    assert np.abs(drawn(page) - cat).max() > 20
    buttons.first.click()
    expect(heading).to_have_text("Evidence for cat")
    np.testing.assert_array_equal(drawn(page), cat)


def test_takes_any_photo(page):
    heading = page.locator("#heading")
    for name in ("ship", "horse"):
        # Larger, and wider than high.
        photo = Image.open(ROOT / "samples" / f"{name}.jpg")
        wide = Image.new("RGB", (900, 600), "gray")
        wide.paste(photo.resize((600, 600)), (150, 0))
        file = io.BytesIO()
        wide.save(file, "JPEG")
        choose(page, f"{name}.jpeg", file.getvalue())
        expect(heading).to_have_text(f"Evidence for {name}")
    choose(page, "text.png", b"I am no picture.")
    message = page.locator("#message")
    expect(message).to_contain_text("text.png is no picture")
    expect(heading).to_have_text("Evidence for horse")


def test_each_of_several_labels_has_its_own_share(page, tmp_path):
    """Yellow is red and green, and gray is neither."""
    model = keras_facnn.FACNN(3, (16, 16, 3), (1,), (1,), threshold=True)
    model.get_layer("conv_1").set_weights([np.zeros((3, 3, 3, 3))])
    model.head.set_weights([np.log(60.0), np.log(0.4)])
    model.preset_metadata = {"class_names": ["red", "green", "blue"]}
    model.export(tmp_path / "colors.onnx", verbose=False)
    page.set_input_files("#model", tmp_path / "colors.onnx")
    expect(page.locator("#message")).to_be_empty()
    photo = np.zeros((16, 16, 3), "uint8")
    photo[..., :2] = 255
    bars = page.locator("#bars button")
    for pixels, share in ((photo, "99.8%"), (photo // 2, "0.0%")):
        choose(page, f"{share}.png", as_png(pixels))
        expect(bars.nth(0)).to_contain_text(f"red{share}")
        expect(bars.nth(1)).to_contain_text(f"green{share}")
        expect(bars.nth(2)).to_contain_text("blue0.0%")


def broken(path):
    """Return files that are no models, most of them by a single defect."""
    cases = {"text": b"not a model", "empty": b"", "half": path.read_bytes()}
    cases["half"] = cases["half"][: len(cases["half"]) // 2]
    changes = {
        "names": ("class_names", '["a", '),
        "number": ("class_names", "7"),
        "fewer": ("class_names", '["a", "b"]'),
        "objects": ("class_names", '[{}, {}, {"a": 1}]'),
        "shape": ("image_shape", "null"),
        "other_shape": ("image_shape", "[16, 25, 1]"),
        "huge": ("image_shape", "[1e9, 1e9, 1]"),
    }
    for case, (key, value) in changes.items():
        model = onnx.load(path)
        for prop in model.metadata_props:
            if prop.key == key:
                prop.value = value
        cases[case] = model.SerializeToString()
    model = onnx.load(path)
    del model.graph.output[1:]
    cases["outputs"] = model.SerializeToString()
    return cases


def test_runs_only_what_has_the_known_hash(browser, url):
    """Anything else in place of ONNX Runtime's files is refused."""
    for name in ("ort.wasm.min.js", ".mjs", ".wasm"):
        context = browser.new_context()
        context.route(f"{CDN}**", from_package)

        def other(route):
            from_package(route, more=b"\n")

        context.route(f"{CDN}**{name}", other)
        page = context.new_page()
        page.goto(url)
        message = page.locator("#message")
        expect(message).to_have_text(
            "ONNX Runtime cannot be loaded, or is not the known one."
        )
        expect(page.locator("#photo")).to_be_disabled()
        context.close()


def test_takes_another_model(page, folder, tmp_path):
    small = keras_facnn.FACNN(
        3, (16, 24, 1), (1,), (2,), deep_alignment=0.0, space_to_depth=1
    )
    small.export(tmp_path / "small.onnx", centered=True, verbose=False)
    photo = (ROOT / "samples" / "ship.jpg").read_bytes()
    choose(page, "ship.jpg", photo)
    heading = page.locator("#heading")
    expect(heading).to_have_text("Evidence for ship")
    view = "byId('view').toDataURL()"
    ship = page.evaluate(view)
    message = page.locator("#message")
    for case, content in broken(tmp_path / "small.onnx").items():
        (tmp_path / f"{case}.onnx").write_bytes(content)
        page.set_input_files("#model", tmp_path / f"{case}.onnx")
        expect(message).to_contain_text("Not a model: ")
        # The previous model is still there and still works.
        expect(heading).to_have_text("Evidence for ship")
        assert page.evaluate(view) == ship
        choose(page, "ship.jpg", photo)
        expect(message).to_be_empty()
        expect(heading).to_have_text("Evidence for ship")
    page.set_input_files("#model", tmp_path / "small.onnx")
    expect(message).to_be_empty()
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (16, 24), dtype="uint8")
    choose(page, "gray.png", as_png(photo))
    expect(page.locator("#heading")).to_contain_text("Evidence for class")
    expect(page.locator("#legend")).to_contain_text("beyond the average class")
    logits = small.predict_with_maps(photo[None, ..., None])[0]
    np.testing.assert_allclose(
        page.evaluate("state.logits"), logits[0], rtol=1e-3, atol=1e-3
    )
