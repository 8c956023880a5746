"""Every public function asks the one door: hostile inputs, to all of them."""

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
    "hires_cam": lambda m, x: attribution.hires_cam(m, x, 1, layer=3),
    "layer_cam": lambda m, x: attribution.layer_cam(m, x, 1, layer=3),
    "cam": lambda m, x: attribution.cam(m, x, 1),
    "saliency": lambda m, x: attribution.saliency(m, x, 1),
    "integrated_gradients": lambda m, x: attribution.integrated_gradients(
        m, x, 1, steps=2
    ),
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
    "similarity_by_depth": lambda m, x: metrics.similarity_by_depth(
        m, x, 1, layers=[3]
    ),
    "cascading_randomisation": lambda m, x: metrics.cascading_randomisation(
        m, x, attribution.contrast, 1, layers=[], b=2
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
}


@everything
def test_images_that_are_none_are_refused_by_name(call, small_model, images):
    for what, change in BAD_IMAGES.items():
        with pytest.raises(ValueError, match="`images` must") as caught:
            call(small_model, change(images))
        assert "Received" in str(caught.value), what
        assert len(str(caught.value)) < 1000, what


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
    [(1.9, 16.9), "16", "12", (True, True), (0, 4), 4, None, (4, 4, 4), {4, 5}],
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
    "maps", [np.zeros((1, 0, 4)), "maps", None, [[1, 2]], {"a": 1}, [[[1j]]]]
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
    ):
        arguments = {"num_classes": 3, name: value}
        with pytest.raises(ValueError, match=f"`{name}` must be .*Received"):
            FACNN(**arguments)


def test_messages_stay_short(small_model, images):
    with pytest.raises(ValueError) as caught:
        small_model.class_maps(images, classes=list(range(10**5)))
    assert len(str(caught.value)) < 1000
    assert sys.getsizeof(str(caught.value)) < 4000
