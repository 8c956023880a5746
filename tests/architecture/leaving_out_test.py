"""Models without some evidence answer as their maps say beforehand."""

import pickle
import types

import keras
import numpy as np
import pytest
from keras import ops

import keras_facnn
from keras_facnn import FACNN
from tests.promises import with_other_weights


def predict(model, images):
    return model.predict(images, verbose=0)


def scale_of(model):
    return float(ops.convert_to_numpy(model.head.scale))


def last_maps(model, images):
    """The last maps, `(B, h, w, C, R)`."""
    name = f"fa_{model.num_layers}" if model.num_layers else "stem"
    graph = keras.Model(model.input, model.get_layer(name).output)
    maps = predict(graph, images)
    return maps.reshape(*maps.shape[:3], model.num_classes, -1)


def evidence_of(model, images):
    """The part of each logit that each value of the last maps adds."""
    maps = last_maps(model, images)
    _, h, w, _, r = maps.shape
    return scale_of(model) * maps / (h * w * r)


def without(evidence, model):
    """The evidence that is left, by the record of what is left out."""
    left = evidence.copy()
    for c, r in model.left_out.get("maps", ()):
        left[:, :, :, c, r] = 0
    for c, y, x in model.left_out.get("locations", ()):
        left[:, y, x, slice(None) if c is None else c] = 0
    return left


@pytest.fixture(params=["plain", "threshold", "hybrid", "no layers", "fused"])
def model(request, rng):
    kind = request.param
    if kind in ("plain", "threshold", "fused"):
        model = FACNN(
            4, (16, 16, 3), (1, 2), (2, 4), threshold=kind == "threshold"
        )
    else:
        inputs = keras.Input((16, 16, 3))
        x = keras.layers.Rescaling(1 / 255)(inputs)
        x = keras.layers.Conv2D(5, 3, strides=2, padding="same")(x)
        model = FACNN(
            4,
            backbone=keras.Model(inputs, x),
            depths=(2,) if kind == "hybrid" else (0,),
            maps_per_class=(4,),
        )
    with_other_weights(model, rng)
    return model.fuse() if kind == "fused" else model


def test_answers_as_predicted(model, images):
    evidence = evidence_of(model, images)
    logits = predict(model, images)
    corner = np.zeros((8, 8), bool)
    corner[:3, 5:] = True
    for arguments in (
        {"maps": {0: [0, 3], 2: 1}},
        {"maps": [(3, 2)]},
        {"places": corner},
        {"places": corner, "classes": [1, 3]},
        {"places": [4, 4, 12, 7], "maps": {1: [0]}},
        {"reason": types.SimpleNamespace(places=corner)},
    ):
        part = model.without(**arguments)
        assert type(part) is FACNN
        lost = evidence - without(evidence, part)
        assert (lost.sum(axis=(1, 2, 3, 4)) > 0).all()
        expected = logits - lost.sum(axis=(1, 2, 4))
        np.testing.assert_allclose(
            predict(part, images), expected, rtol=1e-5, atol=1e-5
        )
    # The model itself is as before.
    np.testing.assert_array_equal(predict(model, images), logits)
    assert model.left_out is None


def test_keeps_the_promises_of_an_fa_cnn(model, images, optimized):
    corner = np.zeros((8, 8), bool)
    corner[:3, 5:] = True
    part = model.without(maps={0: [0, 3]}, places=corner).without(
        places=~corner, classes=2
    )
    measured = part.verify(images)
    assert measured["theorem_1_correlation"] > 0.9999
    for name in ("theorem_1_error", "completeness_error", "evidence_error"):
        assert measured[name] < 1e-4, name
    maps = part.class_maps(images)
    assert (maps[:, corner] == 0).all() and (maps[..., 2] == 0).all()
    assert (maps[:, ~corner][..., [0, 1, 3]] > 0).any()
    by_layer = part.layer_evidence(images, "all", maps=True)
    np.testing.assert_allclose(by_layer.sum(axis=1), maps, rtol=1e-5, atol=1e-5)
    explanation = part.explain(images)
    np.testing.assert_array_equal(
        explanation.classes, predict(part, images).argmax(axis=-1)
    )
    cam = keras_facnn.attribution.cam(part, images, "all")
    np.testing.assert_allclose(cam, scale_of(part) * maps, atol=1e-4)


