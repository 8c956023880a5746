"""Every public function validates its input: bad input to each of them."""

import sys

import keras
import ml_dtypes
import numpy as np
import pytest
from scipy import sparse

from keras_facnn import FACNN
from keras_facnn import attribution
from keras_facnn import metrics
from keras_facnn import resize_maps

CALLS = {
    "class_maps": lambda m, x: m.class_maps(x),
    "predict_with_maps": lambda m, x: m.predict_with_maps(x),
    "layer_logits": lambda m, x: m.layer_logits(x),
    "layer_evidence": lambda m, x: m.layer_evidence(x),
    "verify": lambda m, x: m.verify(x),
    "explain": lambda m, x: m.explain(x),
    "grad_cam": lambda m, x: attribution.grad_cam(m, x, 1, layer=3),
    "grad_cam_plus_plus": lambda m, x: attribution.grad_cam_plus_plus(
        m, x, 1, layer=3
    ),
    "hires_cam": lambda m, x: attribution.hires_cam(m, x, 1, layer=3),
    "layer_cam": lambda m, x: attribution.layer_cam(m, x, 1, layer=3),
    "score_cam": lambda m, x: attribution.score_cam(m, x, 1, layer=3),
    "ablation_cam": lambda m, x: attribution.ablation_cam(m, x, 1, layer=3),
    "cam": lambda m, x: attribution.cam(m, x, 1),
    "saliency": lambda m, x: attribution.saliency(m, x, 1),
    "integrated_gradients": lambda m, x: attribution.integrated_gradients(
        m, x, 1, steps=2
    ),
    "expected_gradients": lambda m, x: attribution.expected_gradients(
        m, x, 1, background=np.zeros((1, 16, 16, 3)), samples=2
    ),
    "smooth_grad": lambda m, x: attribution.smooth_grad(m, x, 1, samples=2),
    "var_grad": lambda m, x: attribution.var_grad(m, x, 1, samples=2),
    "occlusion": lambda m, x: attribution.occlusion(m, x, 1, size=16),
    "rise": lambda m, x: attribution.rise(m, x, 1, masks=2),
    "contrast": lambda m, x: attribution.contrast(m, x, 1, 2),
    "disagreement": lambda m, x: attribution.disagreement(m, x, 1),
    "deletion": lambda m, x: metrics.deletion(
        m, x, [1] * 5, np.eye(4)[None].repeat(5, 0), fractions=[0, 1]
    ),
    "insertion": lambda m, x: metrics.insertion(
        m, x, [1] * 5, np.eye(4)[None].repeat(5, 0), fractions=[0, 1]
    ),
    "pixel_removal": lambda m, x: metrics.pixel_removal(
        m, x, [1] * 5, np.eye(4)[None].repeat(5, 0), fractions=[0, 1]
    ),
    "similarity_by_layer": lambda m, x: metrics.similarity_by_layer(
        m, x, 1, layers=[3]
    ),
    "cascading_randomization": lambda m, x: metrics.cascading_randomization(
        m, x, attribution.contrast, 1, layers=["conv_3"], b=2
    ),
    "efficient_randomization": lambda m, x: metrics.efficient_randomization(
        m, x, attribution.disagreement, 1
    ),
}


def everything(call):
    return pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)(call)


BAD_IMAGES = {
    "nan": lambda x: np.where(x == x.max(), np.nan, x),
    "infinite": lambda x: np.where(x == x.max(), np.inf, x),
    "nan bfloat16": lambda x: np.where(x == x.max(), np.nan, x).astype(
        ml_dtypes.bfloat16
    ),
    "masked": lambda x: np.ma.masked_equal(x, x.max()),
    "complex": lambda x: x + 1j,
    "strings": lambda x: x.astype(str),
    "objects": lambda x: x.astype(object),
    "none": lambda x: None,
    "sparse": lambda x: sparse.csr_matrix(x[..., 0, 0]),
    "ragged": lambda x: [x[0], x[1][:8, :8]],
    "two sizes": lambda x: [x[0].tolist(), x[1][:8].tolist()],
    "one image": lambda x: x[0],
    "none of them": lambda x: x[:0],
    "another size": lambda x: x[:, :8],
    "another depth": lambda x: x[..., :1],
    "symbolic": lambda x: keras.KerasTensor(x.shape),
    "mapping": lambda x: {"images": x},
    "generator": lambda x: (image for image in x),
    "no dimension": lambda x: np.array(3.0),
    "an object": lambda x: np.array(None),
    "tensor without dimensions": lambda x: keras.ops.convert_to_tensor(3.0),
}


