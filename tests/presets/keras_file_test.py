"""`.keras` files of classifiers and of FA-CNNs are presets."""

import json
import zipfile

import keras
import numpy as np
import pytest
from keras import layers

from keras_facnn import FACNN
from keras_facnn.cli.main import main
from tests.promises import predict

SHAPE = (16, 16, 3)


def classifier(*extra):
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.RandomFlip(),
            *extra,
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.fixture
def trained(images):
    """A classifier whose file also holds an optimizer, a loss and metrics."""
    model = classifier(layers.Rescaling(1 / 255))
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(images, np.arange(5) % 3, verbose=0)
    return model


def test_a_classifier_is_converted(trained, images, tmp_path):
    trained.save(tmp_path / "mine.keras")
    model = FACNN.from_preset(tmp_path / "mine.keras")
    np.testing.assert_allclose(
        model.probabilities(predict(model, images)),
        predict(trained, images),
        atol=1e-6,
    )
    assert model.class_names is None
    larger = FACNN.from_preset(
        str(tmp_path / "mine.keras"), image_shape=(32, 24, 3), name="larger"
    )
    assert larger.name == "larger"
    photos = np.zeros((1, 32, 24, 3))
    assert larger.class_maps(photos).shape == (1, 15, 11, 3)
    assert larger.class_maps(photos)[0, 1, 1] == pytest.approx(
        model.class_maps(photos[:, :16, :16])[0, 1, 1], abs=1e-5
    )


def test_an_fa_cnn_is_read(small_model, images, tmp_path):
    small_model.preset_metadata = {"class_names": list("abcd")}
    small_model.save(tmp_path / "mine.keras")
    model = FACNN.from_preset(tmp_path / "mine.keras")
    np.testing.assert_array_equal(
        predict(model, images), predict(small_model, images)
    )
    assert model.class_names == list("abcd")
    model = FACNN.from_preset(tmp_path / "mine.keras", image_shape=(32, 32, 3))
    assert model.image_shape == (32, 32, 3)


def test_the_command_line_takes_the_classifier(
    trained, images, tmp_path, capsys
):
    keras.utils.save_img(tmp_path / "photo.png", images[0])
    trained.save(tmp_path / "mine.keras")
    (tmp_path / "names.txt").write_text("ant\nbee\ncat\n")
    explain = ["explain", str(tmp_path / "photo.png"), "--no-figure"]
    explain += ["--preset", str(tmp_path / "mine.keras")]
    assert main([*explain, "--class-names", str(tmp_path / "names.txt")]) == 0
    captured = capsys.readouterr()
    assert {"ant", "bee", "cat"} <= set(captured.out.split())
    assert "warning" not in captured.err
    assert main(explain) == 0
    assert "ant" not in capsys.readouterr().out
    (tmp_path / "names.txt").write_text("ant\nbee\n")
    assert main([*explain, "--class-names", str(tmp_path / "names.txt")]) == 1
    assert "argument --class-names" in capsys.readouterr().err


@pytest.mark.only_on("torch")
def test_the_command_line_warns_where_nothing_rescales(
    images, tmp_path, capsys
):
    keras.utils.save_img(tmp_path / "photo.png", images[0])
    classifier().save(tmp_path / "mine.keras")
    explain = ["explain", str(tmp_path / "photo.png"), "--no-figure"]
    explain += ["--preset", str(tmp_path / "mine.keras"), "--size", "32"]
    assert main(explain) == 0
    lines = capsys.readouterr().err.splitlines()
    (line,) = [line for line in lines if "warning" in line]
    assert line.startswith("keras_facnn: warning: `classifier` has no layer")


def forge(path, edit, name="config.json"):
    """Change a file in an archive by a function of its bytes."""
    with zipfile.ZipFile(path) as archive:
        entries = {n: archive.read(n) for n in archive.namelist()}
    entries[name] = edit(entries[name])
    with zipfile.ZipFile(path, "w") as archive:
        for entry, data in entries.items():
            if data is not None:
                archive.writestr(entry, data)


def of_layer(**changes):
    """Change keys of the second layer in a config."""

    def edit(data):
        config = json.loads(data)
        config["config"]["layers"][2].update(changes)
        return json.dumps(config).encode()

    return edit