def test_several_calls_add_up(small_model, images):
    names = ["ant", "bee", "cat", "dog"]
    small_model.preset_metadata = {"class_names": names}
    top, left = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    top[0] = left[:, 0] = True
    one = (
        small_model.without(maps={"dog": 3})
        .without(places=top)
        .without(places=left, classes="bee", maps=[("ant", 1), ("dog", 3)])
        .without(places=top)
    )
    both = small_model.without({3: [3], 0: [1]}, top).without(
        places=left, classes=["bee"]
    )
    assert one.left_out == both.left_out
    assert one.left_out["maps"] == [[0, 1], [3, 3]]
    assert one.left_out["size"] == [4, 4]
    assert one.left_out["locations"] == [
        *([None, 0, x] for x in range(4)),
        *([1, y, 0] for y in range(4)),
    ]
    assert one.class_names == names
    np.testing.assert_array_equal(predict(one, images), predict(both, images))


def test_leaves_out_what_a_place_touches(small_model):
    """Places are given in the pixels of 16x16 images, of 4x4 maps."""
    expected = np.zeros((4, 4), bool)
    expected[1:3, 2] = True
    pixels = np.zeros((16, 16), bool)
    pixels[7:9, 9] = True
    coarse = np.zeros((2, 2), bool)
    coarse[0, 1] = True
    for places in (
        expected,
        pixels,
        [8, 4, 12, 12],
        np.array([[8.5, 7.5, 9, 8], [9, 8, 11, 9]]),
        ops.convert_to_tensor(pixels),
    ):
        found = small_model.without(places=places).left_out["locations"]
        assert found == [[None, 1, 2], [None, 2, 2]]
    found = small_model.without(places=coarse).left_out["locations"]
    assert found == [[None, y, x] for y in (0, 1) for x in (2, 3)]


def test_saves_loads_and_pickles(small_model, images, tmp_path):
    part = small_model.without({1: 2}, [0, 0, 5, 5], classes=[0, 2])
    before = predict(part, images)
    part.save(tmp_path / "model.keras")
    part.save_to_preset(tmp_path / "preset")
    for loaded in (
        keras.models.load_model(tmp_path / "model.keras"),
        FACNN.from_preset(tmp_path / "preset"),
        FACNN.from_preset(tmp_path / "model.keras"),
        FACNN.from_preset(tmp_path / "preset", dtype="float32"),
        pickle.loads(pickle.dumps(part)),
    ):
        assert loaded.left_out == part.left_out
        np.testing.assert_array_equal(predict(loaded, images), before)
    np.testing.assert_allclose(
        predict(part.fuse(), images), before, rtol=1e-4, atol=1e-4
    )
    with pytest.raises(ValueError, match="`image_shape` must be .*maps"):
        FACNN.from_preset(tmp_path / "preset", image_shape=(32, 32, 3))
    with pytest.raises(ValueError, match="evidence .*num_classes=3"):
        FACNN.from_preset(tmp_path / "preset", num_classes=3)
    small_model.without({1: 2}).save_to_preset(tmp_path / "any")
    larger = FACNN.from_preset(tmp_path / "any", image_shape=(32, 32, 3))
    assert larger.left_out == {"maps": [[1, 2]]}


@pytest.mark.only_on("torch")
def test_is_described_by_what_still_holds(small_model, tmp_path):
    small_model.save_to_preset(
        tmp_path / "whole",
        {
            "class_names": list("abcd"),
            "metrics": {"top_1": 0.9},
            "description": "All.",
        },
    )
    whole = FACNN.from_preset(tmp_path / "whole")
    part = whole.without({"b": 0}).without({"c": 1})
    text = part.preset_metadata["description"]
    assert text.startswith("Leaves some evidence out") and len(text) < 70
    assert text.endswith(" All.")
    assert part.class_names == list("abcd")
    assert "metrics" not in part.preset_metadata
    assert whole.preset_metadata["metrics"] == {"top_1": 0.9}
    part.save_to_preset(tmp_path / "part")
    loaded = FACNN.from_preset(tmp_path / "part")
    assert "metrics" not in loaded.preset_metadata
    whole.save_to_preset(tmp_path / "again")
    config = (tmp_path / "again" / "config.json").read_text("utf-8")
    assert "left_out" not in config