@everything
def test_images_that_are_none_are_refused_by_name(call, small_model, images):
    for what, change in BAD_IMAGES.items():
        with pytest.raises(ValueError, match="`images` must") as caught:
            call(small_model, change(images))
        assert "Received" in str(caught.value), what
        assert len(str(caught.value)) < 1000, what


def test_an_open_file_is_no_array_and_stays_open(small_model):
    with open(__file__, "rb") as file:
        for call in (
            lambda: small_model.class_maps(file),
            lambda: resize_maps(file, (2, 2)),
        ):
            with pytest.raises(ValueError, match="must be an array of real"):
                call()
        with pytest.raises(ValueError, match="`labels` must be"):
            metrics.make_grids(np.zeros((4, 8, 8, 3)), file, 1)
        assert file.readline()


@pytest.mark.only_on("torch")
def test_a_tensor_without_values_is_refused(small_model):
    import torch

    meta = torch.zeros(5, 16, 16, 3, device="meta")
    with pytest.raises(ValueError, match="`images` must.*no values"):
        small_model.class_maps(meta)
    with pytest.raises(ValueError, match="`classes` must be"):
        small_model.class_maps(np.zeros((1, 16, 16, 3)), meta[0, 0, 0])


GOOD_IMAGES = {
    "big-endian float32": lambda x: x.astype(">f4"),
    "big-endian uint16": lambda x: x.astype(">u2"),
    "big-endian int16": lambda x: x.astype(">i2"),
    "long double": lambda x: x.astype("longdouble"),
    "float64": lambda x: x.astype("float64"),
    "bfloat16": lambda x: x.astype(ml_dtypes.bfloat16),
    "list": lambda x: x.tolist(),
    "list of arrays": list,
    "tensor": lambda x: keras.ops.convert_to_tensor(x),
    "bfloat16 tensor": lambda x: keras.ops.cast(x, "bfloat16"),
    "unmasked": lambda x: np.ma.masked_array(x),
    "transposed": lambda x: np.asfortranarray(x),
    "read-only": lambda x: np.broadcast_to(x, x.shape),
}


@pytest.mark.parametrize("change", GOOD_IMAGES.values(), ids=GOOD_IMAGES)
def test_images_of_any_kind_give_the_same_maps(small_model, images, change):
    # bfloat16 holds these exactly.
    images = images // 2 * 2
    images[images > 128] -= 128
    expected = small_model.class_maps(images.astype("float32"))
    received = small_model.class_maps(change(images))
    np.testing.assert_allclose(received, expected, rtol=1e-6)
    cams = (
        attribution.saliency(small_model, x, 1)
        for x in (images.astype("float32"), change(images))
    )
    np.testing.assert_allclose(next(cams), next(cams), rtol=1e-5)


@pytest.mark.parametrize(
    "size",
    [
        (1.9, 16.9),
        "16",
        "12",
        (True, True),
        (0, 4),
        4,
        None,
        (4, 4, 4),
        {4, 5},
        ((1, 2), 3),
        [[4, 4], [4, 4]],
    ],  # fmt: skip
)
def test_resize_refuses_sizes(size):
    with pytest.raises(ValueError, match="`size` must be two positive"):
        resize_maps(np.ones((1, 2, 2)), size)


def test_what_would_eat_the_machine_is_refused_before_it_does(
    small_model, images
):
    with pytest.raises(ValueError, match="`size` ask for an array of"):
        resize_maps(np.ones((1, 2, 2)), (10**6, 10**6))
    for call in (
        lambda: attribution.rise(
            small_model, images, masks=10**6, batch_size=10**9
        ),
        lambda: attribution.rise(small_model, images, masks=4, grid=10**5),
        lambda: attribution.integrated_gradients(
            small_model, images, steps=10**5
        ),
        lambda: metrics.make_grids(images, [0, 1, 2, 3, 4], count=10**9),
    ):
        with pytest.raises(ValueError, match="`(batch_size|grid|steps|count)`"):
            call()


@pytest.mark.parametrize(
    "maps",
    [
        np.zeros((1, 0, 4)),
        "maps",
        None,
        [[1, 2]],
        {"a": 1},
        [[[1j]]],
        [[[1e39]]],
    ],
)
def test_resize_refuses_what_are_no_maps(maps):
    with pytest.raises(ValueError, match="`maps` must"):
        resize_maps(maps, (4, 4))