@pytest.mark.only_on("torch")
@pytest.mark.parametrize(
    "name, edit, message",
    [
        ("config.json", of_layer(class_name="Lambda"), "Lambda"),
        (
            "config.json",
            of_layer(module="os", class_name="system"),
            "the class os.system",
        ),
        (
            "config.json",
            of_layer(registered_name="mine>Scale"),
            "registered as 'mine>Scale'",
        ),
        (
            "config.json",
            lambda data: b'{"registered_name": "keras_facnn>FACNN"}',
            "builds no FA-CNN",
        ),
        (
            "config.json",
            lambda data: json.dumps(
                {
                    "registered_name": "keras_facnn>FACNN",
                    "config": {
                        "num_classes": 2,
                        "image_shape": [8, 8, 3],
                        "dtype": {
                            "module": "os",
                            "class_name": "system",
                            "config": {},
                        },
                    },
                }
            ).encode(),
            "builds no FA-CNN",
        ),
        ("config.json", lambda data: b"{", "config.json .* not valid JSON"),
        ("config.json", lambda data: None, "holds no config.json"),
        (
            "config.json",
            lambda data: data + b" " * 2**24,
            "config.json in .* larger than it can be",
        ),
        ("model.weights.h5", lambda data: None, "holds no model.weights.h5"),
        (
            "model.weights.h5",
            lambda data: data + b" " * 2**24,
            "model.weights.h5 in .* larger than it can be",
        ),
        ("model.weights.h5", lambda data: data[:999], "do not fit"),
    ],
)
def test_what_it_refuses(trained, tmp_path, name, edit, message):
    path = tmp_path / "mine.keras"
    trained.save(path)
    forge(path, edit, name)
    with pytest.raises(
        ValueError, match=f"(?s)mine.keras.*{message}|{message}"
    ):
        FACNN.from_preset(path)


@pytest.mark.only_on("torch")
def test_refuses_code_and_other_weights(trained, images, tmp_path):
    path = tmp_path / "mine.keras"
    classifier(layers.Lambda(lambda x: x / 255)).save(path)
    with pytest.raises(ValueError, match="Keras' own layers.*Lambda"):
        FACNN.from_preset(path)
    # The weights of another model, which lack one of this model's layers.
    trained.save(path)
    small = keras.Sequential([keras.Input(SHAPE), layers.Conv2D(8, 3)])
    small.save_weights(tmp_path / "other.weights.h5")
    other = (tmp_path / "other.weights.h5").read_bytes()
    forge(path, lambda data: other, "model.weights.h5")
    with pytest.raises(ValueError, match="do not fit its config"):
        FACNN.from_preset(path)
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match="is damaged, or no `.keras` file"):
        FACNN.from_preset(path)


def set_flag(data):
    """Say that all files of an archive are encrypted."""
    for start, position in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        parts = data.split(start)
        for i in range(1, len(parts)):
            part = bytearray(parts[i])
            part[position - 4] |= 1
            parts[i] = bytes(part)
        data = start.join(parts)
    return data


@pytest.mark.only_on("torch")
@pytest.mark.parametrize(
    "compression, edit, message",
    [
        # The first byte of compressed data says how it is compressed.
        (
            zipfile.ZIP_DEFLATED,
            lambda data: data[:41] + b"\xff" + data[42:],
            "is damaged, or no `.keras` file of Keras 3: Error -3",
        ),
        (zipfile.ZIP_STORED, set_flag, "is encrypted"),
        (zipfile.ZIP_LZMA, bytes, "compression that Keras never uses"),
    ],
)
def test_refuses_archives_that_cannot_be_read(
    tmp_path, compression, edit, message, capsys
):
    path = tmp_path / "mine.keras"
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("config.json", '{"class_name": "Sequential"}')
    path.write_bytes(edit(path.read_bytes()))
    with pytest.raises(ValueError, match=f"mine.keras' .*{message}"):
        FACNN.from_preset(path)
    assert main(["explain", "photo.jpg", "--preset", str(path)]) == 1
    assert "keras_facnn: error: " in capsys.readouterr().err


@pytest.mark.only_on("torch")
def test_refuses_arguments_that_do_not_fit(trained, tmp_path):
    path = tmp_path / "mine.keras"
    trained.save(path)
    with pytest.raises(ValueError, match="`load_weights` must be True"):
        FACNN.from_preset(path, load_weights=False)
    with pytest.raises(ValueError, match="Only .* Received: {'num_classes'"):
        FACNN.from_preset(path, num_classes=7)
    with pytest.raises(ValueError, match="There is no preset 'none.keras'"):
        FACNN.from_preset("none.keras")