def test_trains_without_that_evidence(small_model, images):
    part = small_model.without(maps={c: 0 for c in range(4)})
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    part.compile(
        keras.optimizers.SGD(0.1), keras_facnn.RegionPenalty(loss, weight=1.0)
    )
    before = part.get_weights()
    regions = np.ones((5, 4, 4), "float32")
    regions[:, :2] = 0
    labels = np.arange(5) % 4
    part.fit(images, {"labels": labels, "regions": regions}, verbose=0)
    assert any(
        (a != b).any() for a, b in zip(before, part.get_weights(), strict=True)
    )
    assert (last_maps(part, images)[..., 0] == 0).all()


def test_computes_in_the_dtype_of_the_model(images):
    model = FACNN(4, (16, 16, 3), (2,), (2,), dtype="mixed_bfloat16")
    part = model.without({0: 0}, [0, 0, 8, 8])
    assert part.get_layer("fa_2").compute_dtype == "bfloat16"
    evidence = without(evidence_of(model, images), part)
    np.testing.assert_allclose(
        predict(part, images), evidence.sum(axis=(1, 2, 4)), rtol=0.01
    )


@pytest.mark.only_on("torch")
def test_exports_what_is_left(small_model, images, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    part = small_model.without({0: 1}, [0, 0, 8, 8])
    part.export(tmp_path / "part.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "part.onnx")
    logits, maps = session.run(
        ["logits", "class_maps"], {"images": images.astype("float32")}
    )
    np.testing.assert_allclose(logits, predict(part, images), atol=1e-4)
    assert (maps[:, :2, :2] == 0).all()


@pytest.mark.only_on("torch")
@pytest.mark.parametrize(
    "arguments, match",
    [
        ({}, "must leave something out"),
        ({"maps": {0: 4}}, "`maps` must be .*from 0 to 3.*Received"),
        ({"maps": {4: 0}}, "`maps` must be .*from 0 to 3"),
        ({"maps": {0: "a"}}, "`maps` must be"),
        ({"maps": {"dog": 0}}, "`maps` must be numbers"),
        ({"maps": {}}, "`maps` must be a dict"),
        ({"maps": {0: []}}, "`maps` must be a dict"),
        ({"maps": 3}, "`maps` must be a dict"),
        ({"maps": [0, 1]}, "`maps` must be a dict"),
        ({"maps": {0: 0}, "classes": 0}, "`classes` must be None"),
        ({"places": np.zeros((4, 4), bool)}, "at least one location"),
        ({"places": np.ones((4, 4))}, "left < right"),
        ({"places": np.ones((4, 5))}, "`places` must be booleans"),
        ({"places": "corner"}, "`places` must be an array"),
        ({"places": [0, 0, 1, 1], "classes": "all"}, "`classes` must be"),
        ({"places": [0, 0, 1, 1], "classes": []}, "`classes` must be"),
        ({"places": [20, 0, 30, 1]}, "pixels of an image of 16x16"),
        ({"places": np.ones((4, 4), bool)}, "leave some evidence"),
        ({"maps": {c: [0, 1, 2, 3] for c in range(4)}}, "leave some evidence"),
        ({"reason": "dress 1"}, "`reason.places` must be an array"),
        (
            {"reason": types.SimpleNamespace(places=None)},
            "`reason.places` must be an array",
        ),
    ],
)
def test_refuses_what_can_not_be_left_out(small_model, arguments, match):
    with pytest.raises(ValueError, match=match):
        small_model.without(**arguments)


@pytest.mark.only_on("torch")
def test_places_need_a_size(rng):
    model = FACNN(4, (None, None, 3), (1,), (2,))
    with pytest.raises(ValueError, match="images of one size.*None"):
        model.without(places=np.eye(4, dtype=bool))
    images = rng.uniform(0, 255, (2, 9, 7, 3))
    part = model.without({0: [0, 1]})
    assert (part.class_maps(images, 0) == 0).all()


@pytest.mark.only_on("torch")
@pytest.mark.parametrize(
    "left_out, match",
    [
        ({"a": 1}, "`left_out` must be a dict"),
        ([1], "`left_out` must be a dict"),
        ({"maps": [[4, 0]]}, "`maps` must be"),
        ({"maps": [[0, 4]]}, "more maps per class than 4"),
        ({"locations": [[None, 0, 0]]}, "`size` must be"),
        ({"locations": [[None, 0, 0]], "size": 3}, "`size` must be"),
        ({"locations": [[None, 0, 0]], "size": [9, 9]}, "`image_shape` must"),
    ],
)
def test_refuses_configs_of_what_is_not_there(small_model, left_out, match):
    config = {**small_model.get_config(), "left_out": left_out}
    with pytest.raises(ValueError, match=match):
        FACNN.from_config(config)
