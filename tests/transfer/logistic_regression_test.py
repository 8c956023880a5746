"""Logistic regression, against its objective in float64."""

import numpy as np
import pytest

from keras_facnn.transfer import logistic_regression
from keras_facnn.transfer.logistic_regression import LogisticRegression

pytestmark = pytest.mark.only_on("torch")
INDEX = np.arange(3, 60, 2)
WEIGHTS = np.array([2.0, 1.0, 0.5])
PENALTY = 3.0


def objective(linear, rows, labels, scale, change=0.0, shares=1.0):
    """The penalized cross-entropy of a classifier, as its docstring says."""
    rows, labels = rows[INDEX].astype("float64"), labels[INDEX]
    kernel = linear.kernel.astype("float64") + change
    logits = rows @ kernel + linear.bias
    log_total = np.log(np.exp(logits).sum(axis=-1))
    of_label = logits[np.arange(len(labels)), :, labels]
    losses = (log_total - of_label).mean(axis=1)
    penalty = 0.5 * PENALTY * ((scale * kernel) ** 2).sum()
    return float((WEIGHTS[labels] * shares) @ losses) + penalty


def test_finds_the_least_penalized_cross_entropy(features, rng):
    rows, labels = features
    regression = LogisticRegression(rows, INDEX, labels[INDEX], WEIGHTS)
    linear = regression.fit(PENALTY)
    values = rows[INDEX].astype("float64").reshape(-1, 7)
    scale = np.sqrt(values.var(axis=0).mean())
    least = objective(linear, rows, labels, scale)
    worse = [
        objective(linear, rows, labels, scale, rng.normal(0, 0.03, (7, 3)))
        for _ in range(50)
    ]
    assert least < min(worse)
    # From elsewhere, it comes to the same.
    start = regression.fit(0.01)
    again = regression.fit(PENALTY, start)
    assert objective(start, rows, labels, scale) > least + 0.1
    assert objective(again, rows, labels, scale) == pytest.approx(
        least, rel=1e-3
    )


def test_rows_have_shares_of_the_weight(features, rng):
    rows, labels = features
    shares = rng.uniform(0, 3, len(INDEX))
    linear, plain = (
        LogisticRegression(rows, INDEX, labels[INDEX], WEIGHTS, s).fit(PENALTY)
        for s in (shares, None)
    )
    values = rows[INDEX].astype("float64").reshape(-1, 7)
    scale = np.sqrt(values.var(axis=0).mean())
    least, *worse = (
        objective(one, rows, labels, scale, change, shares)
        for one, change in [(linear, 0.0), (plain, 0.0)]
        + [(linear, rng.normal(0, 0.03, (7, 3))) for _ in range(50)]
    )
    assert least < min(worse)


def test_reads_features_in_parts(features, monkeypatch):
    rows, labels = features
    arguments = rows, INDEX, labels[INDEX], WEIGHTS
    whole = LogisticRegression(*arguments).fit(PENALTY)
    monkeypatch.setattr(logistic_regression, "_CHUNK_VALUES", 5 * 2 * 7)
    parts = LogisticRegression(*arguments).fit(PENALTY)
    np.testing.assert_allclose(parts.kernel, whole.kernel, atol=2e-3)
    np.testing.assert_allclose(parts.bias, whole.bias, atol=2e-2)


def test_takes_constant_features(features):
    _, labels = features
    rows = np.ones((60, 1, 7), "float16")
    linear = LogisticRegression(rows, np.arange(60), labels, np.ones(3)).fit(
        PENALTY
    )
    shares = np.exp(linear.logits(rows[:1, 0]))
    np.testing.assert_allclose(
        shares[0] / shares.sum(), [1 / 6, 2 / 6, 3 / 6], atol=0.02
    )
