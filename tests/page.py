"""Click through the page of `keras-facnn demo`: `make test-page`.

This needs Chromium, Playwright and Gradio, so it is not a part of the suite.
"""

import base64
import concurrent.futures
import functools
import http.server
import io
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import keras
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from playwright.sync_api import sync_playwright

import keras_facnn

ROOT = pathlib.Path(__file__).parents[1]
# Folder to write pictures of the page into, for a person to look at.
SCREENSHOTS = os.environ.get("KERAS_FACNN_SCREENSHOTS")


# The command line, changed in two ways: it prints each access to the network,
# and it collects garbage on a signal.
COMMAND = """
import gc, runpy, signal, socket, sys

def guarded(function, place):
    def asked(*args, **kwargs):
        if place(args) not in (None, "127.0.0.1", "localhost"):
            print("asks the network for", args, file=sys.stderr)
            raise OSError("network")
        return function(*args, **kwargs)
    return asked

socket.socket.connect = guarded(
    socket.socket.connect,
    lambda args: args[1][0] if args[0].family == socket.AF_INET else "other",
)
socket.getaddrinfo = guarded(socket.getaddrinfo, lambda args: args[0])
signal.signal(signal.SIGUSR1, lambda *_: gc.collect())
sys.argv = ["keras_facnn", "demo", "--preset", "cifar10", "--port", "0"]
sys.argv += ARGUMENTS

from keras_facnn.demo import handlers, visits

visits._GRACE = 1
if BUSY:
    def look(*args):
        print("looks", flush=True)
        time.sleep(60)
    import time
    handlers.analyze = look
runpy.run_module("keras_facnn", run_name="__main__")
"""


@pytest.fixture(scope="module")
def temporary(tmp_path_factory):
    """Folder of temporary files of the process that serves the page."""
    return tmp_path_factory.mktemp("temporary")