@pytest.mark.parametrize(
    "model", [None, "cifar10", 3, keras.Sequential(), np.zeros(3)]
)
@everything
def test_models_of_the_wrong_kind_are_refused(call, images, model):
    if call in [CALLS[n] for n in list(CALLS)[:6]]:
        pytest.skip("a method of the model")
    with pytest.raises(ValueError, match="`model` must be"):
        call(model, images)


@pytest.mark.parametrize("name", ["contrast", "disagreement"])
def test_a_clone_is_told_how_to_stay_an_fa_cnn(name, small_model, images):
    clone = keras.models.clone_model(small_model)
    with pytest.raises(ValueError, match="from_config"):
        CALLS[name](clone, images)


def test_a_model_of_channels_first_is_refused(rng):
    if keras.backend.backend() == "tensorflow":
        pytest.skip("TensorFlow on CPU cannot convolve channels first")
    inputs = keras.Input((3, 12, 12))
    x = keras.layers.Conv2D(4, 3, data_format="channels_first", name="c")(
        inputs
    )
    x = keras.layers.GlobalAveragePooling2D("channels_first")(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    images = rng.uniform(0, 1, (2, 3, 12, 12))
    for call in (
        lambda: attribution.grad_cam(model, images, layer="c"),
        lambda: attribution.rise(model, images, masks=2),
        lambda: metrics.deletion(model, images, [0, 1], np.eye(4)[None] + 0),
    ):
        with pytest.raises(ValueError, match="channels last.*'c'.*first"):
            call()


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, "2", None, True, 10**30])
@pytest.mark.parametrize(
    "name",
    [
        "class_maps", "predict_with_maps", "layer_logits", "layer_evidence",
        "verify", "explain",
    ],
)  # fmt: skip
def test_methods_refuse_batch_sizes(small_model, images, name, batch_size):
    with pytest.raises(ValueError, match="`batch_size` must be a positive"):
        getattr(small_model, name)(images, batch_size=batch_size)


def test_arguments_of_a_model_are_refused_by_name():
    for name, value in (
        ("synchronized_batch_norm", "no"),
        ("batch_norm_gain", 1),
        ("stochastic_depth", 1.0),
        ("num_classes", 1),
        ("depths", "12"),
        ("dtype", "x"),
        ("dtype", keras.dtype_policies.DTypePolicy("int16")),
        ("dtype", ""),
        ("dtype", 3),
        ("dtype", ["float32"]),
    ):
        arguments = {"num_classes": 3, name: value}
        with pytest.raises(ValueError, match=f"`{name}` must be .*Received"):
            FACNN(**arguments)


@pytest.mark.parametrize("verbose", ["yes", 2.5, -1, 3, None, [1]])
def test_verbose_is_what_keras_takes(small_model, images, verbose):
    m, x, labels = small_model, images, [1] * 5
    maps = np.eye(4)[None].repeat(5, 0)
    for call in (
        lambda: attribution.rise(m, x, 1, masks=2, verbose=verbose),
        lambda: attribution.occlusion(m, x, 1, size=16, verbose=verbose),
        lambda: metrics.pixel_removal(m, x, labels, maps, verbose=verbose),
        lambda: metrics.deletion(m, x, labels, maps, verbose=verbose),
        lambda: metrics.insertion(m, x, labels, maps, verbose=verbose),
        lambda: metrics.similarity_by_layer(m, x, 1, verbose=verbose),
        lambda: m.export("m.onnx", verbose=verbose or "no"),
    ):
        with pytest.raises(ValueError, match="`verbose` must.*Received"):
            call()


def test_verbose_may_be_a_bool(small_model, images, capsys, monkeypatch):
    # Elsewhere than in a terminal, progress of short work is not shown.
    monkeypatch.setattr("keras_facnn._progress._LOG_SECONDS", 0)
    for verbose, shows in ((True, True), (1, True), (False, False), (0, False)):
        attribution.rise(small_model, images, 1, masks=2, verbose=verbose)
        assert bool(capsys.readouterr().err) == shows


def test_messages_stay_short(small_model, images):
    with pytest.raises(ValueError) as caught:
        small_model.class_maps(images, classes=list(range(10**5)))
    assert len(str(caught.value)) < 1000
    assert sys.getsizeof(str(caught.value)) < 4000


@everything
def test_images_that_float32_cannot_hold_are_refused(call, small_model, images):
    with pytest.raises(ValueError, match="`images` must be finite as float32"):
        call(small_model, images * 1e39)


