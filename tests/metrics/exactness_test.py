import numpy as np
import pytest

from keras_facnn import metrics


def test_an_fa_cnn_keeps_its_promises(small_model, images):
    measured = metrics.exactness(small_model, images)
    assert measured == small_model.verify(images)
    assert measured.pop("theorem_1_correlation") > 1 - 1e-6
    assert all(0 <= error < 1e-4 for error in measured.values())


@pytest.mark.parametrize(
    "method, error",
    [
        ("predict_with_maps", "completeness_error"),
        ("layer_evidence", "evidence_error"),
    ],
)
def test_measures_how_far_off_a_promise_is(
    small_model, images, monkeypatch, method, error
):
    """A tenth more of a map, or of the evidence, is a tenth more of a logit."""
    logits, maps = small_model.predict_with_maps(images)
    honest = getattr(small_model, method)

    def more(*args, **kwargs):
        if method == "layer_evidence":
            return 1.1 * honest(*args, **kwargs)
        return logits, 1.1 * maps

    monkeypatch.setattr(
        type(small_model), method, lambda _, *a, **k: more(*a, **k)
    )
    measured = metrics.exactness(small_model, images)
    expected = 0.1 * np.abs(logits).max() / np.ptp(logits)
    np.testing.assert_allclose(measured[error], expected, rtol=1e-3)
