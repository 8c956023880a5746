import tempfile

import keras
import numpy as np


def run_layer_checks(make, input_shapes, output_shape, mixed_atol=1e-2):
    """Check what every layer of the package must do.

    The layer is the same after serialization, also inside a saved model. It
    knows the shape of its output, also for unknown sizes. In a compiled
    `predict`, it computes what it computes eagerly. It works under mixed
    precision.

    Args:
        make: Function from keyword arguments to the layer.
        input_shapes: One shape, or a list of shapes, including the batch size.
        output_shape: Shape of the output.
        mixed_atol: Tolerance of values in half precision.
    """
    many = isinstance(input_shapes, list)
    shapes = input_shapes if many else [input_shapes]
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(0, 9, s).astype("float32") for s in shapes]
    arguments = arrays if many else arrays[0]

    layer = make()
    eager = keras.ops.convert_to_numpy(layer(arguments))
    assert eager.shape == output_shape
    twin = layer.__class__.from_config(layer.get_config())
    assert twin.get_config() == layer.get_config()
    computed = layer.compute_output_shape(input_shapes)
    assert tuple(computed) == output_shape

    unknown = [(None, None, None, s[-1]) for s in shapes]
    symbolic = make().compute_output_shape(unknown if many else unknown[0])
    assert symbolic[0] is None
    assert symbolic[-1] == output_shape[-1]

    for sizes in (shapes, unknown):
        inputs = [keras.Input(s[1:]) for s in sizes]
        model = keras.Model(inputs, layer(inputs if many else inputs[0]))
        predicted = model.predict(arrays if many else arrays[0], verbose=0)
        np.testing.assert_allclose(predicted, eager, rtol=1e-5, atol=1e-6)
        with tempfile.TemporaryDirectory() as folder:
            model.save(f"{folder}/model.keras")
            loaded = keras.models.load_model(f"{folder}/model.keras")
        again = loaded.predict(arrays if many else arrays[0], verbose=0)
        np.testing.assert_array_equal(again, predicted)

    mixed = make(dtype="mixed_bfloat16")
    low = keras.ops.convert_to_numpy(
        keras.ops.cast(mixed(arguments), "float32")
    )
    np.testing.assert_allclose(low, eager, rtol=2e-2, atol=mixed_atol)
    return layer