def start(temporary, *arguments, busy=False):
    """Start the command line; return its process and the URL of its page."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"ARGUMENTS, BUSY = {arguments!r}, {busy}\n{COMMAND}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    line = process.stdout.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert found, line + process.communicate(timeout=30)[1]
    return process, found[0]


def files_of_the_page(temporary):
    # PyTorch makes a folder for compiled code.
    return [
        path
        for path in temporary.rglob("*")
        if not path.relative_to(temporary).parts[0].startswith("torch")
    ]


@pytest.fixture(scope="module")
def process_and_url(temporary):
    """Process and URL of the page of the command line, closed by Ctrl-C."""
    process, url = start(temporary)
    try:
        yield process, url
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert out == "The page is closed\n"
    (line,) = err.splitlines()
    assert line.startswith("Loading cifar10 on ")
    assert process.returncode == 0
    assert files_of_the_page(temporary) == []


@pytest.fixture
def url(process_and_url):
    return process_and_url[1]


@pytest.fixture(scope="module")
def browser():
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def url_of_many(temporary, tmp_path_factory):
    """The page of a converted classifier of 1,000 classes."""
    keras.utils.set_random_seed(0)
    classifier = keras.Sequential(
        [
            keras.Input((64, 64, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(32, 8, strides=8, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1000),
        ]
    )
    names = [f"thing {c}" for c in range(998)] + ["tabby cat", "laptop"]
    preset = str(tmp_path_factory.mktemp("presets") / "many")
    keras_facnn.FACNN.from_classifier(classifier, names).save_to_preset(preset)
    process, url = start(temporary, "--preset", preset)
    yield url
    process.send_signal(signal.SIGINT)
    assert "Traceback" not in process.communicate(timeout=60)[1]


@pytest.fixture(params=[1280, 390], ids=["wide", "narrow"])
def page(request, browser, url):
    """The open page; check that no request leaves this computer."""
    context = browser.new_context(
        viewport={"width": request.param, "height": 900}
    )
    page = context.new_page()
    page.set_default_timeout(120_000)
    expect.set_options(timeout=120_000)
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url)
    expect(page.locator("#fa-second img")).to_be_attached()
    yield page
    if SCREENSHOTS:
        page.screenshot(
            path=f"{SCREENSHOTS}/{request.node.name}.png", full_page=True
        )
    # Nothing is wider than the screen.
    width = page.evaluate("document.documentElement.scrollWidth")
    context.close()
    assert width == request.param
    assert errors == []
    assert len(asked) > 10
    # Gradio's queue loses requests that arrive while it closes a stream.
    assert not [a for a in asked if "/queue/" in a]
    hosts = {urllib.parse.urlsplit(a).hostname for a in asked}
    # The data: and blob: URLs of the page have no host.
    assert hosts - {None} == {"127.0.0.1"}


def heading(page):
    return page.locator("#fa-view h3")


def picture(page, where="#fa-view"):
    return page.locator(f"{where} img").get_attribute("src")


def pixels(source):
    data = base64.b64decode(source.partition("base64,")[2])
    return np.asarray(Image.open(io.BytesIO(data)), "float32")


def changes(page, before, where="#fa-view"):
    """Wait for another picture, and return it."""
    image = page.locator(f"{where} img")
    expect(image).not_to_have_attribute("src", before)
    return image.get_attribute("src")


def slide(page, layer):
    page.locator("#fa-layer input[type=range]").fill(str(layer))


def bars(page):
    """Return the signed bars of all layers in pixels, and their sum."""
    chart = page.locator("#fa-evidence svg")
    heights = [
        float(rect.get_attribute("height"))
        * (1 if "fa-for" in rect.get_attribute("class") else -1)
        for rect in chart.locator("rect").all()
    ]
    return heights, float(chart.get_attribute("data-sum"))


def test_shows_what_speaks_for_each_class_at_each_layer(page):
    expect(heading(page)).to_have_text("Evidence for cat, layer 24")
    first = page.locator("#fa-bars button").first
    expect(first).to_contain_text("cat")
    expect(first).to_have_attribute("aria-pressed", "true")
    cat = picture(page)
    heights, total = bars(page)
    assert len(heights) == 25
    expect(page.locator("#fa-view")).to_contain_text(
        f"the average score: {total:+.2f}"
    )

    slide(page, 12)
    expect(heading(page)).to_have_text("Evidence for cat, layer 12")
    expect(page.locator("#fa-view")).to_contain_text(
        "Stopped at layer 12 of 24, the network would say"
    )
    middle = changes(page, cat)
    # The bars stay, because they show all layers; only the mark moves.
    assert bars(page) == (heights, total)
    slide(page, 24)
    expect(heading(page)).to_have_text("Evidence for cat, layer 24")
    assert changes(page, middle) == cat

    second = page.locator("#fa-bars button").nth(1)
    name = second.locator(".fa-name").inner_text()
    second.click()
    expect(heading(page)).to_have_text(f"Evidence for {name}, layer 24")
    expect(second).to_have_attribute("aria-pressed", "true")
    expect(first).to_have_attribute("aria-pressed", "false")
    expect(page.locator("#fa-class input")).to_have_value(name)
    changes(page, cat)
    assert bars(page)[1] < total


def test_shows_what_decides(page):
    expect(page.locator("#fa-view")).to_contain_text("the average class")
    centered = picture(page)
    beyond = bars(page)[1]
    page.get_by_label("raw").check()
    expect(page.locator("#fa-view")).to_contain_text("its whole score")
    raw = changes(page, centered)
    whole = bars(page)[1]
    assert 0 < beyond < whole

    expect(page.locator("#fa-rival")).to_be_hidden()
    page.get_by_label("contrast").check()
    rival = page.locator("#fa-bars .fa-name").nth(1).inner_text()
    expect(heading(page)).to_have_text(f"cat against {rival}, layer 24")
    expect(page.locator("#fa-rival input")).to_have_value(rival)
    contrast = changes(page, raw)
    margin = bars(page)[1]
    expect(page.locator("#fa-view")).to_contain_text(
        f"the difference of their scores: {margin:+.2f}"
    )

    # Typing searches.
    page.locator("#fa-rival input").click()
    page.keyboard.type("do")
    page.keyboard.press("Enter")
    expect(heading(page)).to_have_text("cat against dog, layer 24")
    changes(page, contrast)
    assert bars(page)[1] > margin - 1e-6

    # With the two classes swapped, all signs change.
    page.locator("#fa-class input").click()
    page.locator("#fa-class").get_by_role("option", name="dog").click()
    expect(heading(page)).to_contain_text("dog against")
    page.locator("#fa-rival input").click()
    page.locator("#fa-rival").get_by_role("option", name="cat").click()
    expect(heading(page)).to_have_text("dog against cat, layer 24")
    assert bars(page)[1] < 0


@pytest.mark.parametrize("width", [1280, 390])
def test_finds_one_of_many_classes_by_typing(browser, url_of_many, width):
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    page.set_default_timeout(120_000)
    expect.set_options(timeout=120_000)
    page.goto(url_of_many)
    expect(page.locator("#fa-file label")).to_be_visible()
    expect(page.locator("#fa-class")).to_be_hidden()
    upload(page, "ship.jpg", (ROOT / "samples" / "ship.jpg").read_bytes())
    names = page.locator("#fa-bars .fa-name")
    expect(names).to_have_count(10)
    first = names.first.inner_text()
    expect(heading(page)).to_have_text(f"Evidence for {first}")
    # No layers to slide through, and no shares of layers.
    expect(page.locator("#fa-layer")).to_be_hidden()
    expect(page.locator("#fa-evidence svg")).to_have_count(0)

    search = page.get_by_label("Or find one of all 1,000 classes")
    search.click()
    page.keyboard.type("lapt")
    page.keyboard.press("Enter")
    expect(heading(page)).to_have_text("Evidence for laptop")
    # A class that is not likely has a bar besides.
    expect(names).to_have_count(11)
    expect(names.last).to_have_text("laptop")
    page.get_by_label("contrast").check()
    expect(heading(page)).to_have_text(f"laptop against {first}")
    page.get_by_label("Against (type to search)").click()
    page.keyboard.type("tabby")
    page.keyboard.press("Enter")
    expect(heading(page)).to_have_text("laptop against tabby cat")
    names.nth(1).click()
    expect(heading(page)).to_contain_text("against tabby cat")
    # The map is in sight.
    expect(page.locator("#fa-view img")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    context.close()


def test_compares_with_grad_cam(page):
    beside = page.locator("#fa-second")
    expect(beside).to_contain_text("32 x 32 pixels")
    box = page.get_by_label("Compare with Grad-CAM")
    box.check()
    expect(beside.locator("h3")).to_have_text("Grad-CAM for cat, layer 24")
    expect(beside).to_contain_text("it is the same map")
    page.get_by_label("raw").check()
    expect(page.locator("#fa-view")).to_contain_text("its whole score")
    # The colors are the same too, so the pictures are equal.
    last = picture(page, "#fa-second")
    difference = pixels(last) - pixels(picture(page))
    assert np.abs(difference).max() < 8
    slide(page, 8)
    expect(beside.locator("h3")).to_have_text("Grad-CAM for cat, layer 8")
    changes(page, last, "#fa-second")
    box.uncheck()
    expect(beside).to_contain_text("32 x 32 pixels")


def test_takes_another_photo(page, temporary):
    before = picture(page)
    page.locator("#fa-samples button[title=ship]").click()
    expect(heading(page)).to_have_text("Evidence for ship, layer 24")
    sample = changes(page, before)

    file = io.BytesIO()
    Image.new("RGB", (900, 300), "skyblue").save(file, "JPEG")
    upload(page, "sky.jpg", file.getvalue())
    sky = changes(page, sample)
    expect(page.locator("#fa-photo")).to_contain_text("looks at the middle")
    # The drop zone is ready for the next photo.
    expect(page.locator("#fa-file")).to_contain_text("Drop a photo here")
    expect(page.locator("#fa-message")).to_be_hidden()
    # The photo is not kept in a file.
    assert files_of_the_page(temporary) == []

    # Upload the same file again, and then drop a file.
    page.locator("#fa-samples button[title=ship]").click()
    changes(page, sky)
    upload(page, "sky.jpg", file.getvalue())
    expect(page.locator("#fa-view img")).to_have_attribute("src", sky)
    page.evaluate(
        """async (source) => {
            const data = new DataTransfer();
            const blob = await (await fetch(source)).blob();
            data.items.add(new File([blob], "ship.jpg"));
            document.querySelector("#fa-file label").dispatchEvent(
                new DragEvent("drop", {dataTransfer: data, bubbles: true}));
        }""",
        picture(page, "#fa-samples button[title=ship]"),
    )
    changes(page, sky)
    expect(heading(page)).to_contain_text("Evidence for ship")


def hold(page):
    """Hold the next answer back until the returned function is called."""
    held = []

    def handle(route):
        if held:
            route.continue_()
        else:
            held.append(route)

    def let_go():
        held[0].continue_()

    page.route("**/gradio_api/run/**", handle)
    return let_go


def test_draws_what_was_asked_for_last(page):
    def bar(n):
        return page.locator("#fa-bars button").nth(n)

    let_go = hold(page)
    with page.expect_request("**/gradio_api/run/**"):
        bar(1).click()
    bar(2).click()
    expect(bar(2)).to_have_attribute("aria-pressed", "true")
    slide(page, 5)
    name = bar(2).locator(".fa-name").inner_text()
    let_go()
    expect(heading(page)).to_have_text(f"Evidence for {name}, layer 5")
    expect(page.locator("#fa-class input")).to_have_value(name)
    slide(page, 24)
    expect(heading(page)).to_have_text(f"Evidence for {name}, layer 24")

    page.unroute("**/gradio_api/run/**")
    let_go = hold(page)
    with page.expect_request("**/gradio_api/run/**"):
        page.locator("#fa-samples button[title=horse]").click()
    page.locator("#fa-samples button[title=ship]").click()
    let_go()
    expect(heading(page)).to_have_text("Evidence for ship, layer 24")
    # A new request shows the likeliest class again.
    bar(1).click()
    expect(heading(page)).not_to_have_text("Evidence for ship, layer 24")
    page.locator("#fa-samples button[title=ship]").click()
    expect(heading(page)).to_have_text("Evidence for ship, layer 24")


def upload(page, name, content):
    page.set_input_files(
        "#fa-file input[type=file]",
        {
            "name": name,
            "mimeType": "image/" + name.rpartition(".")[2],
            "buffer": content,
        },
    )


def test_limits_the_bytes_of_a_file(page, url, tmp_path):
    path = tmp_path / "long.png"
    path.write_bytes(bytes(33 * 2**20))
    page.set_input_files("#fa-file input[type=file]", path)
    refusal = page.locator("#fa-file [role=alert]")
    expect(refusal).to_have_text(
        "The file has more than 32 MB. At most 32 MB are read."
    )
    # The server also refuses it from a client that does not use the page.
    assert ask(url, path.read_bytes())[0] == 413
    status, shown = ask(url, bytes(32 * 2**20))
    assert status == 200
    assert "cannot be read as an image" in shown["message"]
    upload(page, "sky.png", as_png(np.full((40, 40, 3), 200)))
    expect(refusal).to_be_hidden()


def test_refuses_bad_files_and_lives_on(page, temporary):
    def plain(*args):
        file = io.BytesIO()
        Image.new(*args).save(file, "PNG")
        return file.getvalue()

    before = picture(page)
    message = page.locator("#fa-message")
    for name, content, message_text in (
        ("text.png", b"I am no picture.", "it is of no known format"),
        ("bomb.png", plain("1", (13000, 13000)), "13000 x 13000 pixels"),
        ("dot.png", plain("RGB", (1, 1)), "has 1 x 1 pixels, too few"),
        ("cut.png", plain("RGB", (90, 90))[:60], "truncated"),
        # Python decodes this format, which takes minutes for large files.
        ("slow.png", b"P3 1 1 255 9 9 9", "of the format PPM"),
        ("large.png", plain("1", (8000, 5000)), "8000 x 5000 pixels"),
    ):
        upload(page, name, content)
        expect(message).to_contain_text(message_text)
        assert picture(page) == before
    assert files_of_the_page(temporary) == []

    page.locator("#fa-samples button[title=ship]").click()
    expect(heading(page)).to_have_text("Evidence for ship, layer 24")
    expect(message).to_be_hidden()


def answer(url, path, body=None, **headers):
    """Return the status and the text of an answer of the page's server."""
    request = urllib.request.Request(url + path, body, headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as e:
        with e:
            return e.code, e.read().decode()


def as_png(pixels):
    file = io.BytesIO()
    Image.fromarray(np.asarray(pixels, "uint8")).save(file, "PNG")
    return file.getvalue()


@functools.cache
def questions(url):
    """Return the number of the page's request, and the names of its outputs."""
    config = json.loads(answer(url, "/config")[1])
    names = {
        part["id"]: part["props"].get("elem_id") or part["type"]
        for part in config["components"]
    }
    (question,) = (d for d in config["dependencies"] if len(d["inputs"]) == 8)
    return question["id"], [
        names[output].removeprefix("fa-") for output in question["outputs"]
    ]


def send(url, body):
    return answer(
        url,
        "/gradio_api/run/predict",
        body if isinstance(body, bytes) else json.dumps(body).encode(),
        **{"Content-Type": "application/json"},
    )


def ask(url, photo=None, visit="test", c=None, layer=24):
    """Return the status, and the parts of the page that answer a request."""
    index, names = questions(url)
    if photo is not None:
        data = base64.b64encode(photo).decode()
        photo = f"data:image/png;base64,{data}"
    data = [None, None, photo, None, c, layer, "raw", None]
    status, text = send(
        url, {"data": data, "fn_index": index, "session_hash": visit}
    )
    if status != 200:
        return status, text
    shown = {}
    for name, part in zip(names, json.loads(text)["data"], strict=True):
        shown[name] = part.get("value") if isinstance(part, dict) else part
    return status, shown


def test_answers_only_its_own_hosts_and_pages(url):
    host = url.removeprefix("http://")
    assert answer(url, "/")[0] == 200
    assert answer(url, "/config", Origin=url)[0] == 200
    for name in (
        *("evil.example", "evil.example:80", f"{host}@evil", ""),
        *("127.0.0.1:evil", "evil@127.0.0.1", "127.0.0.1/evil", "127.0.0.1#e"),
        *(
            "evil.example[::1]",
            "[::1].evil",
            "localhost.evil",
            "127.0.0.1.evil",
        ),
    ):
        assert answer(url, "/", Host=name)[0] in (400, 421), name
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        assert answer(url, "/config", Origin=origin)[0] == 403, origin
    for path in (
        "file=/etc/passwd",
        "proxy=http://127.0.0.1/",
        "deep_link?session_hash=x",
        "component_server",
        "vibe-code",
    ):
        assert answer(url, f"/gradio_api/{path}")[0] == 404, path


def test_takes_no_body_of_unknown_length(url):
    """If a body comes in chunks, its header does not give its length."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), 30) as connection:
        connection.sendall(
            b"POST /gradio_api/run/predict HTTP/1.1\r\n"
            b"Host: %s\r\nContent-Length: 5\r\n"
            % f"{host}:{port}".encode()
            + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
        )
        assert connection.recv(99).startswith(b"HTTP/1.1 411")


def test_is_not_shown_inside_another_page(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url) as response:
        assert response.headers["X-Frame-Options"] == "DENY"
        policy = response.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_reads_and_fetches_nothing_for_a_question(url, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes((ROOT / "samples" / "ship.jpg").read_bytes())
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    fetched = []

    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            fetched.append(self.path)
            self.send_error(404)

        log_message = None

    other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=other.serve_forever, daemon=True).start()
    there = f"http://127.0.0.1:{other.server_port}"
    index, _ = questions(url)
    whole = [None, None, None, None, None, 24, "raw", None]
    for path in (
        "/etc/passwd",
        secret,
        fifo,
        "/dev/zero",
        "gradio_api/file=/etc/passwd",
        f"{url}/config",
        f"{there}/photo.png",
        "http://photos.example/photo.png",
    ):
        file = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
        for named in (file, {**file, "url": str(path)}, [file], {"a": file}):
            for place in range(len(whole)):
                data = [*whole[:place], named, *whole[place + 1 :]]
                found = send(
                    url,
                    {"data": data, "fn_index": index, "session_hash": "test"},
                )
                assert found == (400, "Bad Request"), (path, place)
    other.shutdown()
    other.server_close()
    assert fetched == []
    assert secret.exists()
    assert ask(url)[0] == 200


def test_refuses_what_is_no_question(url):
    index, _ = questions(url)
    right = {
        "data": [None, None, None, None, None, 24, "raw", None],
        "fn_index": index,
        "session_hash": "test",
    }
    for body in (
        b"{",
        b"\xff",
        b"[]",
        b"[" * 50_000,
        b"9" * 9_000,
        b'{"data": []}',
        b'"data:' + b"A" * 9_000,
        {**right, "data": "none"},
        {**right, "data": ["A" * 70_000]},
        {**right, "fn_index": "0"},
        {**right, "session_hash": "../etc"},
        {**right, "session_hash": None},
    ):
        assert send(url, body) == (400, "Bad Request"), str(body)[:80]
    file = b'--x\r\nContent-Disposition: form-data; name="files"; filename="x"'
    assert answer(
        url,
        "/gradio_api/upload",
        file + b"\r\n\r\nx\r\n--x--",
        **{"Content-Type": "multipart/form-data; boundary=x"},
    ) == (404, "Not Found")
    assert send(url, right)[0] == 200


def test_stays_usable_while_many_ask(url):
    photo = (ROOT / "samples" / "ship.jpg").read_bytes()
    with concurrent.futures.ThreadPoolExecutor(100) as threads:
        asked = [
            threads.submit(ask, url, photo, f"busy{n}") for n in range(100)
        ]
        time.sleep(0.5)
        start = time.monotonic()
        for _ in range(5):
            assert answer(url, "/theme.css")[0] == 200
        # In a queue, the first of them would wait for the last request.
        between = [future.done() for future in asked]
        took = time.monotonic() - start
        statuses = [future.result()[0] for future in asked]
    assert set(statuses) <= {200, 503}, statuses
    assert statuses.count(200) >= 60
    assert not all(between), took


def test_answers_all_who_bring_one_photo_at_once(url, temporary):
    photo = (ROOT / "samples" / "ship.jpg").read_bytes()
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda n: ask(url, photo, f"one{n}"), range(6)))
    assert [status for status, _ in found] == [200] * 6
    for _, shown in found:
        assert "Evidence for ship" in shown["view"]
        assert shown == found[0][1]
    assert files_of_the_page(temporary) == []


def test_forgets_a_visit_that_is_over(url):
    photo = (ROOT / "samples" / "ship.jpg").read_bytes()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def layer_of_ship(visit):
        _, shown = ask(url, visit=visit, c=0, layer=7)
        return shown["message"] or shown["view"]

    with opener.open(f"{url}/gradio_api/heartbeat/open", timeout=30):
        for visit in ("open", "none"):
            ask(url, photo, visit)
            assert "Evidence for" in layer_of_ship(visit)
        time.sleep(2)
        assert "Evidence for" in layer_of_ship("open")
        assert "no longer has this photo" in layer_of_ship("none")
    # The connection of this visit was closed.
    time.sleep(3)
    assert "no longer has this photo" in layer_of_ship("open")


def test_visits_leave_no_memory_behind(process_and_url):
    """Run more visits by `KERAS_FACNN_VISITS=300 pytest -s -k memory ...`."""
    process, url = process_and_url
    visits = int(os.environ.get("KERAS_FACNN_VISITS", 60))

    def megabytes():
        process.send_signal(signal.SIGUSR1)
        # This request wakes the process, which then collects garbage.
        answer(url, "/config")
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    rng = np.random.default_rng(0)
    taken = {}
    for visit in range(1, visits + 1):
        photo = as_png(rng.integers(0, 256, (480, 480, 3)))
        answer(url, "/")
        _, shown = ask(url, photo, f"visit{visit}")
        assert "Evidence for" in shown["view"]
        if visit in (20, visits):
            taken[visit] = megabytes()
    print("MB after so many visits:", taken)
    assert taken[visits] < taken[20] + (40 if visits <= 60 else 100)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ends_soon_and_leaves_nothing(tmp_path, sent):
    """This holds while it explains a photo, and for a page with `--host`."""
    process, url = start(tmp_path, "--host", "0.0.0.0", busy=True)
    try:
        assert "not by its name" in process.stdout.readline()
        port = url.rpartition(":")[2]
        for name, status in (
            (f"127.0.0.1:{port}", 200),
            (f"192.0.2.7:{port}", 200),
            (f"localhost:{port}", 200),
            (f"evil.example:{port}", 421),
            (f"192.0.2.7.example:{port}", 421),
        ):
            assert answer(url, "/", Host=name)[0] == status, name
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            pool.submit(ask, url)
            assert process.stdout.readline() == "looks\n"
            process.send_signal(sent)
            began = time.monotonic()
            out, err = process.communicate(timeout=30)
            assert time.monotonic() - began < 8
    finally:
        process.kill()
        process.wait()
    (line,) = err.splitlines()
    assert line.startswith("Loading cifar10 on ")
    # A process that sends SIGTERM must see that it ended this one.
    killed = sent == signal.SIGTERM
    assert out == ("" if killed else "The page is closed\n")
    assert process.returncode == (-sent if killed else 0)
    assert files_of_the_page(tmp_path) == []
