"""Explain photos by `docs/demo`, a page without a server: `make test-browser`.

This needs Chromium, Playwright and npm's onnxruntime-web, so it is not a part
of the suite.
"""

import base64
import functools
import hashlib
import http.server
import io
import json
import mimetypes
import os
import pathlib
import shutil
import threading

import numpy as np
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
    model.export(folder / "model.onnx", layers=[9, 18], verbose=False)
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


def pixels(page, canvas):
    """Return what a canvas shows, `(H, W, 3)`."""
    url = page.evaluate(
        """async (canvas) => {
            const blob = await (await eval(canvas)).arrayBuffer();
            return btoa(Array.from(new Uint8Array(blob),
                (byte) => String.fromCharCode(byte)).join(""));
        }""",
        canvas,
    )
    image = Image.open(io.BytesIO(base64.b64decode(url)))
    return np.asarray(image.convert("RGB"))


def drawn(page):
    """Return what the page shows of the photo and the evidence."""
    return pixels(
        page, "new Promise((done) => byId('view').toBlob(done))"
    ).astype("float32")


def test_answers_as_keras_does(page, model):
    photo = keras_facnn.load_images(ROOT / "samples" / "cat.jpg", model)
    logits, maps = model.predict_with_maps(photo)
    heading = page.locator("#heading")
    choose(page, "cat.png", as_png(photo[0]))
    expect(heading).to_have_text("Evidence for cat")

    found = np.array(page.evaluate("state.seen.logits"), "float32")
    np.testing.assert_allclose(found, logits[0], rtol=1e-3, atol=1e-3)
    found_maps = page.evaluate("Array.from(state.seen.maps.at(-1).data)")
    np.testing.assert_allclose(found_maps, maps.ravel(), rtol=1e-3, atol=1e-3)
    assert np.corrcoef(found_maps, maps.ravel())[0, 1] > 0.9999

    # The bars: the likeliest classes, the first one chosen.
    order = np.argsort(-logits[0])
    powers = np.exp(logits[0] - logits.max())
    buttons = page.locator("#bars button")
    expect(buttons).to_have_count(10)
    for button, index in zip(buttons.all(), order, strict=True):
        expect(button).to_contain_text(model.class_names[index])
        expect(button).to_contain_text(f"{powers[index] / powers.sum():.1%}")
    expect(buttons.first).to_have_attribute("aria-pressed", "true")

    # Centered evidence, in the colors of the figures.
    cat = drawn(page)
    centered = maps[0] - maps[0].mean(-1, keepdims=True)
    most = np.abs(centered).max((0, 1))
    expected = colors(page, centered[..., order[0]], most[order[0]])
    assert np.abs(cat - expected).max() < 12
    expect(page.locator("#legend")).to_contain_text(
        f"the average score: {logits[0, order[0]] - logits[0].mean():+.2f}"
    )

    second = model.class_names[order[1]]
    buttons.nth(1).click()
    expect(heading).to_have_text(f"Evidence for {second}")
    expect(buttons.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(buttons.nth(1)).to_be_focused()
    # A class with less evidence than the likeliest one looks like it.
    expected = colors(page, centered[..., order[1]], most[order[:2]].max())
    assert np.abs(drawn(page) - expected).max() < 12
    buttons.first.click()
    expect(heading).to_have_text("Evidence for cat")
    np.testing.assert_array_equal(drawn(page), cat)

    # Against another class.
    page.locator("#rival").select_option(second)
    expect(heading).to_have_text(f"cat against {second}")
    margin = maps[0, ..., order[0]] - maps[0, ..., order[1]]
    expected = colors(page, margin, float(np.abs(margin).max()))
    assert np.abs(drawn(page) - expected).max() < 12
    # A class is not compared with itself.
    buttons.nth(1).click()
    expect(heading).to_have_text(f"Evidence for {second}")


def test_shows_the_layers_of_the_file(page, model):
    photo = keras_facnn.load_images(ROOT / "samples" / "cat.jpg", model)
    choose(page, "cat.png", as_png(photo[0]))
    number = page.locator("#number")
    expect(number).to_have_text("Layer 24 of 24")
    slider = page.locator("#layer")
    for place, layer in enumerate((9, 18, 24)):
        slider.fill(str(place))
        expect(number).to_have_text(f"Layer {layer} of 24")
        (maps,) = model.class_maps(photo, layer=layer, centered=True)
        cat = maps[..., model.class_names.index("cat")]
        expected = colors(page, cat, np.abs(cat).max())
        assert np.abs(drawn(page) - expected).max() < 12
    slider.press("ArrowLeft")
    expect(number).to_have_text("Layer 18 of 24")


def colors(page, map_, most):
    """Return a map over the photo that the page shows, by the package."""
    photo = pixels(
        page,
        "middle(state.seen.picture, byId('view').width, byId('view').height)"
        ".convertToBlob()",
    )
    over = keras_facnn.plots.colorize(photo, map_, float(most))
    return over.astype("float32")


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A model of 1,000 classes and no FA layers to slide through."""
    path = tmp_path_factory.mktemp("many") / "many.onnx"
    model = keras_facnn.FACNN(1000, (32, 32, 3), (1,), (1,), space_to_depth=4)
    names = [f"thing {c}" for c in range(998)]
    names += ["tabby cat", "<img src=x onerror=alert(1)> laptop"]
    model.preset_metadata = {"class_names": names}
    model.export(path, verbose=False)
    return model, path


def open_model(page, *paths):
    page.set_input_files("#model", paths)


def test_finds_one_of_many_classes_by_typing(page, many):
    model, path = many
    open_model(page, path, f"{path}.json")
    expect(page.locator("#message")).to_be_empty()
    choose(page, "ship.jpg", (ROOT / "samples" / "ship.jpg").read_bytes())
    buttons = page.locator("#bars button")
    heading = page.locator("#heading")
    expect(buttons).to_have_count(10)
    expect(page.locator("#layers")).to_be_hidden()
    first = buttons.first.locator("span").first.inner_text()
    expect(heading).to_have_text(f"Evidence for {first}")
    find = page.get_by_label("Find another class")
    find.fill("LAPTOP")
    expect(buttons).to_have_count(1)
    find.press("Enter")
    expect(heading).to_have_text(f"Evidence for {model.class_names[-1]}")
    find.fill("thing 99")
    expect(buttons).to_have_count(9)
    find.fill("thing")
    expect(buttons).to_have_count(10)
    expect(page.locator("#more")).to_have_text("And 988 more.")
    find.fill("no such")
    expect(page.locator("#more")).to_have_text("No class has this in its name.")
    # The chosen class is always among the bars.
    find.fill("")
    expect(buttons).to_have_count(11)
    expect(buttons.last).to_have_attribute("aria-pressed", "true")
    page.locator("#rival").select_option("tabby cat")
    expect(heading).to_have_text(f"{model.class_names[-1]} against tabby cat")


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
        expect(page.locator("#size")).to_contain_text("from the middle")
    choose(page, "text.png", b"I am no picture.")
    message = page.locator("#message")
    expect(message).to_contain_text("text.png is no picture")
    expect(heading).to_have_text("Evidence for horse")


def test_a_replaced_photo_that_fails_late_says_nothing(page):
    page.evaluate("""() => {
        const read = createImageBitmap;
        window.createImageBitmap = (file) => file.name !== "slow.png"
            ? read(file) : new Promise((_, fail) => { window.fail = fail; });
    }""")
    choose(page, "slow.png", b"I am no picture.")
    expect(page.locator("#message")).to_have_text("Looking …")
    choose(page, "text.png", b"I am no picture.")
    message = page.locator("#message")
    expect(message).to_contain_text("text.png is no picture")
    page.evaluate("fail(); new Promise((done) => setTimeout(done, 100))")
    expect(message).to_contain_text("text.png is no picture")


def test_each_of_several_labels_has_its_own_share(page, tmp_path):
    """Yellow is red and green, and gray is neither."""
    model = keras_facnn.FACNN(3, (16, 16, 3), (1,), (1,), threshold=True)
    model.get_layer("conv_1").set_weights([np.zeros((3, 3, 3, 3))])
    model.head.set_weights([np.log(60.0), np.log(0.4)])
    model.preset_metadata = {"class_names": ["red", "green", "blue"]}
    model.export(tmp_path / "colors.onnx", verbose=False)
    open_model(page, tmp_path / "colors.onnx", tmp_path / "colors.onnx.json")
    expect(page.locator("#message")).to_be_empty()
    photo = np.zeros((16, 16, 3), "uint8")
    photo[..., :2] = 255
    bars = page.locator("#bars button")
    for pixels, share in ((photo, "99.8%"), (photo // 2, "< 0.1%")):
        choose(page, "photo.png", as_png(pixels))
        expect(bars.nth(0)).to_contain_text(f"red{share}")
        expect(bars.nth(1)).to_contain_text(f"green{share}")
        expect(bars.nth(2)).to_contain_text("blue< 0.1%")


def broken(path):
    """Return pairs of files that are no model, most of them by one defect."""
    model, facts = path.read_bytes(), path.with_suffix(".onnx.json").read_text()
    cases = {
        "text": (b"not a model", facts),
        "half": (model[: len(model) // 2], facts),
        "no_json": (model, "{"),
        "null": (model, "null"),
    }
    # As if the file were the right one.
    for case in ("text", "half"):
        sha256 = hashlib.sha256(cases[case][0]).hexdigest()
        changed = {**json.loads(facts), "sha256": sha256}
        cases[f"{case}_of_this_hash"] = cases[case][0], json.dumps(changed)
    for case, change in {
        "names": {"class_names": 7},
        "fewer": {"class_names": ["a", "b"]},
        "objects": {"class_names": [{}, {}, {"a": 1}]},
        "shape": {"image_shape": None},
        "other_shape": {"image_shape": [16, 25, 1]},
        "huge": {"image_shape": [1e9, 1e9, 1]},
        "layers": {"layers": [0.5]},
        "more_layers": {"layers": [1, 2]},
        "no_layers": {"layers": []},
        "function": {"probabilities": "none"},
        "no_hash": {"sha256": None},
        "other_hash": {"sha256": "0" * 64},
    }.items():
        cases[case] = model, json.dumps({**json.loads(facts), **change})
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


def test_says_what_is_missing_beside_the_page(browser, url):
    """Without its JSON, a file cannot be used."""
    context = browser.new_context()
    context.route(f"{CDN}**", from_package)
    context.route("**/model.onnx.json", lambda route: route.fulfill(status=404))
    page = context.new_page()
    page.goto(url)
    message = page.locator("#message")
    expect(message).to_contain_text("there is no model.onnx.json")
    expect(page.locator("#photo")).to_be_disabled()
    context.unroute("**/model.onnx.json")
    # Both are there, but are not of one model.
    context.route("**/model.onnx", lambda route: route.fulfill(body="other"))
    page.goto(url)
    expect(message).to_contain_text(
        "model.onnx is missing, or is not the file that model.onnx.json is"
    )
    context.close()


def test_opens_with_the_photo_beside_it(browser, url):
    photo = (ROOT / "samples" / "ship.jpg").read_bytes()
    context = browser.new_context()
    context.route(f"{CDN}**", from_package)
    context.route("**/photo.jpg", lambda route: route.fulfill(body=photo))
    page = context.new_page()
    page.goto(url)
    expect(page.locator("#heading")).to_have_text("Evidence for ship")
    expect(page.locator("#size")).to_have_text(
        "The network reads 32 x 32 pixels."
    )
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
    for case, (content, facts) in broken(tmp_path / "small.onnx").items():
        (tmp_path / f"{case}.onnx").write_bytes(content)
        (tmp_path / f"{case}.onnx.json").write_text(facts)
        open_model(
            page, tmp_path / f"{case}.onnx", tmp_path / f"{case}.onnx.json"
        )
        expect(message).to_contain_text(f"{case}.onnx")
        # The previous model is still there and still works.
        expect(heading).to_have_text("Evidence for ship")
        assert page.evaluate(view) == ship
        choose(page, "ship.jpg", photo)
        expect(message).to_be_empty()
        expect(heading).to_have_text("Evidence for ship")
    # Without the JSON, the page says what is missing.
    open_model(page, tmp_path / "small.onnx")
    expect(message).to_contain_text(
        "Choose two files together: small.onnx and small.onnx.json"
    )
    open_model(page, tmp_path / "small.onnx", tmp_path / "small.onnx.json")
    expect(message).to_be_empty()
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (16, 24), dtype="uint8")
    choose(page, "gray.png", as_png(photo))
    expect(page.locator("#heading")).to_contain_text("Evidence for class")
    expect(page.locator("#layers")).to_be_hidden()
    logits = small.predict_with_maps(photo[None, ..., None])[0]
    np.testing.assert_allclose(
        page.evaluate("state.seen.logits"), logits[0], rtol=1e-3, atol=1e-3
    )
