"""Presets of the Hub load by its own library, from a local server."""

import re
import sys

import PIL.Image
import pytest

import keras_facnn
from keras_facnn import FACNN
from keras_facnn.presets.card import model_card
from tests.presets.server import Hub
from tests.presets.server import Server
from tests.presets.server import same

yaml = pytest.importorskip("yaml")
pytestmark = pytest.mark.only_on("torch")

METADATA = {
    "description": "Four animals.\nAnd: more",
    "class_names": ["ant", "bee", "cat", "dog"],
    "dataset": {"name": "Pets: & friends, https://example.org/pets"},
    "license": "Apache-2.0; the backbone's too",
    "metrics": {"top_1": 0.875, "images": 16},
}


@pytest.fixture
def hub(small_model, tmp_path, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    small_model.save_to_preset(tmp_path / "repo")
    hub = Hub(tmp_path / "repo")
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", "secret")
    yield hub
    hub.close()


def test_loads_from_the_hub(hub, small_model):
    same(FACNN.from_preset("hf://user/repo"), small_model)
    assert {token for _, token in hub.requests} == {"Bearer secret"}


def test_caches_what_it_fetched(hub, small_model, monkeypatch):
    FACNN.from_preset("hf://user/repo")
    hub.requests.clear()
    same(FACNN.from_preset(f"hf://user/repo@{hub.commit}"), small_model)
    assert hub.requests == []
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    same(FACNN.from_preset("hf://user/repo"), small_model)
    assert hub.requests == []


def test_fetches_the_requested_revision(hub, small_model):
    same(FACNN.from_preset("hf://user/repo@v1"), small_model)
    assert hub.requests[0][0] == "/user/repo/resolve/v1/config.json"
    # All files are of one commit, even if another is pushed meanwhile.
    commits = {
        path.split("/")[4]
        for path, _ in hub.requests
        if not path.endswith("/config.json")
    }
    assert commits == {hub.commit}
    with pytest.raises(ValueError, match="user/repo@v2 could not be fetched"):
        FACNN.from_preset("hf://user/repo@v2")


def test_the_token_stays_with_the_hub(hub, small_model, tmp_path):
    other = Server(tmp_path)
    hub.redirect = f"{other.url}/repo/model.weights.h5"
    same(FACNN.from_preset("hf://user/repo"), small_model)
    assert set(other.requests) == {("/repo/model.weights.h5", None)}
    other.close()


def test_the_token_comes_along_within_the_hub(hub, small_model):
    hub.redirect = f"{hub.url}/user/repo/resolve/main/model.weights.h5?x"
    same(FACNN.from_preset("hf://user/repo"), small_model)
    assert {token for _, token in hub.requests} == {"Bearer secret"}


def test_a_flipped_byte_is_noticed(hub, tmp_path):
    path = tmp_path / "repo" / "model.weights.h5"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="sha256 should be .* Received"):
        FACNN.from_preset("hf://user/repo")


def test_what_is_too_large_is_not_fetched(hub, tmp_path):
    with open(tmp_path / "repo" / "model.weights.h5", "r+b") as file:
        file.truncate(2**30)
    with pytest.raises(ValueError, match="larger than it can be.*Received"):
        FACNN.from_preset("hf://user/repo")
    fetched = [p for p in (tmp_path / "cache").rglob("*") if p.is_file()]
    assert max(p.stat().st_size for p in fetched) < 2**20


@pytest.mark.parametrize("name", ["config.json", "model.weights.h5"])
def test_what_is_not_there_is_named(hub, tmp_path, name):
    (tmp_path / "repo" / name).unlink()
    with pytest.raises(ValueError, match=f"{name} of hf://user/repo.*address"):
        FACNN.from_preset("hf://user/repo")


def test_what_was_not_fetched_is_not_there_offline(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match="config.json of hf://user/repo"):
        FACNN.from_preset("hf://user/repo")


def test_messages_of_the_hub_are_printable(hub, monkeypatch):
    import huggingface_hub

    def refuse(*args, **kwargs):
        raise ValueError("No\x1b[2K\x1b]0;t\x07\n\u202e")

    monkeypatch.setattr(huggingface_hub.HfApi, "hf_hub_download", refuse)
    with pytest.raises(ValueError, match=r"No\\x1b\[2K") as raised:
        FACNN.from_preset("hf://user/repo")
    assert str(raised.value).isprintable()