def test_datasets_are_told_to_come_as_batches(small_model, images):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            return images

    with pytest.raises(ValueError, match="`images` must.*one batch"):
        small_model.class_maps(Batches())


BAD_CLASSES = {
    "ragged": [[0, 1], [2], [1], [1], [1]],
    "symbolic": keras.KerasTensor((5,)),
    "masked": np.ma.masked_equal([0, 1, 2, 1, 3], 1),
    "floats": [0.0, 1.0, 2.0, 1.0, 3.0],
    "bools": [True, False, True, False, True],
    "too few": [0, 1],
    "negative": [0, 1, 2, 1, -1],
    "huge": 10**30,
    "set": {0, 1, 2, 3},
    "nested names": [["a"], "b", "c", "d", "a"],
}


@pytest.mark.parametrize("bad", BAD_CLASSES.values(), ids=BAD_CLASSES)
def test_classes_that_are_none_are_refused_by_name(small_model, images, bad):
    m, x = small_model, images
    m.preset_metadata = {"class_names": ["a", "b", "c", "d"]}
    maps = np.eye(4)[None].repeat(5, 0)
    calls = {
        "classes": [
            lambda: m.class_maps(x, bad),
            lambda: m.layer_evidence(x, bad),
            lambda: m.explain(x, bad),
            lambda: m.verify(x, bad),
            lambda: attribution.disagreement(m, x, bad),
            lambda: attribution.grad_cam(m, x, bad, layer=1),
            lambda: attribution.cam(m, x, bad),
            lambda: attribution.score_cam(m, x, bad, layer=1),
            lambda: attribution.ablation_cam(m, x, bad, layer=1),
            lambda: attribution.saliency(m, x, bad),
            lambda: attribution.smooth_grad(m, x, bad),
            lambda: attribution.occlusion(m, x, bad),
            lambda: attribution.rise(m, x, bad),
            lambda: metrics.similarity_by_layer(m, x, bad),
            lambda: metrics.cascading_randomization(
                m, x, attribution.saliency, bad
            ),
        ],
        "a": [lambda: attribution.contrast(m, x, bad, 1)],
        "b": [lambda: attribution.contrast(m, x, 1, bad)],
        "labels": [
            lambda: metrics.deletion(m, x, bad, maps),
            lambda: metrics.insertion(m, x, bad, maps),
            lambda: metrics.pixel_removal(m, x, bad, maps),
            lambda: metrics.make_grids(x, bad, 1),
        ],
    }
    for name, several in calls.items():
        for call in several:
            with pytest.raises(ValueError, match=f"`{name}` must.*Received"):
                call()


NO_MODELS = {
    "several outputs": lambda i, y: keras.Model(i, [y, y + 1]),
    "several inputs": lambda i, y: keras.Model(
        [i, j := keras.Input((16, 16, 3))],
        y + keras.layers.GlobalAveragePooling2D()(j)[:, :1],
    ),
    "no images": lambda i, y: keras.Model(
        i := keras.Input((5,)), keras.layers.Dense(4)(i)
    ),
    "no classes": lambda i, y: keras.Model(i, keras.layers.ReLU()(i)),
    "a class": lambda i, y: FACNN,
}


@pytest.mark.parametrize("build", NO_MODELS.values(), ids=NO_MODELS)
@everything
def test_models_of_other_graphs_are_refused(call, images, build):
    if call in [CALLS[n] for n in list(CALLS)[:6]]:
        pytest.skip("a method of the model")
    inputs = keras.Input((16, 16, 3))
    outputs = keras.layers.Dense(4)(
        keras.layers.GlobalAveragePooling2D()(inputs)
    )
    with pytest.raises(ValueError, match="`model` must be"):
        call(build(inputs, outputs), images)


@everything
def test_weights_that_are_not_finite_are_said(call, small_model, images):
    *weights, scale = small_model.get_weights()
    small_model.set_weights([*weights, scale * np.nan])
    with pytest.raises(ValueError, match="outputs must be finite.*Received"):
        call(small_model, images)


@pytest.mark.parametrize("bad", [np.array(1.5), np.array(True), "tensor"])
def test_arrays_that_are_no_integers_are_refused(small_model, images, bad):
    if isinstance(bad, str):
        bad = keras.ops.convert_to_tensor(1.5)
    for name, call in (
        ("batch_size", lambda: small_model.class_maps(images, batch_size=bad)),
        ("layer", lambda: small_model.class_maps(images, layer=bad)),
        ("layer", lambda: attribution.grad_cam(small_model, images, layer=bad)),
        ("num_classes", lambda: FACNN(bad)),
        ("size", lambda: resize_maps(np.ones((1, 2, 2)), (bad, 4))),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must be"):
            call()
    good = np.array(2)
    assert len(small_model.class_maps(images, batch_size=good)) == len(images)


def test_numbers_beyond_all_floats_are_refused(small_model, images):
    for name, call in (
        (
            "baseline",
            lambda n: attribution.integrated_gradients(
                small_model, images, baseline=n
            ),
        ),
        (
            "baseline",
            lambda n: attribution.occlusion(small_model, images, baseline=n),
        ),
        ("p", lambda n: attribution.rise(small_model, images, p=n)),
        (
            "tolerance",
            lambda n: metrics.pointing_game(
                np.eye(4)[None], [[0, 0, 1, 1]], (4, 4), n
            ),
        ),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must be"):
            call(10**400)


BAD_LAYERS = {
    "float": 1.5,
    "whole float": 2.0,
    "none in a list": [None],
    "object": object(),
    "mapping": {},
    "bytes": b"fa_1",
    "array without dimensions": np.array(1.5),
    "object without dimensions": np.array(None),
    "tensor without dimensions": "tensor",
}


@pytest.mark.parametrize("layers", BAD_LAYERS.values(), ids=BAD_LAYERS)
def test_layers_that_are_none_are_refused(small_model, images, layers):
    if isinstance(layers, str):
        layers = keras.ops.convert_to_tensor(1.5)
    for call in (
        lambda: small_model.feature_extractor(layers),
        lambda: small_model.explain(images, layers=layers),
        lambda: metrics.similarity_by_layer(small_model, images, layers=layers),
    ):
        with pytest.raises(ValueError, match="`layers` must be.*Received"):
            call()


@pytest.mark.parametrize("bad", [None, 3, "grad_cam"])
def test_what_cannot_be_called_is_refused(small_model, images, bad):
    m, x = small_model, images
    for name, call in (
        ("attribution", lambda: metrics.cascading_randomization(m, x, bad)),
        (
            "metric",
            lambda: metrics.cascading_randomization(
                m, x, attribution.saliency, metric=bad
            ),
        ),
        ("metric", lambda: metrics.similarity_by_layer(m, x, metric=bad)),
        ("reference", lambda: metrics.similarity_by_layer(m, x, reference=bad)),
    ):
        with pytest.raises(ValueError, match=f"`{name}` must be a function"):
            call()


def test_numpy_may_be_made_to_raise(small_model, images):
    """Values below float32's least are 0, whatever NumPy does at errors."""
    tiny = np.concatenate([images[:2] * 1e-310, images[2:] * 1.0])
    plain = {
        "class_maps": lambda x: small_model.class_maps(x),
        "rise": lambda x: attribution.rise(small_model, x, 0, masks=3),
        "resize_maps": lambda x: resize_maps(x[..., 0], (5, 5)),
        "deletion": lambda x: (
            metrics.deletion(
                small_model, x, [0] * 5, images[..., 0], fractions=[0, 0.5, 1]
            ).values
        ),
    }
    for name, function in plain.items():
        expected = function(tiny)
        with np.errstate(all="raise"):
            found = function(tiny)
        np.testing.assert_array_equal(found, expected, err_msg=name)
        assert np.isfinite(found).all()


@pytest.mark.parametrize("none", [[], (), np.zeros(0, int)], ids=str)
def test_features_of_no_layer_are_refused(small_model, none):
    with pytest.raises(ValueError, match="`layers` must be.*Received"):
        small_model.feature_extractor(none)


BAD_DTYPES = [
    "uint8", "int32", "bool", "string", "complex64", "int8", "",
    "int8_from_float32", "int4_from_float32", "float8_from_float32",
    "int8_from_mixed_bfloat16", np.uint8, bool, 3,
]  # fmt: skip


@pytest.mark.parametrize("dtype", BAD_DTYPES, ids=str)
def test_dtypes_that_cannot_compute_are_refused(dtype):
    with pytest.raises(ValueError, match="`dtype` must be .*Received: dtype="):
        FACNN(2, depths=(1,), maps_per_class=(1,), dtype=dtype)


def test_a_global_policy_that_cannot_compute_is_refused():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("int8_from_float32")
    try:
        with pytest.raises(ValueError, match="`dtype` must be .*int8_from"):
            FACNN(2, depths=(1,), maps_per_class=(1,))
    finally:
        keras.config.set_dtype_policy(before)