def test_uploads_what_loads(hub, small_model, tmp_path):
    for file in hub.folder.iterdir():
        file.unlink()
    small_model.save_to_preset(tmp_path / "mine", {"license": "CC0-1.0"})
    (tmp_path / "mine" / "notes.txt").write_text("not for others")
    url = keras_facnn.upload_preset("hf://user/repo", tmp_path / "mine")
    assert url == f"{hub.url}/user/repo/commit/{hub.commit}"
    assert {token for _, token in hub.requests} == {"Bearer secret"}
    assert sorted(p.name for p in hub.folder.iterdir()) == [
        "README.md",
        "config.json",
        "metadata.json",
        "model.weights.h5",
    ]
    loaded = FACNN.from_preset("hf://user/repo")
    same(loaded, small_model)
    assert loaded.preset_metadata["license"] == "CC0-1.0"


def test_a_model_card_goes_along(hub, small_model, tmp_path):
    small_model.save_to_preset(tmp_path / "mine", METADATA)
    keras_facnn.upload_preset("hf://user/repo", tmp_path / "mine")
    card = (hub.folder / "README.md").read_text("utf-8")
    _, head, body = card.split("---\n", 2)
    assert yaml.safe_load(head) == {
        "library_name": "keras-facnn",
        "pipeline_tag": "image-classification",
        "license": "apache-2.0",
        "datasets": ["pets-friends"],
        "metrics": ["accuracy"],
        "tags": ["fa-cnn", "explainability", "attribution"],
    }
    for fact in (
        "# repo",
        "Four animals. And: more",
        "4 classes: ant, bee, cat, dog",
        "Images: 16x16x3",
        "Top-1 accuracy: 87.5% of 16 images",
        "Trained on: Pets: & friends, https://example.org/pets",
        "License: Apache-2.0; the backbone's too",
    ):
        assert fact in body
    # Someone may have changed it.
    (hub.folder / "README.md").write_text("My own words")
    keras_facnn.upload_preset("hf://user/repo", tmp_path / "mine")
    assert (hub.folder / "README.md").read_text() == "My own words"


def test_the_card_of_a_branch_loads_from_it(hub, small_model, tmp_path):
    small_model.save_to_preset(tmp_path / "mine", METADATA)
    keras_facnn.upload_preset("hf://user/repo@v1", tmp_path / "mine")
    card = (hub.folder / "README.md").read_text("utf-8")
    assert 'FACNN.from_preset("hf://user/repo@v1")' in card
    assert "\n# repo\n" in card


@pytest.mark.parametrize(
    "license, known",
    [("MIT", "mit"), ("CC0", "other"), ("Ask me.", "other"), (None, None)],
)
def test_the_card_names_a_license_as_the_hub_does(license, known):
    record = {"license": license, "input": {"shape": [8, 8, 3]}}
    head = model_card({**record, "parameters": 1}, "hf://a/b").split("---")[1]
    assert yaml.safe_load(head).get("license") == known


def test_the_lines_of_the_card_load_the_preset(
    small_model, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    small_model.save_to_preset("mine", METADATA)
    record = FACNN.from_preset("mine").preset_metadata
    PIL.Image.new("RGB", (20, 10)).save("photo.jpg")
    card = model_card(record, "./mine")
    (lines,) = re.findall("```python\n(.*?)```", card, re.DOTALL)
    assert len(lines.splitlines()) == 6
    exec(lines, {})
    assert capsys.readouterr().out.strip("[]\n'") in METADATA["class_names"]
    assert (tmp_path / "why.png").stat().st_size > 1000


def test_uploads_nothing_damaged(hub, small_model, tmp_path):
    small_model.save_to_preset(tmp_path / "mine")
    path = tmp_path / "mine" / "model.weights.h5"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match="damaged"):
        keras_facnn.upload_preset("hf://user/repo", tmp_path / "mine")
    with pytest.raises(ValueError, match="no preset"):
        keras_facnn.upload_preset("hf://user/repo", tmp_path / "other")
    assert hub.requests == []


def test_says_what_the_hub_refuses(hub, small_model, tmp_path):
    small_model.save_to_preset(tmp_path / "mine")
    with pytest.raises(ValueError, match="hf://user/other could not be upl"):
        keras_facnn.upload_preset("hf://user/other", tmp_path / "mine")
    hub.close()
    with pytest.raises(ConnectionError, match="hf://user/repo could not be"):
        keras_facnn.upload_preset("hf://user/repo", tmp_path / "mine")


@pytest.mark.parametrize("handle", ["user/repo", "hf://user", "https://a/b", 1])
def test_uploads_only_to_the_hub(handle):
    with pytest.raises(ValueError, match="must be `hf://user/repo`"):
        keras_facnn.upload_preset(handle, "mine")


@pytest.mark.parametrize("directory", [None, 3, b"mine"])
def test_uploads_only_folders(directory):
    with pytest.raises(ValueError, match="`directory` must be.*Received"):
        keras_facnn.upload_preset("hf://user/repo", directory)


def test_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"keras-facnn\[hub\]"):
        FACNN.from_preset("hf://user/repo")
